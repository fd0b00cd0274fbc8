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
    """Whether this kernel lists the children of a process."""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def tree(root: int) -> list[int]:
    """Return ``root`` and all its descendants that are alive."""
    pids = [root]
    for pid in pids:  # grows while it is walked
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                pids += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return pids


def usage(root: int, memory_limit: int) -> Usage:
    """Return what ``root`` and its descendants use.

    Memory is the sum of the resident sets; if that is more than ``memory_limit`` bytes, pages that
    processes share are counted once (proportional set size, slower to read).
    """
    pids = tree(root)
    memory = sum(map(_resident, pids))
    if memory > memory_limit:
        memory = sum(map(_proportional, pids))
    return Usage(memory, sum(map(_cpu_seconds, pids)), sum(map(_written, pids)))


def _read(pid: int, name: str) -> str:
    """Return a file of a process; "" if the process has ended or the file is not ours to read."""
    try:
        # A process may give itself a name of any bytes.
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""


def _resident(pid: int) -> int:
    fields = _read(pid, "statm").split()
    return int(fields[1]) * _PAGE if fields else 0


def _proportional(pid: int) -> int:
    text = _read(pid, "smaps_rollup")
    return 1024 * _total(text, "Pss:") if text else _resident(pid)


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of its children that ended: user, system, both."""
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICK


def _written(pid: int) -> int:
    """Return the bytes that a process, and its children that ended, sent to a disk."""
    return _total(_read(pid, "io"), "write_bytes:")


def _total(text: str, name: str) -> int:
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(name))
