"""Lock a folder for one process; the lock ends with the block or the process."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from harness.errors import UsageError
from harness.files import plain

_LOOK = 0.05  # seconds; longer than `is_held` holds a lock


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock a folder for this process, creating it if needed; the kernel releases it at exit.

    Raises `UsageError` if another process holds it, or it cannot be written.
    """
    with _lock(folder) as lock:
        if not _taken(lock):
            time.sleep(_LOOK)
            if not _taken(lock):
                raise UsageError(
                    f"another process is using {folder}: wait for it, or stop it, then run again"
                )
        if _is_in(lock, folder):
            yield
            return
    with alone(folder):  # the previous holder removed the folder
        yield


def _lock(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.fdopen(plain.opener(folder / ".lock", os.O_RDWR | os.O_CREAT))
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error


def _is_in(lock: IO[str], folder: Path) -> bool:
    """Whether an open lock is still the one in the folder."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), (folder / ".lock").stat())
    except FileNotFoundError:
        return False


def _taken(lock: IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(folder: Path) -> bool:
    """Whether a process holds a folder now; False if unknown."""
    try:
        lock = os.fdopen(plain.opener(folder / ".lock", os.O_RDONLY))
    except (OSError, UsageError):
        return False
    with lock:
        return not _taken(lock, fcntl.LOCK_SH)
