"""Memory control groups: what the kernel holds for a run is counted, and has a hard end.

Sockets, pipes, queues, locks and the entries of files in memory belong to no process.  A group can
be made by root, and by a user whose part of the hierarchy is delegated; cgroup v2 or v1
(Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst of Linux).
"""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from harness.sandbox import watch
from harness.sandbox.protocol import MIB, Limits

# What a run may hold beyond its limits before the kernel ends it: libraries' pages, its start.
_RESERVE = 64 * MIB
_PREFIX = "harness-sandbox-"


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of a group: its limit, and where its killed processes and kernel memory stand."""

    limit: str
    events: str
    kernel: str


_V1 = _Files("memory.limit_in_bytes", "memory.oom_control", "memory.kmem.usage_in_bytes")
_V2 = _Files("memory.max", "memory.events", "memory.stat")


class Groups:
    """The folder that groups are made in; they are used again, since old ones linger as memory."""

    def __init__(self, folder: Path, *, v1: bool) -> None:
        self._folder, self._files = folder, _V1 if v1 else _V2
        self._free: list[Path] = []

    def take(self, limits: Limits) -> Group | None:
        """Return a group that nothing is in; None where none can be made any more."""
        new = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        path = self._free.pop() if self._free else self._folder / new
        try:
            path.mkdir(exist_ok=True)
            # Private folders are in memory too, as the limits allow.
            most = limits.memory + 2 * limits.disk + _RESERVE
            (path / self._files.limit).write_text(str(most))
            return Group(self, path, self._files)
        except OSError:
            return None

    def give_back(self, path: Path) -> None:
        """Keep a group for the next run."""
        self._free.append(path)

    def remove(self) -> None:
        """Remove the groups that are not in use, and what ended processes of ours have left."""
        for path in self._folder.glob(f"{_PREFIX}*"):
            pid = path.name[len(_PREFIX) :].partition("-")[0]
            if path in self._free or not Path(f"/proc/{pid}").exists():
                with contextlib.suppress(OSError):
                    path.rmdir()
        self._free.clear()


class Group:
    """One group, for one run."""

    def __init__(self, groups: Groups, path: Path, files: _Files) -> None:
        self._groups, self._path, self._files = groups, path, files
        self._killed = self._count("oom_kill")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._groups.give_back(self._path)

    def add(self, root: int) -> None:
        """Move a process that has just started here, with what it has started already."""
        pids = [root]
        for pid in pids:  # grows while it is walked; what one here starts from now on is here too
            with contextlib.suppress(OSError):  # it has ended
                (self._path / "cgroup.procs").write_text(str(pid))
            pids += watch.children(pid)

    def kernel_memory(self) -> int:
        """Return the bytes that the kernel holds for the processes in the group."""
        with contextlib.suppress(OSError, ValueError):
            return int((self._path / self._files.kernel).read_text())  # v1: nothing but a number
        return self._count("kernel") + self._count("sock")

    def broke(self) -> bool:
        """Whether the kernel has killed a process of this run for the group's memory."""
        return self._count("oom_kill") > self._killed

    def _count(self, name: str) -> int:
        """Return a number that one of the group's files gives after a name."""
        for file in (self._files.events, self._files.kernel):
            with contextlib.suppress(OSError):
                for line in (self._path / file).read_text().splitlines():
                    if line.split()[0] == name:
                        return int(line.split()[1])
        return 0


def groups() -> Groups | None:
    """Return where groups can be made, None if they cannot: tried by making one."""
    for folder, v1 in _folders():
        made = Groups(folder, v1=v1)
        made.remove()
        if group := made.take(Limits()):
            with group:
                pass
            return made
    return None


def _folders() -> list[tuple[Path, bool]]:
    """Return the folders where a group could be, and whether they are of cgroup v1.

    Below our own group, so that its limits hold; in v2 a group with processes has no groups with
    limits below it (but for the root): there, beside our own.
    """
    mounts = [line.split() for line in _read("/proc/self/mountinfo")]
    folders: list[tuple[Path, bool]] = []
    for _, controllers, name in (line.split(":", 2) for line in _read("/proc/self/cgroup")):
        for fields in mounts:
            kind, options = fields[fields.index("-") + 1], fields[-1].split(",")
            v1 = kind == "cgroup" and "memory" in controllers.split(",") and "memory" in options
            if not v1 and not (kind == "cgroup2" and not controllers):
                continue
            own = Path(fields[4], os.path.relpath(name, fields[3]))
            folders += [(own, v1)] if v1 else [(own, v1), (own.parent, v1)]
    # Of v2, those whose groups have a limit on memory.
    control = "cgroup.subtree_control"
    return [
        (folder, v1)
        for folder, v1 in folders
        if v1 or "memory" in " ".join(_read(folder / control)).split()
    ]


def _read(path: Path | str) -> list[str]:
    """Return the lines of a file; none where it cannot be read."""
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
