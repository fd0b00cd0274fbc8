"""Small files that expand: workbooks, and documents in ZIP files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from copy import copy
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


# A process of its own: its peak of memory is that of these files.
READ = """
import json, sys
from pathlib import Path
import openpyxl
from benchmarks.imports.formats.vlmevalkit import table

def peak():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

before = peak()
found = [[row["index"] for row in table(Path(name))] for name in sys.argv[1:]]
print(json.dumps([found, peak() - before]))
"""


@pytest.mark.timeout(60)
def test_cells_far_away_cost_nothing(tmp_path: Path) -> None:
    """A file of 1 kB would be filled up to its last row, 140 kB a row up to its last column."""
    far = '<row r="{0}"><c r="A{0}"><v>7</v></c></row>'
    beyond = with_rows(tmp_path / "far.xlsx", add(far.format(2_000_000_000)))
    assert list(rows(beyond)) == [
        {"index": 1, "prediction": "A", "hit": 1},
        {"index": 2, "prediction": "B", "hit": 0.5},
    ]
    last = with_rows(tmp_path / "last.xlsx", add(far.format(1 << 20)))
    wide = with_rows(tmp_path / "wide.xlsx", add(WIDE))
    done = subprocess.run(
        [sys.executable, "-c", READ, beyond, last, wide],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    found, grown = json.loads(done.stdout)
    assert found == [[1, 2], [1, 2, 7], [1, 2, *range(4, 20_000)]]
    assert grown < 300_000  # KiB


def test_of_columns_with_one_name_the_first_counts(tmp_path: Path) -> None:
    """As in pandas, which calls the second one ``prediction.1``."""
    path = tmp_path / "twice.xlsx"
    columns = ["index", "prediction", "prediction"]
    pd.DataFrame([[1, "A", "B"]], columns=columns).to_excel(path, index=False)
    assert list(rows(path)) == [{"index": 1, "prediction": "A"}]
    assert pd.read_excel(path)["prediction"].tolist() == ["A"]


def test_a_workbook_of_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "empty.xlsx"
    pd.DataFrame([], columns=["index", "prediction"]).to_excel(path, index=False)
    assert list(rows(path)) == []
    with pytest.raises(UsageError, match=r"empty\.xlsx holds no rows"):
        table(path)


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


def test_many_documents_in_one_place_of_an_archive_are_refused(tmp_path: Path) -> None:
    """Names that all stand for the same few bytes: each document is small, all together are not."""
    path = tmp_path / "a.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples/1_epoch_1.json", '{"a": "' + " " * (20 << 20) + '"}')
        (one,) = archive.infolist()
        for number in range(2, 100):
            other = copy(one)
            other.filename = f"samples/{number}_epoch_1.json"
            archive.filelist.append(other)
    assert path.stat().st_size < 50_000
    with pytest.raises(UsageError, match=r"\.eval expands from \d+ KiB to 1980 MiB"):
        Archive(path)
