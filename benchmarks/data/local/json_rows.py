"""Raw release files as rows: JSON lines, or one JSON list of rows.

Rows are read one at a time where the format allows it, without importing datasets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

import orjson

from harness.errors import UsageError
from harness.files.hashing import cache_dir, file_hash, write_atomically

Row = dict[str, Any]


class JsonLines(Sequence[Row]):
    """The rows of a JSON-lines file, each read and parsed when it is asked for.

    Raises:
        UsageError: the file cannot be read, or a row that is asked for is no JSON object.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as stream:
                self._places = list(_places(stream))
        except OSError as error:
            raise UsageError(
                f"{path} is not readable ({error.strerror}): download it again"
            ) from error

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        start, size, number = self._places[index]
        try:
            with self.path.open("rb") as stream:
                stream.seek(start)
                line = stream.read(size)
        except OSError as error:
            raise UsageError(f"{self.path} is not readable ({error.strerror})") from error
        return _object(line, f"{self.path} line {number}")


def read(path: Path) -> Sequence[Row]:
    """Return the rows of a ``.jsonl`` file, lazily, or of a ``.json`` list, all at once.

    Raises:
        UsageError: the file cannot be read or is garbled.
    """
    if path.suffix == ".jsonl":
        return JsonLines(path)
    return list(_list(path))


def count(path: Path) -> int:
    """Return the number of rows; remembered by the file's content.

    Raises:
        UsageError: the file cannot be read or is garbled.
    """
    try:
        return _count(path, file_hash(path))
    except OSError as error:
        raise UsageError(f"{path} is not readable ({error.strerror}): get it again") from error


@lru_cache
def _count(path: Path, digest: str) -> int:
    note = cache_dir() / "rows" / digest
    try:
        return int(note.read_text(encoding="ascii"))
    except (OSError, ValueError):
        n = len(read(path))
    with suppress(OSError):  # a read-only home: count again next time
        write_atomically(note, f"{n}\n")
    return n


def columns(path: Path) -> tuple[str, ...]:
    """Return the keys of the first row, none where there is no row.

    Raises:
        UsageError: the file cannot be read or is garbled.
    """
    rows = read(path)
    return tuple(rows[0]) if rows else ()


def _places(stream: Any) -> Iterator[tuple[int, int, int]]:
    """Yield the offset, size and number of every line that is not blank."""
    start = 0
    for number, line in enumerate(stream, start=1):  # bytes: split at \n alone
        if not line.isspace():
            yield start, len(line), number
        start += len(line)


def _list(path: Path) -> Iterator[Row]:
    try:
        value = orjson.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} is not readable ({error.strerror}): get it again") from error
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path} is not JSON ({error}): download it again") from error
    if not isinstance(value, list):
        raise UsageError(f"{path} holds no list of rows: download it again")
    for number, row in enumerate(value, start=1):
        if not isinstance(row, dict):
            raise UsageError(f"{path} row {number} is not a JSON object: download it again")
        yield row


def _object(line: bytes, where: str) -> Row:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{where} is not JSON ({error}): download it again") from error
    if not isinstance(value, dict):
        raise UsageError(f"{where} is not a JSON object: download it again")
    return value
