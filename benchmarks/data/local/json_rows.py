"""Files of JSON rows: JSON lines, read on demand, or one JSON document of rows.

Does not import datasets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

from harness.errors import UsageError
from harness.files.atomic import write_text
from harness.files.hashing import cache_dir, file_hash
from harness.files.typed_json import parse

Row = dict[str, Any]


_REMEDY = ": download it again"


class JsonLines(Sequence[Row]):
    """The rows of a JSON-lines file, read and parsed on demand; ``remedy`` ends every message.

    Raises `UsageError` if the file cannot be read, or a requested row is not a JSON object.
    """

    def __init__(self, path: Path, remedy: str = _REMEDY) -> None:
        self.path = path
        self.remedy = remedy
        self._lines: list[tuple[int, int, int]] = []  # offset, size, number from 1
        start = 0
        with _readable(path, remedy), path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):  # bytes: split at \n alone
                if not line.isspace():
                    self._lines.append((start, len(line), number))
                start += len(line)

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
        with _readable(self.path, self.remedy), self.path.open("rb") as stream:
            stream.seek(start)
            line = stream.read(size)
        where = self.where(index)
        return _object(_parsed(line, where, self.remedy), where, self.remedy)

    def where(self, index: int) -> str:
        """Return the file and line of a row, for messages."""
        return f"{self.path}, line {self._lines[index][2]}"


def read(path: Path) -> Sequence[Row]:
    """Return the rows of a ``.jsonl`` file, lazily, or of a JSON list; UsageError if corrupt."""
    if path.suffix == ".jsonl":
        return JsonLines(path)
    value = document(path)
    if not isinstance(value, list):
        raise UsageError(f"{path} holds no list of rows{_REMEDY}")
    return [_object(row, f"{path} row {number}") for number, row in enumerate(value, start=1)]


def document(path: Path) -> Any:
    """Return the value of a JSON file; UsageError if the file cannot be read or is corrupt."""
    with _readable(path):
        text = path.read_bytes()
    return _parsed(text, str(path))


def count(path: Path) -> int:
    """Return the number of rows, cached by the file's content; UsageError if it is corrupt."""
    with _readable(path):
        digest = file_hash(path)
    return _count(path, digest)


@lru_cache
def _count(path: Path, digest: str) -> int:
    note = cache_dir() / "rows" / digest
    try:
        return int(note.read_text(encoding="ascii"))
    except (OSError, ValueError):
        n = len(read(path))
    with suppress(OSError):  # a read-only home: count again next time
        write_text(note, f"{n}\n")
    return n


@contextmanager
def _readable(path: Path, remedy: str = _REMEDY) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} is not readable ({error.strerror}){remedy}") from error


def _parsed(text: bytes, where: str, remedy: str = _REMEDY) -> Any:
    try:
        decoded = text.decode("utf-8")
        value = parse(decoded)
        if "\\ud" in decoded.lower():  # lone surrogate, such as \ud83d
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{where} holds half of a character (\\ud800){remedy}") from error
    except ValueError as error:
        raise UsageError(f"{where} is not JSON ({error}){remedy}") from error
    return value


def _object(value: Any, where: str, remedy: str = _REMEDY) -> Row:
    if not isinstance(value, dict):
        raise UsageError(f"{where} is not a JSON object{remedy}")
    return value
