"""Open regular files only: no link, pipe or device in a folder made by someone else."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from harness.errors import UsageError

_NOT_REGULAR = (errno.ELOOP, errno.ENXIO, errno.EISDIR)  # a link, a pipe or socket, a folder
_IN_A_RUN = ("samples", "native", "judged")  # folders, which are real ones, unlike maybe the run's


def opener(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file for ``open(..., opener=opener)``; in a folder of a run by that folder itself.

    Raises `UsageError` if the path is a link, or not a regular file, or such a folder is a link;
    `OSError` as `os.open`.
    """
    refusal = UsageError(
        f"{path} is a link or not a regular file: replace it by a file, or move the folder away"
    )
    # O_NONBLOCK: opening a pipe would wait for its other end.
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = _opened(Path(path), flags)
    except OSError as error:
        if error.errno in _NOT_REGULAR:
            raise refusal from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise refusal
    return descriptor


def _opened(path: Path, flags: int) -> int:
    if path.parent.name not in _IN_A_RUN:
        return os.open(path, flags, 0o666)
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError:
        check_folder(path.parent)
        raise
    try:  # by its descriptor: a link that takes the folder's place now is not followed
        return os.open(path.name, flags, 0o666, dir_fd=folder)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(folder)


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file; errors as in `opener`."""
    with open(path, "rb", opener=opener) as stream:
        return stream.read()


def check_folder(path: Path) -> None:
    """Raise `UsageError` if a folder is a link: what is written below would land elsewhere."""
    if path.is_symlink():
        raise UsageError(
            f"{path} is a link: a run's folders must be real ones; copy its files here instead"
        )


def open_given(path: Path) -> BufferedReader:
    """Open a file named by a user for reading: links are followed, pipes read.

    Raises `OSError` as `os.open`; also for a folder or a device, which may have no end.
    """
    # O_NONBLOCK: opening a pipe without a writer would wait.
    stream = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # noqa: SIM115, PTH123
    mode = os.fstat(stream.fileno()).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        stream.close()
        raise OSError(errno.EINVAL, "it is a device, not a file", str(path))
    os.set_blocking(stream.fileno(), True)
    return stream


def read_given(path: Path) -> bytes:
    """Return the content of a file named by a user; errors as in `open_given`."""
    with open_given(path) as stream:
        return stream.read()
