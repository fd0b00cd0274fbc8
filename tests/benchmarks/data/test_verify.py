"""`harness data verify`: each thing that can be wrong is told in one line."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, Features, Value
from PIL import Image

from benchmarks import data, suites
from benchmarks.data.catalog.sources import source
from benchmarks.data.fetch.pull import pull
from benchmarks.data.local.verify import SAMPLE, verify
from benchmarks.longhorizon.swebench.tasks import TaskSet
from benchmarks.micro.data import datasets as micro
from benchmarks.micro.data import repositories
from benchmarks.suites import SUITES
from tests.commands import harness

OFFICIAL = source("vstar").tables[0].count


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def picture(i: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (9, 7), (i % 256, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def vstar_rows(n: int = OFFICIAL) -> list[dict[str, Any]]:
    """Rows with V*'s columns and as many as V* has."""
    return [
        {
            "image": {"bytes": picture(i), "path": None},
            "text": f"What is {i}?",
            "category": "direct_attributes",
            "label": "A",
            "question_id": str(i),
        }
        for i in range(n)
    ]


def save(rows: list[dict[str, Any]], root: Path, benchmark: str = "vstar") -> Path:
    from datasets import Image as ImageFeature

    table = Dataset.from_list(rows).cast_column("image", ImageFeature())
    DatasetDict({"test": table}).save_to_disk(root / benchmark)
    return root


def test_a_whole_data_set_is_well(tmp_path: Path) -> None:
    save(vstar_rows(), tmp_path)
    report = verify("vstar", tmp_path)
    assert report.problems == ()
    assert report.notes == ()
    assert [(t.rows, t.official, t.decoded) for t in report.tables] == [(191, 191, SAMPLE)]
    assert report.fingerprint == data.fingerprint("vstar", tmp_path)
    done = harness("data", "verify", "vstar", "--data-root", tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout == f"vstar: 191/191 rows, fingerprint {report.fingerprint}\n"


def test_a_wrong_count_is_told(tmp_path: Path) -> None:
    save(vstar_rows(5), tmp_path)
    assert verify("vstar", tmp_path).problems == (
        "vstar: test has 5 rows, the official number is 191",
    )


def test_no_rows_are_a_wrong_count(tmp_path: Path) -> None:
    save(vstar_rows(1), tmp_path / "one")
    rows = data.load("vstar", tmp_path / "one")[""]["test"].select([])
    DatasetDict({"test": rows}).save_to_disk(tmp_path / "vstar")
    (problem,) = verify("vstar", tmp_path, all_images=True).problems
    assert problem == "vstar: test has 0 rows, the official number is 191"


def test_missing_columns_are_named(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k not in ("label", "text")} for row in vstar_rows()]
    save(rows, tmp_path)
    assert verify("vstar", tmp_path).problems == ("vstar: test lacks the columns text, label",)


def test_images_that_do_not_decode_are_told(tmp_path: Path) -> None:
    rows = vstar_rows()
    rows[5]["image"] = {"bytes": picture(5)[:40], "path": None}
    rows[6]["image"] = {"bytes": b"no image", "path": None}
    rows[7]["image"] = None
    save(rows, tmp_path)
    assert verify("vstar", tmp_path).problems == ()  # not among the few that are looked at
    (problem,) = verify("vstar", tmp_path, all_images=True).problems
    assert problem.startswith("vstar: test: the images of 3 of 191 rows looked at do not decode")
    assert "(row 5: " in problem
    rows[0]["image"] = None
    save(rows, tmp_path / "b")
    (problem,) = verify("vstar", tmp_path / "b").problems
    assert problem.endswith(f"1 of {SAMPLE} rows looked at do not decode (row 0: it has no image)")


def test_base64_images_are_looked_at_too(tmp_path: Path) -> None:
    """PhyX keeps its images as base64 text."""
    table = source("phyx").tables[0]
    rows = [dict.fromkeys(table.columns, "x") for _ in range(3)]
    for i, row in enumerate(rows):
        row["image"] = base64.b64encode(picture(i)).decode()
    rows[1]["image"] = "%%% no base64 %%%"
    rows[2]["image"] = base64.b64encode(b"no image").decode()
    features = Features(dict.fromkeys(table.columns, Value("string")))
    saved = Dataset.from_list(rows, features=features)
    DatasetDict({table.split: saved}).save_to_disk(tmp_path / "phyx")
    problems = verify("phyx", tmp_path).problems
    assert (
        problems[0]
        == "phyx: data_for_llms_eval/phyx_mini_mc has 3 rows, the official number is 1000"
    )
    assert "the images of 2 of 3 rows looked at do not decode (row 1: " in problems[1]


@pytest.mark.parametrize("benchmark", SUITES["vqa12"])
def test_the_embedded_data_differ_from_the_official_in_number_only(
    tmp_path: Path, benchmark: str, embedded: Path
) -> None:
    report = verify(benchmark, embedded, all_images=True)
    assert report.problems
    assert all("the official number is" in problem for problem in report.problems)
    assert all(table.decoded == table.rows for table in report.tables)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("embedded")
    micro.write(root, n=14, seed=1)
    return root


def test_files_that_changed_since_the_pull_are_told(tmp_path: Path) -> None:
    copy, root = tmp_path / "copy", tmp_path / "data"
    (copy / "data").mkdir(parents=True)
    save(vstar_rows(), tmp_path / "saved")
    rows = data.load("vstar", tmp_path / "saved")[""]["test"]
    rows.to_parquet(copy / "data" / "test-00000-of-00001.parquet")
    pull("vstar", root, local=copy)
    report = verify("vstar", root)
    assert report.problems == ()
    assert report.notes == ("copied from a folder that does not tell its commit",)
    rows.select(range(190, -1, -1)).to_parquet(
        root / "vstar" / "data" / "test-00000-of-00001.parquet"
    )
    (problem,) = verify("vstar", root).problems
    assert problem.startswith("vstar: the files are not those that were put there")


@pytest.mark.parametrize(
    ("revision", "benchmark", "note"),
    [
        ("a" * 40, "vstar", f"at commit {'a' * 40}, not at the pinned {source('vstar').revision}"),
        (source("vstar").revision, "vstar", None),
    ],
)
def test_another_commit_than_the_pinned_one_is_noted(
    tmp_path: Path, revision: str, benchmark: str, note: str | None
) -> None:
    save(vstar_rows(), tmp_path, benchmark)
    receipt = {
        "repository": source(benchmark).repository,
        "revision": revision,
        "origin": "hub",
        "fingerprint": data.fingerprint(benchmark, tmp_path),
    }
    (tmp_path / benchmark / "source.json").write_text(json.dumps(receipt))
    report = verify(benchmark, tmp_path)
    assert report.problems == ()
    assert report.revision == revision
    assert report.notes == ((note,) if note else ())


def test_damage_and_absence_are_problems_with_exit_code_2(tmp_path: Path) -> None:
    save(vstar_rows(3), tmp_path)
    path = next((tmp_path / "vstar").rglob("*.arrow"))
    path.write_bytes(path.read_bytes()[:100])
    done = harness("data", "verify", "vqa12", "--data-root", tmp_path, "--json")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 12
    assert all(line.startswith("harness: ") for line in lines)
    assert sum("harness data pull" in line for line in lines) == 11
    assert sum("is damaged" in line and "download it again" in line for line in lines) == 1
    document = json.loads(done.stdout)
    assert document["ok"] is False
    assert [row["benchmark"] for row in document["benchmarks"]] == list(SUITES["vqa12"])


def test_an_unknown_name_is_one_line(tmp_path: Path) -> None:
    done = harness("data", "verify", "vstr", "--data-root", tmp_path)
    assert done.returncode == 2
    assert done.stderr == "harness: no suite or benchmark named 'vstr': did you mean vstar?\n"


def test_a_task_repository_is_checked_in_the_place_of_swe_bench(tmp_path: Path) -> None:
    repositories.write(tmp_path)
    report = suites.verify("swebench_lite", tmp_path)
    assert report.problems == ()
    assert [(t.form, t.rows, t.official) for t in report.tables] == [("task repository", 10, 300)]
    assert "not SWE-bench" in report.notes[0]
    assert report.fingerprint == TaskSet("swebench_lite", tmp_path).fingerprint()

    task = tmp_path / "swebench_lite" / "tasks" / "micro__pages-1"
    (task / "tests.json").write_text('{"FAIL_TO_PASS": [1], "PASS_TO_PASS": []}')
    (problem,) = suites.verify("swebench_lite", tmp_path).problems
    assert "FAIL_TO_PASS of micro__pages-1" in problem
    shutil.rmtree(task / "repository")
    (problem,) = suites.verify("swebench_lite", tmp_path).problems
    assert "micro__pages-1 has no files" in problem
    (task / "task.yaml").write_text("[")
    (problem,) = suites.verify("swebench_lite", tmp_path).problems
    assert "cannot be read" in problem


def test_a_registered_benchmark_without_a_data_set_is_checked_by_the_contract(
    tmp_path: Path,
) -> None:
    """The probe names no data set to download: its pairs are put in place by hand."""
    (problem,) = suites.verify("probe", tmp_path).problems
    assert problem.startswith("probe: there is no file of pairs")
