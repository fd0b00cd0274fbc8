"""`import_log` and `harness import` make the same runs of the same log, whatever is asked."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import benchmarks
from benchmarks.cli.import_ import import_
from harness.errors import UsageError
from harness.reading import read_run
from tests.benchmarks.imports.reading import LOGS

EVALSCOPE = LOGS / "evalscope"  # two models, two tasks each
CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({"scale": (0, 4)}, ["--scale", "0,4"]),
    (
        {"scale": {"general_mcq": (0, 3), "general_qa": (0, 5)}},
        ["--scale", "general_mcq=0,3", "--scale", "general_qa=0,5"],
    ),
    ({"scale": (-1, 3), "lower_is_better": True}, ["--scale=-1,3", "--lower-is-better"]),
    ({"tasks": ["general_qa"]}, ["--tasks", "general_qa"]),
    ({"tasks": "general_qa"}, ["--tasks", "general_qa"]),
    (
        {"metric": "accuracy", "tasks": ["general_mcq"]},
        ["--metric=accuracy", "--tasks=general_mcq"],
    ),
    ({"model_name": "mine"}, ["--model-name", "mine"]),
    ({"seed": 3}, ["--seed", "3"]),
    ({"source_scores": True}, ["--source-scores"]),
    (
        {"benchmark": {"general_qa": "vstar"}, "source_scores": True},
        ["--benchmark", "general_qa=vstar", "--source-scores"],
    ),
    ({"benchmark": "vstar", "source_scores": True}, ["--benchmark=vstar", "--source-scores"]),
    ({"form": "evalscope"}, []),
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    rows = [{"id": f"{n}", "response": "A", "score": n, "benchmark": "one"} for n in (0, 1, 3)]
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.mark.parametrize(("options", "words"), CASES, ids=lambda each: str(each)[:60])
def test_both_ways_make_the_same_runs(
    options: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    ours = benchmarks.import_log(EVALSCOPE, out=tmp_path / "a", **options)
    arguments = ["evalscope", str(EVALSCOPE), "--out", str(tmp_path / "b"), *words]
    import_.main(arguments, standalone_mode=False)
    theirs = {path.name: read_run(path) for path in (tmp_path / "b").iterdir()}
    assert {run.path.name for run in ours} == set(theirs)
    assert len(ours) == 2
    for run in ours:
        other = theirs[run.path.name]
        assert (run.manifest["base"], run.model) == (other.manifest["base"], other.model)
        assert run.samples().drop(columns="time").equals(other.samples().drop(columns="time"))


def test_no_option_of_the_command_is_missing() -> None:
    other = {"words": "form", "benchmarks": "benchmark", "scales": "scale"}
    asked = {other.get(str(each.name), str(each.name)) for each in import_.params} - {"as_json"}
    assert asked == set(inspect.signature(benchmarks.import_log).parameters) - {"paths"}


def test_a_scale_turns_scores_into_shares(log: Path, tmp_path: Path) -> None:
    """By hand: 0, 1 and 3 of 4, and turned around."""
    (run,) = benchmarks.import_log(log, out=tmp_path, scale=(0, 4), tasks=["one"])
    assert run.samples()["value"].tolist() == [0.0, 0.25, 0.75]
    (run,) = benchmarks.import_log(log, out=tmp_path, scale=(0, 4), lower_is_better=True)
    assert run.samples("one")["value"].tolist() == [1.0, 0.75, 0.25]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "range"),
        ({"scale": (4, 0)}, "LOW below HIGH"),
        ({"scale": (0, float("nan"))}, "LOW below HIGH"),
        ({"scale": 4}, "LOW below HIGH"),
        ({"scale": (0, 4), "tasks": ["three"]}, "no task 'three'"),
        ({"scale": {"three": (0, 4)}}, "no task 'three'"),
        ({"scale": (0, 4), "metric": "bleu"}, "bleu"),
        ({"scale": (0, 4), "model_name": "a\nb"}, "use a line"),
        ({"scale": (0, 4), "form": "csv"}, "csv"),
    ],
    ids=lambda each: str(each)[:40],
)
def test_wrong_options_are_one_line(
    options: dict[str, Any], words: str, log: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        benchmarks.import_log(log, out=tmp_path / "runs", **options)
    assert not list(tmp_path.glob("runs/*"))
