"""Small files that expand: workbooks, and documents in ZIP files."""

from __future__ import annotations

import json
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.imports.common.archive import MOST, Archive
from benchmarks.imports.common.workbook import rows
from benchmarks.imports.formats.vlmevalkit import table
from harness.errors import UsageError

GOOD = [{"index": 1, "prediction": "A", "hit": 1.0}, {"index": 2, "prediction": "B", "hit": 0.5}]


def with_rows(path: Path, edit: Callable[[str], str]) -> Path:
    """Write a good workbook whose last rows are edited as XML."""
    pd.DataFrame(GOOD).to_excel(path.with_suffix(".good.xlsx"), index=False)
    with (
        zipfile.ZipFile(path.with_suffix(".good.xlsx")) as good,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as changed,
    ):
        for name in good.namelist():
            text = good.read(name).decode()
            changed.writestr(name, edit(text) if name.endswith("sheet1.xml") else text)
    return path


def add(more: str) -> Callable[[str], str]:
    return lambda text: text.replace("</sheetData>", f"{more}</sheetData>")


WIDE = "".join(
    f'<row r="{n}"><c r="A{n}"><v>{n}</v></c><c r="XFD{n}"><v>1</v></c></row>'
    for n in range(4, 20_000)
)


@pytest.mark.timeout(60)
def test_cells_far_away_cost_nothing(tmp_path: Path) -> None:
    """A file of 1 kB would be filled up to its last row, 140 kB a row up to its last column."""
    far = '<row r="{0}"><c r="A{0}"><v>7</v></c></row>'
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = with_rows(tmp_path / "far.xlsx", add(far.format(2_000_000_000)))
    assert list(rows(path)) == [
        {"index": 1, "prediction": "A", "hit": 1},
        {"index": 2, "prediction": "B", "hit": 0.5},
    ]
    path = with_rows(tmp_path / "last.xlsx", add(far.format(1 << 20)))
    assert [row["index"] for row in rows(path)] == [1, 2, 7]
    found = table(with_rows(tmp_path / "wide.xlsx", add(WIDE)))
    assert len(found) == 20_000 - 4 + 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB


def test_a_workbook_that_expands_without_measure_is_refused(tmp_path: Path) -> None:
    path = with_rows(tmp_path / "dense.xlsx", add('<row r="4">' + "<c><v>1</v></c>" * 6_000_000))
    with pytest.raises(UsageError, match=r"cannot be read as a table: .*expands from \d+ KiB to"):
        table(path)


def test_a_document_of_more_values_than_fit_in_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("bomb.json", b'{"a":[' + b"0," * MOST + b"0]}")
        archive.writestr("good.json", json.dumps({"a": [0] * 9}))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(UsageError, match=r"bomb\.json cannot be read: it holds more than"):
        Archive(path).document("bomb.json")
    assert Archive(path).document("good.json") == {"a": [0] * 9}
