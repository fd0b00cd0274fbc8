"""One process at a time works on a folder; the lock ends with the block or the process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import UsageError
from harness.files import plain


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder, made if need be, for this process; the kernel lets go however we end.

    Raises:
        UsageError: another process holds it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.fdopen(plain.opener(folder / ".lock", os.O_RDWR | os.O_CREAT))
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another process is using {folder}: wait for it, or stop it, then run again"
            ) from None
        yield
