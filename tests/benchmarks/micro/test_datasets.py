"""The embedded data sets: real schemas, right answers, the same for the same seed."""

from __future__ import annotations

import ast
import base64
import io
import re
from pathlib import Path

import pytest
from datasets import DatasetDict
from PIL import Image, ImageStat

from ablations.cli.demo import beside_chance
from benchmarks import data, suites
from benchmarks.data.local.receipt import Receipt, install
from benchmarks.micro import prepare
from benchmarks.micro.content.prompts import LETTERS
from benchmarks.micro.content.scenes import COLOURS, SIZES
from benchmarks.micro.data import datasets
from benchmarks.scoring import score
from benchmarks.suites import SUITES
from harness.errors import UsageError
from harness.protocols import build_items
from harness.records import Item

BENCHMARKS = tuple(datasets._BENCHMARKS)


@pytest.fixture(scope="module")
def root(micro_data: Path) -> Path:
    return micro_data


def test_writes_every_vqa_benchmark() -> None:
    assert SUITES["vqa12"] == BENCHMARKS


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_has_the_columns_and_counts_of_the_hub_schema(root: Path, benchmark: str) -> None:
    tables = data.load(benchmark, root)
    for table in data.source(benchmark).tables:
        if table.role == "stand-in":
            continue
        rows = tables[table.config][table.split]
        assert set(table.columns) <= set(rows.column_names)
        for row in rows:
            assert any(row.get(column) is not None for column in table.images)
    assert 24 <= data.count(benchmark, root) <= 28


def test_the_same_seed_gives_the_same_content_and_another_gives_other(tmp_path: Path) -> None:
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        datasets.write(tmp_path / folder, n=6, seed=seed)
    for benchmark in BENCHMARKS:
        first, second, other = (data.fingerprint(benchmark, tmp_path / name) for name in "abc")
        assert first == second
        assert first != other


def _choice_gold(row: dict[str, object], options: object, answer: object) -> str:
    letters = dict(zip(LETTERS, list(options), strict=False))  # type: ignore[call-overload]
    return str(letters[str(answer).strip("()")])


def _only(tables: object) -> list[dict[str, object]]:
    assert isinstance(tables, dict)
    splits = tables[""] if "" in tables else next(iter(tables.values()))
    assert isinstance(splits, DatasetDict)
    return list(next(iter(splits.values())))


def test_multiple_choice_golds_name_an_option(root: Path) -> None:
    for subtask in data.load("blink", root).values():
        for row in subtask["val"]:
            assert _choice_gold(row, row["choices"], row["answer"]) in row["choices"]
    for form in data.load("mmmu_pro", root).values():
        for row in form["test"]:
            options = ast.literal_eval(row["options"])
            assert 2 <= len(options) <= 10
            assert _choice_gold(row, options, row["answer"]) in options
    for row in _only(data.load("mathvista", root)):
        assert row["choices"] is None or row["answer"] in row["choices"]


def test_every_form_that_the_benchmarks_have_is_there(root: Path) -> None:
    vista = _only(data.load("mathvista", root))
    assert {(row["question_type"], row["answer_type"], row["precision"]) for row in vista} == {
        ("multi_choice", "text", None),
        ("free_form", "integer", None),
        ("free_form", "float", 1.0),
        ("free_form", "float", 2.0),
        ("free_form", "list", None),
    }
    assert {bool(row["unit"]) for row in vista} == {True, False}
    mmmu = _only(data.load("mmmu", root))
    assert {row["question_type"] for row in mmmu} == {"multiple-choice", "open"}
    assert any(row["image_3"] is not None for row in mmmu)
    assert any("<image 2>" in str(row["options"]) for row in mmmu)
    olympiad = _only(data.load("olympiadbench_physics", root))
    assert {row["is_multiple_answer"] for row in olympiad} == {True, False}
    assert {"1e-1", None} <= {row["error"] for row in olympiad}
    verse = _only(data.load("mathverse", root))
    assert len({row["problem_version"] for row in verse if row["problem_index"] == "1"}) == 5
    vision = _only(data.load("mathvision", root))
    assert {bool(row["options"]) for row in vision} == {True, False}


# What differs between two questions of one family, but for words such as "left or right".
_DETAIL = re.compile(rf"\b({'|'.join((*COLOURS, *SIZES))})\b|\b[a-f]\d\b|\d+(\.\d+)?")


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_benchmark_asks_several_families_of_questions(root: Path, benchmark: str) -> None:
    rows = [r for splits in data.load(benchmark, root).values() for t in splits.values() for r in t]
    asked = [row.get("question") or row.get("text") or "" for row in rows]
    assert len({_DETAIL.sub("*", text.split("\n")[0]) for text in asked if text}) > 1


@pytest.mark.parametrize("form", ["multiple_choice", "open_ended"])
def test_phyx_asks_every_family_in_both_of_its_forms(root: Path, form: str) -> None:
    phyx = suites.benchmark("phyx", root, options={"form": form})
    items = [item for item in build_items(phyx) if isinstance(item, Item)]
    assert len(items) == 24
    for item in items:
        assert len(item.target.choices) == (4 if form == "multiple_choice" else 0)
        assert score(item.target.answer, item.target).value == 1.0
    tables = data.load("phyx", root)["data_for_llms_eval"].values()
    for table in tables:
        families = {"distance", "count of a colour", "share", "colour", "count"}
        assert set(table["subfield"]) == families


@pytest.mark.parametrize(
    ("benchmark", "column"), [("mme_realworld_lite", "bytes"), ("phyx", "image")]
)
def test_base64_columns_hold_pictures(root: Path, benchmark: str, column: str) -> None:
    for row in _only(data.load(benchmark, root)):
        picture = Image.open(io.BytesIO(base64.b64decode(str(row[column]))))
        assert max(ImageStat.Stat(picture.convert("RGB")).stddev) > 0


@pytest.mark.slow
def test_a_world_of_another_version_is_made_anew_and_what_is_not_its_own_stays(
    tmp_path: Path,
) -> None:
    out = tmp_path / "demo"
    model, root = prepare.prepare(out)
    old = (model / "old.bin", root / "vstar" / "old.arrow")
    for path in old:
        path.touch()
    assert prepare.prepare(out) == (model, root)
    assert all(path.exists() for path in old)
    notes = suites.notes(suites.names(), root)
    assert set(notes) == {*BENCHMARKS, "longbench_v2", "livecodebench_v6"}
    assert set(notes.values()) == {prepare.LABEL}
    root.rename(tmp_path / "large disk")
    root.symlink_to(tmp_path / "large disk")
    for name in ("niah", "mmstar"):  # the user's; one in the place of the world's
        staging = tmp_path / name
        staging.mkdir()
        (staging / "mine").write_text("years")
        install(staging, root / name, Receipt("who/what", None, "release", ""))
    (root / "thesis.txt").write_text("years")
    (out / ".micro-world").write_text("another version")
    prepare.prepare(out)
    assert not any(path.exists() for path in old)
    assert (model / "model.safetensors").exists()
    own = {name: data.count(name, root) for name in BENCHMARKS if name != "mmstar"}
    assert own == {name: 210 if name == "blink" else 200 for name in own}
    assert {path.name for path in (root / "mmstar").iterdir()} == {"mine", "source.json"}
    assert (root / "niah" / "mine").read_text() == (root / "thesis.txt").read_text() == "years"
    (root / "vstar" / "kept").touch()
    prepare.prepare(out)  # it is of this version now
    assert (root / "vstar" / "kept").exists()
    assert not list(out.glob(".making-*"))


@pytest.mark.parametrize("name", ["model", "data"])
def test_folders_that_no_micro_world_wrote_stay(tmp_path: Path, name: str) -> None:
    work = tmp_path / name / "thesis.txt"
    work.parent.mkdir()
    work.write_text("years")
    with pytest.raises(UsageError, match=f"{name} is not part of the micro world"):
        prepare.prepare(tmp_path)
    assert work.read_text() == "years"


def test_a_benchmark_without_scores_stands_beside_chance_as_a_dash(tmp_path: Path) -> None:
    (row,) = beside_chance(tmp_path, ["vstar"]).splitlines()[1:-1]
    assert row.split() == ["vstar", "-", "-", "-", "0", "0"]
