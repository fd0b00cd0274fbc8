"""Workbooks (.xlsx): the rows of the first sheet, within bounds on what a small file expands to."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.imports.common.archive import LARGEST
from harness.files import plain

ROWS = 1 << 20  # a sheet's, of Excel; a file may number them as it likes
COLUMNS = 1000  # with a name that are read: a row may have a cell in column 16384 alone
_DENSE = 64 << 20  # bytes that may be of any density
_RATIO = 30  # by how much more than that may shrink; text shrinks to a fourth, XML of a bomb much


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows by the names in the first one, without empty cells.

    Of columns with one name the first counts.

    Raises:
        ImportError: openpyxl is not installed.
        Exception: it is no workbook, or expands to too much; openpyxl raises what it likes.
    """
    from openpyxl import load_workbook

    with plain.open_given(path) as stream:
        _check_size(stream)
        book = load_workbook(stream, read_only=True, data_only=True, keep_links=False)
        sheet = book.worksheets[0]
        head = next(sheet.iter_rows(max_row=1, max_col=COLUMNS, values_only=True), ())
        texts = [None if each is None else str(each) for each in head]
        names = [name if texts.index(name) == at else None for at, name in enumerate(texts)]
        filler = None
        for row in sheet.iter_rows(min_row=2, max_row=ROWS, max_col=len(names) or 1):
            if row is filler:  # one object for all rows that are missing: there may be a million
                continue
            filler = row
            found = {
                name: _value(cell)
                for name, cell in zip(names, row, strict=False)
                if name is not None and cell.value not in (None, "")
            }
            if found:
                yield found


def _check_size(stream: Any) -> None:
    with zipfile.ZipFile(stream) as archive:
        infos = archive.infolist()
    size, packed = (sum(getattr(i, n) for i in infos) for n in ("file_size", "compress_size"))
    if size > LARGEST or size > max(_DENSE, _RATIO * packed):
        raise ValueError(f"it expands from {packed >> 10} KiB to {size >> 20} MiB")


def _value(cell: Any) -> Any:
    """Return a cell's value: a whole number as one, whatever its form."""
    value = cell.value
    if cell.data_type == "e":
        return float("nan")
    return int(value) if isinstance(value, float) and value.is_integer() else value
