"""Raw release files: read, counted, pulled, imported and verified as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import data
from benchmarks.data.catalog.sources import source
from benchmarks.data.fetch.import_release import bring
from benchmarks.data.fetch.pull import pull
from benchmarks.data.local import json_rows
from benchmarks.data.local.verify import verify
from harness.errors import UsageError

CODE, LONG = "livecodebench_v6", "longbench_v2"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def rows(benchmark: str, n: int) -> list[dict[str, Any]]:
    columns = source(benchmark).tables[0].columns
    return [{name: f"{name} {i} \u2028 é" for name in columns} for i in range(n)]


def lines(path: Path, table: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in table) + "\n\n")
    return path


def listed(path: Path, table: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table))
    return path


def release(folder: Path, benchmark: str, n: int) -> Path:
    table = source(benchmark).tables[0]
    write = lines if table.file.endswith("l") else listed
    return write(folder / table.file, rows(benchmark, n))


@pytest.mark.parametrize("benchmark", [CODE, LONG])
def test_rows_count_and_fingerprint(tmp_path: Path, benchmark: str) -> None:
    path = release(tmp_path / benchmark, benchmark, 5)
    (found,) = data.tables(benchmark, tmp_path)
    assert found.form == "raw"
    table = data.records(found)
    assert list(table) == rows(benchmark, 5)
    assert table[3] == rows(benchmark, 5)[3]
    assert data.count(benchmark, tmp_path) == 5
    before = data.fingerprint(benchmark, tmp_path)
    path.write_bytes(path.read_bytes().replace(b" 4 ", b" 5 "))
    assert data.fingerprint(benchmark, tmp_path) != before


def test_json_lines_take_slices_and_know_their_end(tmp_path: Path) -> None:
    table = json_rows.JsonLines(lines(tmp_path / "x.jsonl", [{"i": i} for i in range(4)]))
    assert list(table[1:3]) == [{"i": 1}, {"i": 2}]
    assert table[-1] == {"i": 3}
    with pytest.raises(IndexError):
        table[4]


def test_a_count_follows_the_content(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", [{}] * 3)
    assert json_rows.count(path) == json_rows.count(path) == 3
    lines(path, [{}] * 4)
    assert json_rows.count(path) == 4


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.jsonl", '{"a": 1}\n{"a": \n', r"x\.jsonl, line 2 is not JSON"),
        ("x.jsonl", "\n[1]\n", r"x\.jsonl, line 2 is not a JSON object"),
        ("x.json", '[{"a": 1}', r"x\.json is not JSON"),
        ("x.json", '{"a": 1}', r"x\.json holds no list of rows"),
        ("x.json", '[{"a": 1}, 2]', r"x\.json row 2 is not a JSON object"),
    ],
)
def test_corrupt_files_are_told(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=said):
        list(json_rows.read(tmp_path / name))


def test_what_datasets_saved_is_read_too(tmp_path: Path) -> None:
    from datasets import Dataset

    Dataset.from_list(rows(LONG, 3)).save_to_disk(tmp_path / LONG)
    Dataset.from_list(rows(CODE, 3)).to_parquet(tmp_path / CODE / "test6.parquet")
    for benchmark in (LONG, CODE):
        (found,) = data.tables(benchmark, tmp_path)
        assert list(data.records(found)) == rows(benchmark, 3)
        assert data.count(benchmark, tmp_path) == 3


@pytest.mark.parametrize("benchmark", [CODE, LONG])
def test_pull_takes_the_file_at_the_pinned_commit(tmp_path: Path, benchmark: str) -> None:
    origin = source(benchmark)
    name = origin.repository.replace("/", "--")
    cached = tmp_path / "hub" / f"datasets--{name}" / "snapshots" / str(origin.revision)
    release(cached, benchmark, 2)
    lines(cached / "test5.jsonl", rows(CODE, 1))  # large in truth, so left where it is
    done = pull(benchmark, tmp_path / "data", local=tmp_path / "hub")
    assert (done.rows, done.receipt.revision) == (2, origin.revision)
    there = {path.name for path in (tmp_path / "data" / benchmark).iterdir()}
    assert there == {"source.json", origin.tables[0].file}


def test_a_repository_without_the_file_is_told(tmp_path: Path) -> None:
    lines(tmp_path / "copy" / "test5.jsonl", rows(CODE, 1))
    with pytest.raises(UsageError, match="holds no files for test6"):
        pull(CODE, tmp_path / "data", local=tmp_path / "copy")


def test_import_copies_every_known_file(tmp_path: Path) -> None:
    folder, root = tmp_path / "release", tmp_path / "data"
    lines(folder / "test6.jsonl", rows(CODE, 3))
    lines(folder / "test5.jsonl", rows(CODE, 2))
    lines(folder / "other.jsonl", rows(CODE, 2))
    done = bring(CODE, folder, root)
    assert done.splits == {"test6": 3, "test5": 2}
    there = {path.name for path in (root / CODE).iterdir()}
    assert there == {"source.json", "test6.jsonl", "test5.jsonl"}
    assert done.fingerprint == data.fingerprint(CODE, root)
    with pytest.raises(UsageError, match="--force replaces it"):
        bring(CODE, folder, root)
    assert bring(CODE, folder, root, split="test6", force=True).splits == {"test6": 3}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ([{"question_id": "1"}], "lacks question_title, question_content"),
        ([], "holds no items"),
    ],
)
def test_import_refuses_other_files(tmp_path: Path, table: list[dict[str, Any]], said: str) -> None:
    lines(tmp_path / "release" / "test6.jsonl", table)
    with pytest.raises(UsageError, match=said):
        bring(CODE, tmp_path / "release", tmp_path / "data")
    assert not (tmp_path / "data").exists()
    with pytest.raises(UsageError, match=r"holds no test6\.jsonl or test\.jsonl"):
        bring(CODE, tmp_path, tmp_path / "data")


def test_verify_counts_and_tells_changes(tmp_path: Path) -> None:
    lines(tmp_path / "release" / "test6.jsonl", rows(CODE, 175))
    bring(CODE, tmp_path / "release", tmp_path / "data")
    report = verify(CODE, tmp_path / "data")
    assert report.problems == ()
    assert [(t.split, t.form, t.rows) for t in report.tables] == [("test6", "raw", 175)]
    lines(tmp_path / "data" / CODE / "test6.jsonl", rows(CODE, 174))
    first, second = verify(CODE, tmp_path / "data").problems
    assert "test6 has 174 rows, the official number is 175" in first
    assert "the files are not those that were put there" in second


def test_missing_data_names_both_ways_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"harness data pull .*or import an official release"):
        data.count(CODE, tmp_path)


def test_raw_files_are_read_without_datasets(tmp_path: Path) -> None:
    release(tmp_path / CODE, CODE, 2)
    program = (
        "import sys; from pathlib import Path; from benchmarks import data;"
        f"(found,) = data.tables('{CODE}', Path(sys.argv[1])); list(data.records(found));"
        "print([m for m in ('torch', 'datasets', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
