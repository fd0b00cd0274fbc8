"""What a run's folder is called: by the model and the key, or as the user says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.runs.identity import ModelIdentity
from harness.runs.plan import RunPlan, plan_run
from harness.runs.todo import Settings
from tests.commands import harness
from tests.golden.cases import STORED, runs
from tests.sums import Sums


def planned(out: Path, name: str = "mine", checkpoint: Path | None = None) -> RunPlan:
    identity = ModelIdentity(name, "fingerprint", True, checkpoint=checkpoint)
    return plan_run(identity, "sums", [Sums()], [Sums()], Settings(), out)


def test_a_run_is_called_by_model_suite_and_key_or_as_the_user_says(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert plan.path == tmp_path / f"mine-sums-{plan.key[:8]}"
    assert replace(plan, run_name="first").path == tmp_path / "first"
    (tmp_path / "first").mkdir()
    fresh = replace(plan, run_name="first", fresh=True)
    assert fresh.path == tmp_path / "first-2"


def test_a_name_that_holds_another_run_is_refused(tmp_path: Path) -> None:
    stored = STORED / runs("grpo")[0] / "manifest.json"
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "manifest.json").write_text(json.dumps(json.loads(stored.read_text())))
    with pytest.raises(UsageError, match="holds a run of another model"):
        _ = replace(planned(tmp_path), run_name="taken").path


def test_a_run_under_the_folders_name_is_continued(tmp_path: Path) -> None:
    """Older versions called every trained model "checkpoint"."""
    plan = planned(tmp_path, "study-a-seed-0", tmp_path / "checkpoint")
    assert plan.path.name.startswith("study-a-seed-0-sums-")
    older = tmp_path / f"checkpoint-sums-{plan.key[:8]}"
    older.mkdir()
    assert planned(tmp_path, "study-a-seed-0", tmp_path / "checkpoint").path == older


@pytest.mark.parametrize(
    ("option", "name"), [("--run-name", "a/b"), ("--run-name", ".."), ("--model-name", "a\nb")]
)
def test_names_that_no_file_or_table_could_have_are_one_line(option: str, name: str) -> None:
    words = ("run", "--model", STORED, "--endpoint", "http://127.0.0.1:9", "--suite", "sums")
    done = harness(*words, option, name)
    assert done.returncode == 2
    assert done.stderr.startswith(f"harness: {option} {name!r}: use ")
    assert done.stderr.count("\n") == 1
