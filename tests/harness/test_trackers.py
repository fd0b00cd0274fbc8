"""``harness run --report-to``: a tracker follows a run by the adapter that export uses."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.cli.progress import PlainProgress
from harness.errors import UsageError
from harness.records import Score
from harness.runs.trackers import Followed, Tracker, study_of, title
from tests.commands import one_line, process
from tests.servers import ScriptedServer
from tests.wandb_log import wandb_records


class Library(SimpleNamespace):
    """A tracker's library with the interface of wandb, in memory; it may break."""

    __name__ = "small"
    logged: list[dict[str, Any]]
    broken: bool = False

    def log(self, values: dict[str, Any]) -> None:
        if self.broken:
            raise sqlite3.OperationalError("no space left")
        self.logged.append(values)


def test_counts_and_means_are_told_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    library = Library(logged=[])
    progress = Followed(Tracker(library, {}), PlainProgress(), every=0.0)
    progress.start("vstar", 10, 7)
    for score in (Score(1.0, "scored"), Score(None, "error"), Score(0.0, "unparsable")):
        progress.advance("vstar", score)
    assert library.logged[-1] == {"vstar/done": 10, "vstar/errors": 1, "vstar/so_far": 0.5}
    assert len(library.logged) == 3
    rare = Followed(Tracker(library, {}), PlainProgress())
    rare.start("vstar", 10, 7)
    rare.advance("vstar", Score(1.0, "scored"))
    assert len(library.logged) == 3
    assert "10/10 responses" in capsys.readouterr().err


def test_a_tracker_that_breaks_does_not_end_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    library = Library(logged=[], broken=True)
    progress = Followed(Tracker(library, {}), PlainProgress(), every=0.0)
    progress.start("vstar", 10, 0)
    for _ in range(3):
        progress.advance("vstar", Score(1.0, "scored"))
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["nothing more is logged: small: no space left"]
    with pytest.raises(UsageError, match="small: no space left"):
        Tracker(library, {}).log({"a": 1})


def test_a_run_knows_its_study_by_its_folder(tmp_path: Path) -> None:
    study, alone = tmp_path / "mine", tmp_path / "runs" / "a-seed-1" / "m-vstar-1"
    run = study / "runs" / "ca-seed-only-seed-12" / "m-vstar-1"
    assert study_of(run) is None  # no plan: these are folders of that name
    study.mkdir()
    (study / "plan.json").write_text("{}")
    found = study_of(run)
    assert found == ("mine", {"arm": "ca-seed-only", "seed": 12})
    assert title(found[1]) == "ca-seed-only-seed-12"
    assert study_of(alone) is None
    assert study_of(run.parent) is None


@pytest.mark.slow
def test_an_evaluation_of_a_study_is_followed_by_wandb(tmp_path: Path) -> None:
    study = tmp_path / "mine"
    study.mkdir()
    (study / "plan.json").write_text("{}")
    place = {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path)}
    with ScriptedServer(lambda _: "A", models=("m",)) as server:
        words = ("run", "--model", "m", "--endpoint", server.url, "--suite", "probe", "--limit", 4)
        words += ("--set", "probe.pairs=micro:image", "--report-to", "wandb")
        words += ("--out", study / "runs" / "grpo-seed-3")
        done = process(*words, "--json", **place)
        again = process(*words, "--json", **place)
    assert done.returncode == 0, done.stderr
    (score,) = json.loads(done.stdout)["benchmarks"]
    (log,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    records = wandb_records(log)
    (run,) = (one.run for one in records if one.HasField("run"))
    assert (run.project, run.run_group) == ("contextrl", "mine")
    assert run.display_name == "grpo-seed-3-probe"
    logged: dict[str, Any] = {}
    for record in records:
        for item in record.summary.update:
            name = "/".join([item.key, *item.nested_key]).strip("/")
            logged[name] = json.loads(item.value_json)
    assert (logged["probe/done"], logged["probe/errors"]) == (4, 0)
    assert logged["probe/strict"] == score["strict"]
    # Nothing is left to follow, and no second run begins.
    assert json.loads(again.stdout)["benchmarks"] == json.loads(done.stdout)["benchmarks"]
    assert "harness export wandb" in again.stderr


def test_a_tracker_that_is_not_installed_is_one_line(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: "A", models=("m",)) as server:
        words = ("run", "--model", "m", "--endpoint", server.url, "--suite", "probe", "--limit", 1)
        words += ("--set", "probe.pairs=micro:image", "--out", tmp_path, "--report-to", "trackio")
        one_line(process(*words), "trackio is not installed: pip install", after_progress=True)
    assert not server.requests
