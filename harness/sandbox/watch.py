"""The resident memory, CPU time and bytes written of a process tree, from /proc (Linux only).

A process that ends while it is read counts as nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Resident bytes now, CPU seconds so far, bytes written to disk so far."""

    memory: int
    cpu_seconds: float
    written: int


def available() -> bool:
    """Whether this kernel shows what is needed here."""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def tree(root: int) -> list[int]:
    """Return ``root`` and all its descendants that are alive."""
    found = [root]
    for pid in found:  # grows while it is walked
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


def usage(root: int, memory_limit: int) -> Usage:
    """Return what ``root`` and its descendants use.

    Memory is the sum of the resident sets; where that is more than ``memory_limit`` bytes, pages
    that processes share are counted once (proportional set size, slower to ask).
    """
    pids = tree(root)
    memory = sum(map(_resident, pids))
    if memory > memory_limit:
        memory = sum(map(_proportional, pids))
    return Usage(memory, sum(map(_cpu_seconds, pids)), sum(map(_written, pids)))


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except PermissionError:
        return _resident(pid)
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of its children that ended: user, system, both."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICK


def _written(pid: int) -> int:
    """Return the bytes that a process, and its children that ended, sent to a disk."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))
