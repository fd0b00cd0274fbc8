"""Our own commands as child processes that die with the parent, one or several at a time."""

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
QUIET = 5.0  # seconds after which the user is told what is waited for
Run = Callable[[Sequence[str], Path], str]
"""Runs a command, adds its messages to a log, and returns its standard output; see `child`."""


class FailedError(Exception):
    """A child process failed; the message is its last line."""


class StoppedError(Exception):
    """A command was ended because all were to end."""


def child(args: Sequence[str], log: Path) -> str:
    """Run one of our commands as a child process and return its standard output.

    Its standard error is added to ``log`` and, indented, to ours.  `FailedError` says its last line
    and where the log is.
    """
    return ProcessPool().run(args, log)


class ProcessPool:
    """Runs commands, from several threads at once where ``at_once`` says so; `stop` ends them all.

    Args:
        preload: fork them from a process that has loaded the libraries (`preloaded.py`).
        at_once: how many threads run commands; each command then has its share of the cores, and
            its output is printed with the name of its folder.
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
        """Run one command, as `child` does; `StoppedError` after `stop`."""
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
        with (
            open(log, "a", encoding="utf-8", opener=plain.opener) as kept,
            command.stderr as lines,
        ):
            for line in lines:
                kept.write(line)
                kept.flush()
                last = line.strip() or last
                if not self._stopped:  # whoever stopped us says so
                    say(f"  {folder}{line.rstrip()}")
        return last

    def close(self) -> None:
        """Start nothing more; what runs is waited for, and its end is `StoppedError`."""
        self._stopped = True

    def stop(self) -> None:
        """End what runs, as an interrupt does, and start nothing more.

        A training finishes its step and saves a checkpoint, however long that takes.
        """
        self.close()  # at once: the lock is held while libraries are loaded
        with self._lock:
            running = tuple(self._running)
        stop(*running)


def in_thread(work: Callable[[], T], stop: Callable[[], None]) -> T:
    """Return what work returns in a thread; call ``stop`` where a signal ends this one's waiting.

    The main thread sees signals, and what has another thread raise in it, while it waits here.
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
    """Have a child die with this thread, and hear an interrupt.

    A shell's background jobs ignore it and Ray's workers block it, and their children inherit that.
    """
    process_control(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def stop(*commands: Command) -> None:
    """Interrupt commands and wait for them: whoever cannot wait interrupts this process again."""
    for command in commands:
        command.send_signal(signal.SIGINT)
    try:
        for command in commands:
            command.wait(QUIET)
    except subprocess.TimeoutExpired:
        say("waiting for running commands to save; interrupt again to stop at once")
        for command in commands:
            command.wait()


def say(text: str) -> None:
    """Print a line of progress."""
    sys.stderr.write(f"{visible(text)}\n")
    sys.stderr.flush()
