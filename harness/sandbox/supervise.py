"""Starts a process, feeds and reads it, and kills it at the first limit that it breaks.

Nothing here blocks the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from harness.sandbox import watch
from harness.sandbox.protocol import Limits, Result, Status

_CHUNK = 1 << 16
# Memory and CPU time are looked at after so many seconds, then twice as late, up to the last.
_FIRST_LOOK, _LAST_LOOK = 0.005, 0.04
_NOBODY_NEEDS_IT_MORE = "1000"  # oom_score_adj: when memory runs out, the kernel takes this first

Broke = Callable[[Status, str], None]


class Tree(Protocol):
    """The processes of one run."""

    @property
    def root(self) -> int | None:
        """The process whose descendants are all of them; None where that is not known."""
        ...

    def kill(self) -> None:
        """Kill all of them; may be called at any time and more than once."""
        ...

    async def gone(self) -> None:
        """Return when none is left."""
        ...


@dataclass(frozen=True, slots=True)
class Ended:
    """How the process ended: ``broken`` is the first broken limit and its reason."""

    returncode: int
    stdout: bytes
    stderr: bytes
    seconds: float
    peak_memory: int | None
    broken: tuple[Status, str] | None


async def readable(fd: int) -> None:
    """Return when ``fd`` can be read; for a pidfd: when its process has ended."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(fd, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(fd)


async def _writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_writer(fd, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_writer(fd)


async def _feed(pipe: IO[bytes], data: bytes) -> None:
    """Write ``data`` and close; a reader that does not want all of it is no error."""
    os.set_blocking(pipe.fileno(), False)
    rest = memoryview(data)
    with pipe, contextlib.suppress(BrokenPipeError):
        while rest:
            try:
                rest = rest[os.write(pipe.fileno(), rest[:_CHUNK]) :]
            except BlockingIOError:
                await _writable(pipe.fileno())


async def _keep(pipe: IO[bytes], kept: bytearray, limit: int, broke: Broke) -> None:
    """Read to the end into ``kept``, which grows to ``limit`` bytes and no further."""
    os.set_blocking(pipe.fileno(), False)
    with pipe:
        while True:
            await readable(pipe.fileno())
            chunk = os.read(pipe.fileno(), _CHUNK)
            if not chunk:
                return
            room = limit - len(kept)
            kept += chunk[:room]
            if len(chunk) > room:
                broke("output", f"more than {limit} bytes of output")
                return


class _Watch:
    """Looks at what the tree uses, again and again."""

    def __init__(self, tree: Tree, limits: Limits, broke: Broke) -> None:
        self.tree, self.limits, self.broke = tree, limits, broke
        self.peak: int | None = None

    async def look(self) -> None:
        pause = _FIRST_LOOK
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK)
            if self.tree.root is not None:
                self._judge(watch.usage(self.tree.root, self.limits.memory))

    def _judge(self, used: watch.Usage) -> None:
        if used.memory:
            self.peak = max(self.peak or 0, used.memory)
        if used.memory > self.limits.memory:
            self.broke("memory", f"more than {self.limits.memory} bytes of memory")
        elif used.cpu_seconds > self.limits.cpu_seconds:
            self.broke("timeout", f"more than {self.limits.cpu_seconds:g} s of CPU time")
        elif used.written > self.limits.disk:
            self.broke("output", f"more than {self.limits.disk} bytes written to disk")


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
) -> Ended:
    """Feed, read and watch a started process until all of its tree has ended.

    Cancelled, it kills the tree.
    """
    started = time.monotonic()
    broken: list[tuple[Status, str]] = []

    def broke(status: Status, reason: str) -> None:
        broken.append((status, reason))
        tree.kill()

    assert process.stdin
    assert process.stdout
    assert process.stderr
    out, err = bytearray(), bytearray()
    look = _Watch(tree, limits, broke)
    readers = [
        asyncio.ensure_future(_keep(process.stdout, out, limits.output, broke)),
        asyncio.ensure_future(_keep(process.stderr, err, limits.output, broke)),
    ]
    helpers = [asyncio.ensure_future(work) for work in (_feed(process.stdin, stdin), look.look())]
    timer = asyncio.get_running_loop().call_later(
        limits.seconds, broke, "timeout", f"more than {limits.seconds:g} s"
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
    first = broken[0] if broken else None
    return Ended(process.returncode, bytes(out), bytes(err), seconds, look.peak, first)


async def exited(process: subprocess.Popen[bytes]) -> None:
    """Return when ``process`` has ended, and reap it."""
    pidfd = os.pidfd_open(process.pid)
    try:
        await readable(pidfd)
    finally:
        os.close(pidfd)
    process.wait()


def result(ended: Ended, exit_code: int | None, limits: Limits) -> Result:
    """Return what is told of a run; ``exit_code`` is None where the command never began."""
    status: Status = "ok"
    reason = ""
    if ended.broken:
        status, reason = ended.broken
    elif exit_code is None:
        said = ended.stderr.decode(errors="replace").strip().splitlines()
        status = "error"
        reason = said[-1] if said else f"the sandbox ended with exit code {ended.returncode}"
    elif exit_code == 128 + signal.SIGXCPU:
        status, reason = "timeout", f"more than {limits.cpu_seconds:g} s of CPU time"
    elif exit_code == 128 + signal.SIGXFSZ:
        status, reason = "output", f"a file of more than {limits.disk} bytes"
    elif 128 < exit_code <= 128 + signal.SIGRTMAX:
        status, reason = "signal", f"ended by {_signal_name(exit_code - 128)}"
    if status not in ("ok", "signal"):
        exit_code = None
    return Result(
        status, exit_code, ended.stdout, ended.stderr, ended.seconds, ended.peak_memory, reason
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
