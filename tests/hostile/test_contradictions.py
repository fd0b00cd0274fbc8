"""A run folder that contradicts itself, or another one: no number is made of it in silence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablations.statistics.comparison.sides import checkpoints
from ablations.statistics.contrasts import Rules
from harness.errors import UsageError
from harness.records import Score, Status
from harness.runs.store import read_samples
from reports.read.runs import answers, open_run

STORED = Path(__file__).parents[1] / "golden" / "stored" / "studies" / "trained" / "runs"
SAMPLES = Path("samples", "vstar.jsonl")
Row = dict[str, Any]


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    sides = tmp_path / "a", tmp_path / "b"
    for side, arm in zip(sides, ("grpo", "contextrl"), strict=True):
        (stored,) = (STORED / f"{arm}-seed-0").glob("*-vqa12-*")
        shutil.copytree(stored, side)
    return sides


def change(path: Path, changed: Callable[[Row], Row]) -> None:
    """Change each line, and keep the bytes of the others as they are."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [json.dumps(changed(json.loads(line)), separators=(",", ":")) for line in lines]
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


@given(value=st.none() | st.floats(0, 1), status=st.sampled_from(get_args(Status)))
def test_a_score_has_the_value_that_its_status_allows(value: float | None, status: Status) -> None:
    allowed = {"scored": value is not None, "unparsable": value == 0}.get(status, value is None)
    try:
        Score(value, status)
    except ValueError:
        assert not allowed
    else:
        assert allowed


@pytest.mark.parametrize(
    "changed",
    [
        {"score": {"value": 1.0, "status": "error"}},
        {"score": {"value": 1.0, "status": "unparsable"}},
        {"score": {"value": None, "status": "scored"}},
        {"repeat": -7},
    ],
)
def test_a_line_that_contradicts_itself_is_refused(runs: tuple[Path, Path], changed: Row) -> None:
    change(runs[0] / SAMPLES, lambda row: row | changed)
    for read in (read_samples, answers):
        with pytest.raises(UsageError, match=r"vstar.jsonl is corrupt at line 1"):
            read(runs[0], "vstar")


@pytest.mark.parametrize("name", ["strict", "native", "n", "answers"])
def test_a_summary_that_its_samples_contradict_is_refused(
    runs: tuple[Path, Path], name: str
) -> None:
    path = runs[0] / "summary.json"
    document = json.loads(path.read_text())
    assert open_run(runs[0], "a").rows
    (row,) = (row for row in document["benchmarks"] if row["benchmark"] == "vstar")
    row[name] = 0.99 if name in ("strict", "native") else 1000
    path.write_text(json.dumps(document))
    for use in (lambda: open_run(runs[0], "a"), lambda: checkpoints(*runs, Rules())):
        with pytest.raises(UsageError, match="of vstar, whose samples say"):
            use()


def test_runs_with_other_right_answers_are_not_compared(runs: tuple[Path, Path]) -> None:
    change(runs[1] / SAMPLES, lambda row: row | {"target": "something else"})
    with pytest.raises(UsageError, match="vstar: the right answer to 0 is another"):
        checkpoints(*runs, Rules())


def test_clusters_that_differ_between_runs_are_told(runs: tuple[Path, Path]) -> None:
    assert not any("in other clusters" in note for note in checkpoints(*runs, Rules()).notes)
    change(runs[1] / SAMPLES, lambda row: row | {"cluster": f"own {row['id']}"})
    notes = checkpoints(*runs, Rules()).notes
    assert any("vstar: in other clusters or parts in" in note for note in notes)
