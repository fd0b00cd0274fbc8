"""Files of JSON rows: JSON lines, each read when it is asked for, or one JSON document of rows.

datasets is not imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

from harness.errors import UsageError
from harness.files.hashing import cache_dir, file_hash, write_atomically
from harness.files.typed_json import parse

Row = dict[str, Any]


class JsonLines(Sequence[Row]):
    """The rows of a JSON-lines file, each read and parsed when it is asked for.

    Raises:
        UsageError: the file cannot be read, or a row that is asked for is not a JSON object.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: list[tuple[int, int, int]] = []  # offset, size, number from 1
        start = 0
        try:
            with path.open("rb") as stream:
                for number, line in enumerate(stream, start=1):  # bytes: split at \n alone
                    if not line.isspace():
                        self._lines.append((start, len(line), number))
                    start += len(line)
        except OSError as error:
            raise UsageError(
                f"{path} is not readable ({error.strerror}): download it again"
            ) from error

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        start, size, _ = self._lines[index]
        try:
            with self.path.open("rb") as stream:
                stream.seek(start)
                line = stream.read(size)
        except OSError as error:
            raise UsageError(f"{self.path} is not readable ({error.strerror})") from error
        return _object(_parsed(line, self.where(index)), self.where(index))

    def where(self, index: int) -> str:
        """Return the file and line of a row, for messages."""
        return f"{self.path} line {self._lines[index][2]}"


def read(path: Path) -> Sequence[Row]:
    """Return the rows of a ``.jsonl`` file, lazily, or of a JSON list, all at once.

    Raises:
        UsageError: the file cannot be read or is corrupt.
    """
    if path.suffix == ".jsonl":
        return JsonLines(path)
    value = document(path)
    if not isinstance(value, list):
        raise UsageError(f"{path} holds no list of rows: download it again")
    return [_object(row, f"{path} row {number}") for number, row in enumerate(value, start=1)]


def document(path: Path) -> Any:
    """Return the value of a JSON file.

    Raises:
        UsageError: the file cannot be read or is corrupt.
    """
    try:
        return _parsed(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(f"{path} is not readable ({error.strerror}): download it again") from error


def count(path: Path) -> int:
    """Return the number of rows; remembered by the file's content.

    Raises:
        UsageError: the file cannot be read or is corrupt.
    """
    try:
        return _count(path, file_hash(path))
    except OSError as error:
        raise UsageError(f"{path} is not readable ({error.strerror}): download it again") from error


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


def _parsed(text: bytes, where: str) -> Any:
    try:
        return parse(text.decode("utf-8"))
    except ValueError as error:
        raise UsageError(f"{where} is not JSON ({error}): download it again") from error


def _object(value: Any, where: str) -> Row:
    if not isinstance(value, dict):
        raise UsageError(f"{where} is not a JSON object: download it again")
    return value
