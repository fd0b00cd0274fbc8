"""Studies that train, on the micro world: a training dies, a study is killed, and goes on."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from ablations.statistics.contrasts import BASELINE, METHOD
from tests.ablations.study.test_study import analysis, comparable, until
from tests.commands import ROOT, process
from tests.processes import alive_after

pytestmark = pytest.mark.slow

STEPS = 16
TRAIN = (
    "--config micro --prompts 64 --prompts-per-step 4 --pair-count 20 --pairs-per-step 2 "
    "--group 2 --max-tokens 4 --save-every 1 --report-to none"
)
RUN = "--backend transformers --dtype float32 --max-tokens 4"


def words_of(studies: Path, data: Path) -> list[str]:
    words = ["ablate", "objective-vs-data", "--studies", str(studies), "--data-root", str(data)]
    words += [
        "--model",
        str(ROOT / "benchmarks/micro/model/weights"),
        "--arms",
        f"{BASELINE},{METHOD}",
    ]
    words += ["--pairs", "micro:image", "--rl-data", "micro:image", "--seeds", "1"]
    words += ["--suite", "vqa12", "--benchmarks", "mathverse", "--limit", "6", "--preload"]
    return [*words, "--matching", "steps", "--train-args", TRAIN, "--run-args", RUN]


def training(studies: Path, arm: str) -> Path:
    return studies / "objective-vs-data" / "arms" / arm / "seed-0"


def steps(studies: Path, arm: str) -> int:
    """Return how many steps of a training are told of."""
    path = training(studies, arm) / "training.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def weights(studies: Path, arm: str) -> str:
    path = training(studies, arm) / "checkpoint" / "model.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def started(studies: Path, data: Path) -> subprocess.Popen[bytes]:
    """Start a study and return it when it is in the midst of training contextrl."""
    words = [sys.executable, "-m", "harness", *words_of(studies, data)]
    before = steps(studies, METHOD)
    with (studies / "told").open("wb") as told:
        study = subprocess.Popen(words, cwd=ROOT, stderr=told, stdout=subprocess.DEVNULL)
    until(lambda: steps(studies, METHOD) >= before + 2, study)
    assert study.poll() is None, (studies / "told").read_text()
    assert steps(studies, METHOD) < STEPS
    return study


@pytest.fixture(scope="module")
def whole(micro_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a study that nothing disturbed."""
    studies = tmp_path_factory.mktemp("whole")
    done = process(*words_of(studies, micro_data))
    assert done.returncode == 0, done.stderr
    assert steps(studies, METHOD) == steps(studies, BASELINE) == STEPS
    return studies


@dataclass(frozen=True)
class Failed:
    """A study one of whose trainings was killed, as a machine short of memory does."""

    studies: Path
    code: int
    told: str


@pytest.fixture(scope="module")
def failed(micro_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Failed:
    studies = tmp_path_factory.mktemp("failed")
    study = started(studies, micro_data)
    parent = psutil.Process(study.pid)
    (fork,) = set(parent.children(recursive=True)) - set(parent.children())
    fork.kill()
    return Failed(studies, study.wait(300), (studies / "told").read_text())


def test_a_failed_training_is_said_and_stops_no_other_arm(failed: Failed) -> None:
    assert failed.code == 1
    found = analysis(failed.studies)
    (missing,) = found["missing"]
    assert (missing["arm"], missing["seed"], missing["step"]) == (METHOD, 0, "training")
    assert f"missing: contextrl seed 0: training failed: {missing['reason']}\n" in failed.told
    assert "Missing from the plan: contextrl seed 0 (training failed)." in found["verdict"]
    assert "No verdict: grpo alone" in found["verdict"]
    assert not found["complete"]
    assert [(one["arm"], one["seeds"]) for one in found["analysis"]["arms"]] == [(BASELINE, 1)]
    assert (training(failed.studies, BASELINE) / "checkpoint").is_dir()
    assert not (training(failed.studies, METHOD) / "checkpoint").exists()


def test_a_study_that_is_killed_while_it_trains_ends_as_if_it_never_was(
    failed: Failed, whole: Path, micro_data: Path, tmp_path: Path
) -> None:
    """It is the study whose training had failed: that is continued, killed, and continued."""
    studies = tmp_path / "studies"
    shutil.copytree(failed.studies, studies)
    study = started(studies, micro_data)
    family = psutil.Process(study.pid).children(recursive=True)
    study.kill()
    study.wait(60)
    assert not alive_after(20, family)
    assert not (training(studies, METHOD) / "checkpoint").exists()
    done = process(*words_of(studies, micro_data))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("$ harness train") == done.stderr.count("$ harness run") == 1
    assert f"of {STEPS}" in done.stderr.partition("resuming after step ")[2]
    for arm in (BASELINE, METHOD):
        assert weights(studies, arm) == weights(whole, arm)
    assert comparable(studies) == comparable(whole)
