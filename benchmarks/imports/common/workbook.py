"""Workbooks (.xlsx): the rows of the first sheet, with bounds on decompression."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.imports.common.archive import LARGEST
from harness.files import plain

ROWS = 1 << 20  # Excel's limit per sheet; a file may number rows arbitrarily
COLUMNS = 1000  # named columns read; a row may have a single cell in column 16384
_DENSE = 64 << 20  # bytes that may have any compression ratio
_RATIO = 30  # maximum ratio beyond that; text compresses about 4-fold, a zip bomb far more


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows by the names in the first one, without empty cells.

    Of columns with the same name, the first counts. Raises `ImportError` if openpyxl is not
    installed, `Exception` if it is not a workbook, or expands too much; openpyxl raises many types.
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
            if row is filler:  # one object for all missing rows, of which there may be a million
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
    """Return a cell's value; a whole number as an int, whatever its form."""
    value = cell.value
    if cell.data_type == "e":
        return float("nan")
    return int(value) if isinstance(value, float) and value.is_integer() else value
