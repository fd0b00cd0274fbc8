"""Atomic writes: files and folders are written beside their target, then renamed.

Content is synced to disk before the rename, so a power cut leaves the old or the new one.
`storage_failure` tells which exceptions mean that storage failed: a full disk, a read-only one.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import UsageError

# From file systems without fsync, for folders or at all (CIFS, many FUSE ones): not a failure.
_NO_FSYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


def write_text(path: Path, text: str) -> None:
    """Write ``text`` so that a reader sees the old file or the new one, never a part.

    The file's mode follows the umask. A link at ``path`` is replaced, not followed. Raises
    `UsageError` if the folder was moved or removed meanwhile; `OSError` if the file cannot be
    written.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file like `write_text`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(path)
    try:
        with beside.open("xb") as stream:
            stream.write(content)
            stream.flush()
            _fsync(stream.fileno())
        beside.replace(path)
        _sync(path.parent)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, FileNotFoundError):
            raise UsageError(
                f"{path.parent} was moved or removed while {path.name} was written: run the same "
                "command again"
            ) from error
        if isinstance(error, OSError):
            error.filename = str(path)  # a failed write does not name the file
        raise


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document, indented, like `write_text`."""
    write_text(path, json.dumps(value, indent=2) + "\n")


@contextmanager
def folder(target: Path) -> Iterator[Path]:
    """Yield a new folder beside ``target`` to fill; it replaces ``target`` when the block ends.

    If the block raises, the new folder is removed and ``target`` is unchanged.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(target)
    beside.mkdir()
    try:
        yield beside
        sync_tree(beside)
        shutil.rmtree(target, ignore_errors=True)
        beside.rename(target)
        _sync(target.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def sync_tree(root: Path) -> None:
    """Sync every file and folder below ``root`` to disk."""
    for parent, _, names in os.walk(root):
        for name in names:
            _sync(Path(parent, name))
        _sync(Path(parent))


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}")


def _sync(path: Path) -> None:
    if path.is_symlink():  # its target is not ours
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise


_WRITING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMLINK})
# These affect readers too.
_ERRNOS = _WRITING | {
    errno.EIO, errno.EACCES, errno.ESTALE, errno.ENAMETOOLONG, errno.ENFILE, errno.EMFILE,
}  # fmt: skip
# C++ and Rust libraries raise their own errors. Matches safetensors' "I/O error: No space left on
# device (os error 28)" and torch's "PytorchStreamWriter failed writing file"; not "os error 2" (no
# such file).
_TEXT = re.compile(
    r"\(os error (?P<number>\d+)\)|PytorchStreamWriter failed|inline_container.*unexpected pos"
)


def storage_failure(error: BaseException) -> str | None:
    """Return one sentence on an exception caused by a storage failure, else None.

    Causes, contexts and members of groups count too: cleaning up after a failed write often fails
    differently.
    """
    for each in _chain(error, set()):
        if isinstance(each, OSError) and each.errno in _ERRNOS:
            where = each.filename2 or each.filename
            return _sentence(each.errno or 0, os.strerror(each.errno or 0), where)
        match = _TEXT.search(str(each))
        number = int(match["number"]) if match and match["number"] else errno.ENOSPC
        if match and number in _ERRNOS:
            known = os.strerror(number) if match["number"] else "the disk is full or fails"
            return _sentence(number, known, None)
    return None


def _sentence(number: int, reason: str, where: object) -> str:
    named = f" {os.fsdecode(where)}" if isinstance(where, str | bytes) else ""
    done, mend = (
        ("write", "free some space or mend the cause")
        if number in _WRITING
        else ("read or write", "mend the cause")
    )
    return (
        f"cannot {done}{named} ({reason}): what was stored before is kept; {mend}, "
        "and run the same command again"
    )


def _chain(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _chain(member, seen)
    yield from _chain(error.__cause__, seen)
    yield from _chain(error.__context__, seen)
