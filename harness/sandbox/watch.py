"""The memory, CPU time and bytes written of a process tree, from /proc (Linux only).

A process that ends while it is read counts as nothing.  Memory is what is resident, and what the
kernel holds: page tables, and what the sockets of a network namespace may hold.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes of memory now, CPU seconds so far, bytes written to disk so far."""

    memory: int
    cpu_seconds: float
    written: int


def available() -> bool:
    """Whether this kernel lists the children of a process."""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def tree(root: int) -> list[int]:
    """Return ``root`` and all its descendants that are alive."""
    pids = [root]
    for pid in pids:  # grows while it is walked
        pids += children(pid)
    return pids


def children(pid: int) -> list[int]:
    """Return the children of a process that are alive; none if it has ended."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def usage(root: int, memory_limit: int, kernel: int = 0, *, own_network: bool = False) -> Usage:
    """Return what ``root`` and its descendants use.

    Memory is the sum of the resident sets; if that is more than ``memory_limit`` bytes, pages that
    processes share are counted once (proportional set size, slower to read).  ``kernel`` is how
    many bytes the kernel is known to hold for them.  ``own_network``: all sockets of the network
    namespace are theirs.
    """
    pids = tree(root)
    sockets = _sockets(root) if own_network else 0
    kernel = max(kernel, sockets + sum(_kilobytes(pid, "status", "VmPTE:") for pid in pids))
    memory = kernel + sum(_kilobytes(pid, "status", "VmRSS:") for pid in pids)
    if memory > memory_limit:
        memory = kernel + sum(map(_proportional, pids))
    written = sum(_total(_read(pid, "io"), "write_bytes:") for pid in pids)
    return Usage(memory, sum(map(_cpu_seconds, pids)), written)


def _read(pid: int, name: str) -> str:
    """Return a file of a process; "" if the process has ended or the file is not ours to read."""
    try:
        # A process may give itself a name of any bytes.
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""


def _kilobytes(pid: int, file: str, name: str) -> int:
    return 1024 * _total(_read(pid, file), name)


def _proportional(pid: int) -> int:
    return _kilobytes(pid, "smaps_rollup", "Pss:") or _kilobytes(pid, "status", "VmRSS:")


def _sockets(pid: int) -> int:
    """Return the bytes that the sockets of a process's network namespace may hold.

    Each may hold its buffer.  TCP's grow beyond the default: what waits in them is counted with
    as much again for the kernel's own (net/ipv4: an sk_buff's truesize).
    """
    n = _total(_read(pid, "net/sockstat"), "sockets: used")
    if not n:
        return 0
    lines = [line for name in ("tcp", "tcp6") for line in _read(pid, f"net/{name}").splitlines()]
    queues = [line.split()[4].split(":") for line in lines if line.lstrip()[0].isdigit()]
    waiting = sum(int(size, 16) for queue in queues for size in queue)
    return n * _buffer() + 2 * waiting


@cache
def _buffer() -> int:
    """Return the size of a socket's buffer, which the filter lets no command change."""
    try:
        return int(Path("/proc/sys/net/core/wmem_default").read_text())
    except OSError:
        return 212_992  # Linux's own default


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of its children that ended: user, system, both."""
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICK


def _total(text: str, name: str) -> int:
    """Return the sum of the numbers after ``name`` at the start of a line."""
    rests = (line[len(name) :] for line in text.splitlines() if line.startswith(name))
    return sum(int(rest.split()[0]) for rest in rests)
