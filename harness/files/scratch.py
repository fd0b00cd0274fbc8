"""Private temporary folders, removed after use or, after a kill, by a later process.

A folder in use is locked, so unlocked ones are known to be leftovers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Self

_PREFIX = "harness-tmp-"


class Scratch:
    """A new private folder, removed by `close` or at the end of ``with``.

    The first one of a kind in a process removes those left by killed processes. ``path`` lies in
    ``outer``, which is closed to other users and never shown in a sandbox: a program there may open
    its own folder, but a setuid file that it makes stays out of reach.
    """

    def __init__(self, kind: str) -> None:
        _sweep(kind, tempfile.gettempdir())
        self.outer, self._lock = _locked(kind)
        self.path = self.outer / "files"
        self.path.mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the folder; may be called more than once."""
        if self._lock >= 0:
            _remove(self.outer)
            os.close(self._lock)
            self._lock = -1


def _locked(kind: str) -> tuple[Path, int]:
    """Create a folder and lock it; retry if a sweep removed it in between."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}-"))
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        with contextlib.suppress(OSError):  # a file system without locks has no sweeps
            fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return path, lock
        os.close(lock)


def abandoned(kind: str) -> Iterator[Path]:
    """Yield this user's folders of a kind that no living process holds.

    Each is locked until the next is requested.
    """
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}{kind}-*")):
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # another user's, or gone
            continue
        try:
            if os.fstat(lock).st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield path
        except OSError:  # held
            continue
        finally:
            os.close(lock)


@cache
def _sweep(kind: str, root: str) -> None:
    for path in abandoned(kind):
        _remove(path)


def _remove(path: Path) -> None:
    # rm, as a program's folders may be nested too deep for Python's own removal.
    subprocess.run(["rm", "-rf", "--", str(path)], stderr=subprocess.DEVNULL, check=False)
