"""Rows of a table of questions: TSV, CSV, JSON lines, a JSON list or parquet, read on demand.

Only pyarrow is imported, for parquet. A message ends with what to do, and names the row.
"""

from __future__ import annotations

import csv
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, Protocol

from benchmarks.data.local import json_rows
from benchmarks.data.local.json_rows import JsonLines, Row
from benchmarks.data.local.row_groups import rows_of_group
from harness.errors import UsageError, first_line

_REMEDY = ": repair the file"
_DELIMITERS = {".tsv": "\t", ".csv": ","}
SUFFIXES = (*_DELIMITERS, ".jsonl", ".json", ".parquet")
"""The endings of files that are tables."""


class Rows(Protocol):
    """The rows of a table, by number from 0."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Row:
        """Return one row; UsageError if it cannot be read."""

    def where(self, index: int) -> str:
        """Return file and row, for messages."""


def open_rows(path: Path) -> Rows:
    """Return the rows of a table, by its ending; UsageError if it is none, empty or unreadable."""
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    rows = _opened(path)
    if not len(rows):
        raise UsageError(f"{path} holds no rows")
    return rows


def _opened(path: Path) -> Rows:
    suffix = path.suffix.lower()
    if suffix in _DELIMITERS:
        return _Delimited(path, _DELIMITERS[suffix])
    if suffix == ".jsonl":
        return JsonLines(path, _REMEDY)
    if suffix == ".json":
        return _Listed(path)
    if suffix == ".parquet":
        return _Parquet(path)
    raise UsageError(f"{path} is not a table: its name must end in one of {', '.join(SUFFIXES)}")


class _Delimited:
    """Records of a TSV or CSV file with a header; cells are texts, empty ones are left out.

    Quotes are read as pandas writes them (RFC 4180): a cell that begins with one ends with one.
    """

    def __init__(self, path: Path, delimiter: str) -> None:
        self.path, self._delimiter = path, delimiter
        csv.field_size_limit(sys.maxsize)  # images are base64 texts
        self._places: list[tuple[int, int, int]] = []  # offset, size, line from 1
        self._names: list[str] = []
        try:
            with path.open("rb") as stream:
                for offset, size, line, cells in self._records(stream):
                    if not self._names:
                        self._names = cells
                        self._check_header()
                    elif any(cells):
                        if len(cells) > len(self._names):
                            raise UsageError(
                                f"{path}, line {line} has {len(cells)} cells, the header "
                                f"{len(self._names)}{_REMEDY}"
                            )
                        self._places.append((offset, size, line))
        except OSError as error:
            raise UsageError(f"{path} is not readable ({error.strerror})") from error

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Row:
        offset, size, line = self._places[index]
        with self.path.open("rb") as stream:
            stream.seek(offset)
            record = stream.read(size)
        _, _, _, cells = next(self._records(iter(record.splitlines(keepends=True)), line))
        return {n: cell for n, cell in zip(self._names, cells, strict=False) if n and cell}

    def where(self, index: int) -> str:
        return f"{self.path}, line {self._places[index][2]}"

    def _records(
        self, stream: BinaryIO | Iterator[bytes], line: int = 1
    ) -> Iterator[tuple[int, int, int, list[str]]]:
        """Yield the offset, size, first line and cells of each record."""
        start = end = 0
        first = last = line - 1

        def texts() -> Iterator[str]:
            nonlocal end, last
            for raw in stream:
                end, last = end + len(raw), last + 1
                yield raw.decode("utf-8-sig" if last == 1 else "utf-8")

        reader = csv.reader(texts(), delimiter=self._delimiter, strict=True)
        try:
            for cells in reader:
                yield start, end - start, first + 1, cells
                start, first = end, last
        except (csv.Error, UnicodeDecodeError) as error:
            raise UsageError(
                f"{self.path}, line {first + 1}: {first_line(error)}{_REMEDY}"
            ) from error

    def _check_header(self) -> None:
        twice = [name for name, times in Counter(self._names).items() if name and times > 1]
        if twice:
            raise UsageError(f"{self.path} has two columns named {min(twice)!r}{_REMEDY}")


class _Listed(list[Row]):
    """Rows of a JSON list."""

    def __init__(self, path: Path) -> None:
        super().__init__(json_rows.read(path))
        self._path = path

    def where(self, index: int) -> str:
        return f"{self._path}, row {index + 1}"


class _Parquet:
    """The rows of a parquet file; one row group is cached."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        self._path, self._errors = path, (pa.ArrowException, OSError)
        try:
            self._file = parquet.ParquetFile(path)
        except self._errors as error:
            raise UsageError(f"{path} does not open ({first_line(error)}){_REMEDY}") from error
        meta = self._file.metadata
        sizes = (meta.row_group(number).num_rows for number in range(meta.num_row_groups))
        self._ends = list(accumulate(sizes))
        self._kept: tuple[int, list[Row]] = (-1, [])

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Row:
        group = bisect_right(self._ends, index)
        if self._kept[0] != group:
            try:
                rows = rows_of_group(self._file, self._path, group)
            except self._errors as error:
                raise UsageError(f"{self.where(index)}: {first_line(error)}{_REMEDY}") from error
            self._kept = group, rows
        return self._kept[1][index - (self._ends[group - 1] if group else 0)]

    def where(self, index: int) -> str:
        return f"{self._path}, row {index + 1}"
