"""Starts a process, feeds and reads it, and kills it at the first limit that it breaks.

Nothing here blocks the event loop.  asyncio's own subprocesses do not serve: in Python 3.11 they
count as ended only when their pipes are closed, which an escaped process may hold open.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from harness.files.text import last_line
from harness.sandbox import watch
from harness.sandbox.protocol import Limits, Result, Status

_CHUNK = 1 << 16
# Memory and CPU time are read after so many seconds, then twice as late, up to the last.
_FIRST_LOOK, _LAST_LOOK = 0.005, 0.04
_NOBODY_NEEDS_IT_MORE = "1000"  # oom_score_adj: when memory runs out, the kernel takes this first


class Tree(Protocol):
    """The processes of one run."""

    def usage(self, memory_limit: int) -> watch.Usage | None:
        """Return what they use, see `watch.usage`; None where that is not known."""

    def kill(self) -> None:
        """Kill all of them; may be called at any time and more than once."""

    async def gone(self) -> None:
        """Return when none is left."""

    def exit_code(self, returncode: int) -> int | None:
        """Return the command's exit code once none is left; None where it never began.

        ``returncode`` is that of the process that was started.
        """


async def ready(fd: int, *, to_write: bool = False) -> None:
    """Return when ``fd`` can be read (a pidfd: when its process has ended), or written."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    if to_write:
        loop.add_writer(fd, event.set)
    else:
        loop.add_reader(fd, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_writer(fd) if to_write else loop.remove_reader(fd)


async def exited(process: subprocess.Popen[bytes]) -> None:
    """Return when ``process`` has ended, and reap it."""
    pidfd = os.pidfd_open(process.pid)
    try:
        await ready(pidfd)
    finally:
        os.close(pidfd)
    process.wait()


def start(
    argv: Sequence[str], environment: Mapping[str, str], cwd: Path, keep: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start ``argv`` in a session of its own with three pipes and the descriptors ``keep``."""
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=cwd,
        pass_fds=keep,
        start_new_session=True,
    )
    with contextlib.suppress(OSError):
        Path(f"/proc/{process.pid}/oom_score_adj").write_text(_NOBODY_NEEDS_IT_MORE)
    return process


async def finish(
    process: subprocess.Popen[bytes], tree: Tree, stdin: bytes, limits: Limits
) -> Result:
    """Feed, read and watch a started process until all of its tree has ended.

    Cancelled, it kills the tree.
    """
    assert process.stdin
    assert process.stdout
    assert process.stderr
    started = time.monotonic()
    run = _Run(tree, limits)
    pipes = ((process.stdout, run.stdout), (process.stderr, run.stderr))
    readers = [asyncio.ensure_future(run.keep(pipe, kept)) for pipe, kept in pipes]
    helpers = [asyncio.ensure_future(work) for work in (_feed(process.stdin, stdin), run.watch())]
    timer = asyncio.get_running_loop().call_later(
        limits.seconds, run.broke, "timeout", f"more than {limits.seconds:g} s"
    )
    try:
        await exited(process)
        seconds = time.monotonic() - started
        timer.cancel()
        await tree.gone()
        await asyncio.wait(readers, timeout=1)  # an escaped process may hold a pipe open
    finally:
        timer.cancel()
        if process.returncode is None:  # cancelled: milliseconds, and then nothing is left
            tree.kill()
            process.wait()
        for task in (*helpers, *readers):
            task.cancel()
        await asyncio.gather(*helpers, *readers, return_exceptions=True)
    return run.result(process.returncode, seconds)


async def _feed(pipe: IO[bytes], data: bytes) -> None:
    """Write ``data`` and close; a reader that does not want all of it is no error."""
    os.set_blocking(pipe.fileno(), False)
    rest = memoryview(data)
    with pipe, contextlib.suppress(BrokenPipeError):
        while rest:
            try:
                rest = rest[os.write(pipe.fileno(), rest[:_CHUNK]) :]
            except BlockingIOError:
                await ready(pipe.fileno(), to_write=True)


class _Run:
    """What is known of a run so far: its output, its peak memory, the first limit it broke."""

    def __init__(self, tree: Tree, limits: Limits) -> None:
        self.tree, self.limits = tree, limits
        self.stdout, self.stderr = bytearray(), bytearray()
        self.peak: int | None = None
        self.broken: tuple[Status, str] | None = None

    def broke(self, status: Status, reason: str) -> None:
        self.broken = self.broken or (status, reason)
        self.tree.kill()

    async def keep(self, pipe: IO[bytes], kept: bytearray) -> None:
        """Read to the end into ``kept``, which grows to the limit and no further."""
        os.set_blocking(pipe.fileno(), False)
        with pipe:
            while True:
                await ready(pipe.fileno())
                chunk = os.read(pipe.fileno(), _CHUNK)
                if not chunk:
                    return
                room = self.limits.output - len(kept)
                kept += chunk[:room]
                if len(chunk) > room:
                    self.broke("output", f"more than {self.limits.output} bytes of output")
                    return

    async def watch(self) -> None:
        """Compare what the tree uses with the limits, again and again."""
        pause, limits = _FIRST_LOOK, self.limits
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK)
            used = self.tree.usage(limits.memory)
            if used is None:
                continue
            if used.memory:
                self.peak = max(self.peak or 0, used.memory)
            if used.memory > limits.memory:
                self.broke("memory", f"more than {limits.memory} bytes of memory")
            elif used.cpu_seconds > limits.cpu_seconds:
                self.broke("timeout", f"more than {limits.cpu_seconds:g} s of CPU time")
            elif used.written > limits.disk:
                self.broke("output", f"more than {limits.disk} bytes written to disk")

    def result(self, returncode: int, seconds: float) -> Result:
        """Return the result of a run that has ended after so many seconds."""
        exit_code = self.tree.exit_code(returncode)
        status, reason = self.broken or self._end(exit_code, returncode)
        if status not in ("ok", "signal"):
            exit_code = None
        out, err = bytes(self.stdout), bytes(self.stderr)
        return Result(status, exit_code, out, err, seconds, self.peak, reason)

    def _end(self, exit_code: int | None, returncode: int) -> tuple[Status, str]:
        if exit_code is None:
            reason = last_line(self.stderr.decode(errors="replace"))
            return "error", reason or f"the sandbox ended with exit code {returncode}"
        if exit_code == 128 + signal.SIGXCPU:
            return "timeout", f"more than {self.limits.cpu_seconds:g} s of CPU time"
        if exit_code == 128 + signal.SIGXFSZ:
            return "output", f"a file of more than {self.limits.disk} bytes"
        if 128 < exit_code <= 128 + signal.SIGRTMAX:
            return "signal", f"ended by {_signal_name(exit_code - 128)}"
        return "ok", ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
