"""Which folders a sandbox shows and refuses, and who owns them.

As root, commands run under another user id.  A writable folder is handed to that id once; later
runs in it use the same id.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.errors import UsageError


def python_prefixes() -> list[Path]:
    """Return the folders that this Python interpreter needs to start and to import."""
    named = [Path(sys.base_prefix), Path(sys.prefix)]
    return list(dict.fromkeys([*named, *(path.resolve() for path in named)]))


def checked(folders: Iterable[Path], *, writable: bool) -> list[Path]:
    """Return the folders as absolute paths.

    Raises `UsageError` if one is missing, is a symbolic link (a command may have put it there to
    get at its target), or is to be writable and holds the system or the user's home.
    """
    paths = []
    for folder in map(Path.absolute, folders):
        try:
            mode = folder.lstat().st_mode
        except OSError as error:
            raise UsageError(f"the sandbox cannot mount {folder}: {error.strerror}") from error
        if stat.S_ISLNK(mode):
            raise UsageError(
                f"{folder} is a symbolic link, not mounted in the sandbox; give its target"
            )
        if writable and not stat.S_ISDIR(mode):
            raise UsageError(f"only a folder can be writable in the sandbox, not {folder}")
        real = folder.resolve()
        if writable and any(precious.is_relative_to(real) for precious in _precious()):
            raise UsageError(f"{folder} is shared and cannot be writable in the sandbox")
        paths.append(folder)
    return paths


def _precious() -> list[Path]:
    """Return folders that no command may write to, nor to any folder that holds them."""
    named = [Path(sys.prefix)]
    named += map(Path, ("/usr", "/etc", "/dev", "/proc", "/tmp", "/var/tmp"))
    with contextlib.suppress(RuntimeError):  # a user id without an entry has no home
        named.append(Path.home())
    return [path.resolve() for path in named]


class Owners:
    """The user ids that commands run under if we are root.

    Each working folder has its own, out of the upper half of what this machine's user namespace
    maps, so that a process limit (which Linux counts per user id) binds each run by itself.

    Raises `UsageError` where the namespace maps no ids but root's.
    """

    def __init__(self) -> None:
        lines = Path("/proc/self/uid_map").read_text().splitlines()
        extents = [list(map(int, line.split())) for line in lines]
        first, count = max(((row[0], row[2]) for row in extents), key=lambda extent: extent[1])
        count = min(count, 1 << 31)
        self._ids = range(first + count // 2, first + count - 2)
        if not self._ids:
            raise UsageError("root maps no other user ids here: run as an ordinary user")

    def hand_over(self, folders: Sequence[Path]) -> int:
        """Return the id for a run that writes to ``folders``; afterwards they belong to it."""
        owners = [folder.lstat().st_uid for folder in folders]
        known = [owner for owner in owners if owner in self._ids]
        uid = known[0] if known else self._ids[secrets.randbelow(len(self._ids))]
        for folder, owner in zip(folders, owners, strict=True):
            if owner != uid:
                _chown(folder, uid)
        return uid


def _chown(folder: Path, uid: int) -> None:
    """Give a folder and all in it to ``uid``, never following a link out of it."""
    for _, folders, files, here in os.fwalk(folder, follow_symlinks=False):
        os.chown(here, uid, uid)
        for name in (*folders, *files):
            os.chown(name, uid, uid, dir_fd=here, follow_symlinks=False)
