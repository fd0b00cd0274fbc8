"""Notes of a study: when external runs were finished and who uses them, what a mean leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ablations.statistics.analysis import analyse
from ablations.statistics.contrasts import BASELINE, METHOD, Rules
from ablations.statistics.estimates import Items
from ablations.statistics.scores import ScoreTable
from ablations.study.notes import external_notes, over_items_notes
from ablations.study.plan import Plan, Request, commit, plan
from tests.ablations.statistics.test_compare import Alone, made


def planned(folder: Path, arms: dict[str, list[Path]]) -> Plan:
    """Return a plan of external runs, which is written to its folder."""
    runs = {arm: tuple(paths) for arm, paths in arms.items()}
    study = plan(Request(folder, "vqa12", runs=runs))
    commit(study)
    return study


@pytest.fixture
def arms(tmp_path: Path) -> dict[str, list[Path]]:
    return {
        arm: [made(tmp_path, f"{arm}{n}", frozenset({n}), Alone(20, id="easy")) for n in range(2)]
        for arm in (BASELINE, METHOD)
    }


def finished(arms: dict[str, list[Path]], time: str) -> None:
    """Write into every run that it was finished at this time."""
    for path in (path / "manifest.json" for paths in arms.values() for path in paths):
        manifest = json.loads(path.read_text())
        manifest["invocations"][-1]["ended"] = time
        path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("time", "end"),
    [
        ("2020-01-01T00:00:00+00:00", ", when their scores may have been known"),
        ("2999-01-01T00:00:00+00:00", ", after the plan was written (WRITTEN)"),
        # lmms-eval's form, and Inspect's without a zone
        ("20200101_120000", ", when their scores may have been known"),
        ("29990101_120000", ", after the plan was written (WRITTEN)"),
        ("2999-01-01T00:00:00", ", after the plan was written (WRITTEN)"),
    ],
)
def test_the_times_of_runs_and_plan_are_given(
    time: str, end: str, arms: dict[str, list[Path]], tmp_path: Path
) -> None:
    finished(arms, time)
    study = planned(tmp_path / "studies" / "first", arms)
    written = json.loads((study.folder / "plan.json").read_text())["written"]
    (note,) = external_notes(study)
    assert f"the runs of grpo, contextrl are external and were finished {time}" in note
    assert written in note
    assert note.endswith(end.replace("WRITTEN", written))


@pytest.mark.parametrize("time", ["unknown", "1795939421.5", ""])
def test_a_time_that_is_not_known_is_before_or_after_nothing(
    time: str, arms: dict[str, list[Path]], tmp_path: Path
) -> None:
    study = planned(tmp_path / "studies" / "first", arms)
    path = arms[METHOD][0] / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["invocations"][-1] |= {"started": time, "ended": None}
    path.write_text(json.dumps(manifest))
    (note,) = external_notes(study)
    assert "were finished at an unknown time; the plan was written " in note


def test_other_studies_of_the_same_runs_are_named(
    arms: dict[str, list[Path]], tmp_path: Path
) -> None:
    studies = tmp_path / "studies"
    planned(studies / "first", arms)
    other = {
        arm: [made(tmp_path / "o", f"o{arm}", frozenset(), Alone(20, id="easy"))] for arm in arms
    }
    assert len(external_notes(planned(studies / "second", other))) == 1
    _, note = external_notes(planned(studies / "third", {**arms, BASELINE: other[BASELINE]}))
    assert note.startswith("runs of this study are also in first, second: ")
    moved = {arm: [path.rename(tmp_path / f"m{path.name}") for path in arms[arm]] for arm in arms}
    _, note = external_notes(planned(studies / "fourth", moved))
    assert note.startswith("runs of this study are also in first, third: ")


@pytest.mark.parametrize(
    "plan",
    [
        [], {"paths": []}, {"paths": {"arms": []}}, {"paths": {"arms": {"a": [7]}}},
        {"paths": {"arms": {"a": ["\0"]}}}, {"plan": {"arms": {"a": {"content": 7}}}},
    ],
)  # fmt: skip
def test_what_is_no_plan_beside_a_study_names_no_run(
    plan: object, arms: dict[str, list[Path]], tmp_path: Path
) -> None:
    study = planned(tmp_path / "studies" / "mine", arms)
    (tmp_path / "studies" / "other").mkdir()
    (tmp_path / "studies" / "other" / "plan.json").write_text(json.dumps(plan))
    assert len(external_notes(study)) == 1


@pytest.mark.parametrize("seeds", [1, 2])
def test_what_differences_over_items_leave_out_is_noted(seeds: int) -> None:
    """One cluster has no standard error; over several seeds no difference is over items."""
    rng = np.random.default_rng(0)
    items = {"many": Items.plain(40), "few": Items(np.zeros(5, dtype=int), np.ones((5, 1), bool))}
    scores = {
        name: {arm: rng.random((seeds, len(kinds.clusters))) for arm in ("grpo", "contextrl")}
        for name, kinds in items.items()
    }
    table = ScoreTable(scores, items, frozenset(), ())
    analysis = analyse(scores, items, Rules(resamples=20))
    notes = over_items_notes(table, analysis)
    assert [note.partition(",")[0] for note in notes] == (
        ["few: left out of the mean of differences over items"] if seeds == 1 else []
    )
    # Without the note the arms' means would say another difference.
    (total,), means = analysis.contrasts, {line.arm: line.mean for line in analysis.arms}
    alike = total.delta == pytest.approx(means["contextrl"] - means["grpo"])
    assert alike is (not notes)
