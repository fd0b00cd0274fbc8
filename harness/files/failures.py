"""Which exceptions mean that storage failed: a full disk, a read-only one."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator

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
