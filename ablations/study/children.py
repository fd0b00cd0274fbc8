"""Run our own commands as child processes that die with the parent, one or several at a time."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias, TypeVar

from harness.backends.lifeline import PR_SET_PDEATHSIG, process_control
from harness.files import plain
from harness.files.text import visible

if TYPE_CHECKING:
    from ablations.study.preloaded import Fork

    Command: TypeAlias = subprocess.Popen[str] | Fork

T = TypeVar("T")
QUIET = 5.0  # seconds before telling the user what is being waited for
SAVING = "waiting for running commands to save; interrupt again to stop at once"
Run = Callable[[Sequence[str], Path], str]
"""Runs a command, adds its messages to a log, and returns its standard output; see `child`."""


class FailedError(Exception):
    """A child process failed; the message is its last line."""


class StoppedError(Exception):
    """A command was stopped because all commands were."""


def child(args: Sequence[str], log: Path) -> str:
    """Run one of our commands as a child process and return its standard output.

    Its standard error is appended to ``log`` and, indented, to ours. `FailedError` has its last
    line and the log's path.
    """
    return ProcessPool().run(args, log)


class ProcessPool:
    """Run commands, from several threads at once if ``at_once`` > 1; `stop` ends them all.

    Args:
        preload: fork them from a process that has loaded the libraries (`preloaded.py`).
        at_once: number of threads that run commands; each command gets its share of the cores, and
            its output is prefixed with the name of its folder.
    """

    def __init__(self, preload: bool = False, at_once: int = 1) -> None:
        self._preload = preload
        self._several = at_once > 1
        cores = max(1, len(os.sched_getaffinity(0)) // at_once)
        self._environment = {"OMP_NUM_THREADS": str(cores)} if self._several else {}
        self._lock = threading.Lock()
        self._running: set[Command] = set()
        self._stopped = False

    def run(self, args: Sequence[str], log: Path) -> str:
        """Run one command like `child`; `StoppedError` after `stop`."""
        if self._stopped:
            raise StoppedError
        say(f"$ harness {shlex.join(args)}")
        log.parent.mkdir(parents=True, exist_ok=True)
        stdout = log.with_suffix(".out")
        command = self._start(args, stdout)
        try:
            last = self._follow(command, log)
            code = command.wait()
        except BaseException:
            stop(command)
            raise
        finally:
            with self._lock:
                self._running.discard(command)
        text = stdout.read_text(encoding="utf-8", errors="replace")
        stdout.unlink()
        if self._stopped:
            raise StoppedError
        if code:
            reason = last.removeprefix("harness: ") or "no output"
            raise FailedError(f"{reason} (exit code {code}; {log})")
        return text

    def _start(self, args: Sequence[str], stdout: Path) -> Command:
        with self._lock:
            if self._stopped:
                raise StoppedError
            command: Command
            if self._preload:
                from ablations.study.preloaded import Fork

                command = Fork(tuple(args), str(stdout), self._environment)
            else:
                with open(stdout, "w", encoding="utf-8", opener=plain.opener) as out:
                    command = begin(args, out, subprocess.PIPE, self._environment)
            self._running.add(command)
        return command

    def _follow(self, command: Command, log: Path) -> str:
        """Copy a command's messages to its log and to ours; return the last one."""
        folder = f"{log.parent.parent.name}/{log.parent.name}: " if self._several else ""
        last = ""
        assert command.stderr is not None
        with open(log, "a", encoding="utf-8", opener=plain.opener) as kept, command.stderr as lines:
            for line in lines:
                kept.write(line)
                kept.flush()
                last = line.strip() or last
                if not self._stopped:  # whoever stopped us reports it
                    say(f"  {folder}{line.rstrip()}")
        return last

    def close(self) -> None:
        """Start no more commands; running ones are waited for and end in `StoppedError`."""
        self._stopped = True

    def stop(self) -> None:
        """Interrupt running commands, and start no more.

        A training finishes its step and saves a checkpoint, however long that takes.
        """
        self.close()  # first: the lock is held while libraries are loaded
        with self._lock:
            running = tuple(self._running)
        stop(*running)


def in_thread(work: Callable[[], T], stop: Callable[[], None]) -> T:
    """Run work in a thread and return its result; call ``stop`` if a signal ends the wait.

    Only the main thread gets signals and exceptions raised from other threads, so it waits here.
    """
    with ThreadPoolExecutor(1) as pool:
        doing = pool.submit(work)
        try:
            while not wait([doing], timeout=0.2).done:
                pass
        except BaseException:
            stop()
            raise
        return doing.result()


def begin(
    args: Sequence[str],
    stdout: IO[str] | int,
    stderr: IO[str] | int,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Start one of our commands as a child process that dies with this thread."""
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *args],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        errors="replace",
        env={**os.environ, **(environment or {})},
        start_new_session=True,  # an interrupt reaches it once, through us
        preexec_fn=_prepare,
    )


def _prepare() -> None:
    """Make a child die with this thread, and receive interrupts.

    Background jobs of a shell ignore SIGINT and Ray's workers block it; children inherit that.
    """
    process_control(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def stop(*commands: Command, waiting: str = SAVING) -> None:
    """Interrupt commands and wait for them; a second interrupt of this process ends the wait.

    ``waiting`` is said where that takes a while.
    """
    for command in commands:
        command.send_signal(signal.SIGINT)
    try:
        for command in commands:
            command.wait(QUIET)
    except subprocess.TimeoutExpired:
        say(waiting)
        for command in commands:
            command.wait()


def say(text: str) -> None:
    """Print a line of progress."""
    sys.stderr.write(f"{visible(text)}\n")
    sys.stderr.flush()
