"""`harness runs` and `harness studies`: what is there, with state and scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import fmean

import pytest

from harness.files.locking import alone, is_held
from harness.runs.summary import macro_average, read_summaries
from tests.commands import harness, one_line

STORED = Path(__file__).parents[2] / "golden" / "stored"
RUN = "weights-vqa12-bed0bccd"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STORED / "runs" / RUN, tmp_path / "runs" / RUN))


def states(folder: Path) -> dict[str, str]:
    rows = json.loads(harness("runs", folder, "--json").stdout)["runs"]
    return {Path(row["run"]).name: row["state"] for row in rows}


def test_runs_are_listed_with_their_mean_score(run: Path) -> None:
    (row,) = json.loads(harness("runs", run.parent, "--json").stdout)["runs"]
    stored = read_summaries(run)
    assert row["mean"] == macro_average(stored.values())
    assert {each["benchmark"]: each["strict"] for each in row["benchmarks"]} == {
        name: summary.strict for name, summary in stored.items()
    }
    table = harness("runs", run.parent).stdout
    assert f"{100 * row['mean']:.1f}" in table
    assert RUN in table


def test_states(run: Path) -> None:
    assert states(run) == {RUN: "finished"}
    with alone(run):
        assert states(run.parent) == {RUN: "running"}
    summary = json.loads((run / "summary.json").read_text())
    summary["benchmarks"][0]["errors"] = 2
    (run / "summary.json").write_text(json.dumps(summary))
    assert states(run.parent) == {RUN: "errors"}
    summary["benchmarks"][0]["covered"] = []
    (run / "summary.json").write_text(json.dumps(summary))
    assert states(run.parent) == {RUN: "stopped"}
    (run / "summary.json").unlink()
    assert states(run.parent) == {RUN: "stopped"}
    (run / "manifest.json").write_text("[]")
    assert states(run.parent) == {RUN: "unreadable"}
    assert "not a JSON object" in harness("runs", run.parent).stdout


def test_a_build_of_pairs_is_no_run(run: Path) -> None:
    """`harness pairs images --out DIR` writes a manifest of the same name."""
    build = run.parent / "pairs"
    build.mkdir()
    manifest = {"schema": 1, "state": "started", "plan": {"command": "images"}}
    (build / "manifest.json").write_text(json.dumps(manifest))
    assert states(run.parent) == {RUN: "finished"}


def test_a_link_is_neither_followed_nor_held(run: Path, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "there").symlink_to(run.parent)
    assert states(inside) == {}
    assert "no runs in" in harness("runs", inside).stdout
    (inside / ".lock").symlink_to(run / "manifest.json")
    assert not is_held(inside)


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    for command in ("runs", "studies"):
        done = harness(command, tmp_path / "none")
        one_line(done, f"there is no folder {tmp_path / 'none'}: name the one to search")


def test_studies_are_listed_with_their_verdict(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(STORED / "studies", tmp_path / "studies"))
    expected = json.loads((folder / "trained" / "analysis.json").read_text())
    rows = {
        Path(row["study"]).name: row
        for row in json.loads(harness("studies", folder, "--json").stdout)["studies"]
    }
    row = rows["trained"]
    assert (row["state"], row["verdict"]) == ("complete", expected["verdict"])
    assert (row["trained"], row["to_train"]) == (8, 8)
    assert (row["measured"], row["to_measure"]) == (9, 9)
    for arm, score in row["scores"].items():
        means = [fmean(benchmark["scores"][arm]) for benchmark in expected["benchmarks"]]
        assert score == pytest.approx(fmean(means))
    assert set(row["scores"]) == set(expected["benchmarks"][0]["scores"])
    assert expected["verdict"] in harness("studies", folder).stdout
    (folder / "trained" / "analysis.json").unlink()
    (folder / "trained" / "arms" / "grpo" / "seed-1" / "trained.json").unlink()
    shutil.rmtree(folder / "relabelled")
    (folder / "relabelled").mkdir()
    (folder / "relabelled" / "plan.json").write_text("{}")
    rows = {
        Path(row["study"]).name: row
        for row in json.loads(harness("studies", folder, "--json").stdout)["studies"]
    }
    assert rows["trained"]["state"] == "stopped"
    assert (rows["trained"]["trained"], rows["trained"]["measured"]) == (7, 9)
    assert rows["relabelled"]["state"] == "unreadable"


def test_studies_are_told_apart_and_a_training_is_none(tmp_path: Path) -> None:
    for name in ("mine/study", "yours/study"):
        shutil.copytree(STORED / "studies" / "trained", tmp_path / name)
    training = tmp_path / "trained" / "model-grpo-seed0"
    training.mkdir(parents=True)
    (training / "plan.json").write_text('{"key": "x", "arm": "grpo", "settings": {}}')
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "plan.json").write_text("{}")
    table = harness("studies", tmp_path).stdout.splitlines()
    assert [line.split()[0] for line in table[1:4]] == ["mine/study", "torn", "yours/study"]
    assert "unreadable" in table[2]
    assert "model-grpo-seed0" not in "".join(table)
