"""The self-test: what is skipped and why, how trials end, and what of their figures is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ablations.cli.selftest import text
from ablations.selftest.train import STEPS, _compare, _learned
from ablations.selftest.trials import (
    PARTS,
    TRIALS,
    Finding,
    Trial,
    attempt,
    environment,
    findings,
    why_skipped,
)
from tests.commands import harness, one_line, process

ONE, TWO = Trial("serve", "one", gpus=1), Trial("train", "two", gpus=2)
BROKEN = Trial("trials", "broken")  # a module without `run`


@pytest.mark.parametrize(
    ("trial", "gpus", "reason"),
    [
        (ONE, None, "it needs a GPU: pass --gpu where there is one"),
        (ONE, 1, None),
        (TWO, 1, "it needs 2 GPUs, and 1 is visible"),
        (TWO, 2, None),
        (Trial("study", "none"), None, None),
        (Trial("study", "no", ("no_such",)), 8, "no_such is not installed: pip install no_such"),
    ],
)
def test_a_trial_that_cannot_run_is_skipped_with_the_reason(
    trial: Trial, gpus: int | None, reason: str | None
) -> None:
    assert why_skipped(trial, gpus) == reason


def test_every_part_has_trials_of_which_some_need_no_gpu() -> None:
    for part in PARTS:
        assert [trial for trial in TRIALS if trial.part == part and not trial.gpus]


def test_a_trial_sees_as_many_of_the_visible_gpus_as_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    assert [environment(n)["CUDA_VISIBLE_DEVICES"] for n in (0, 1, 2)] == ["", "3", "3,5"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert [environment(n)["CUDA_VISIBLE_DEVICES"] for n in (0, 1, 2)] == ["", "0", "0,1"]


def test_a_failed_trial_tells_why_and_stops_no_other(tmp_path: Path) -> None:
    said: list[str] = []
    found = list(findings([BROKEN, ONE], None, tmp_path, (60, 60), said.append))
    assert [each.status for each in found] == ["failed", "skipped"]
    assert "has no attribute 'run'" in found[0].reason
    assert any("Traceback" in line for line in found[0].log)
    assert said == ["trials broken ..."]


def test_a_trial_that_hangs_is_ended(tmp_path: Path) -> None:
    found = attempt(BROKEN, 0, tmp_path, 0.001)
    assert (found.status, found.reason) == ("failed", "ended after 0 s")


def test_after_its_time_no_trial_begins(tmp_path: Path) -> None:
    (found,) = findings([Trial("study", "late")], None, tmp_path, (60, -60), print)
    assert found.status == "skipped"
    assert "minutes are over: --part study" in found.reason


def training(folder: Path, steps: list[dict[str, float]], changed: float) -> Path:
    """Write what `harness train` leaves of a training."""
    common = {"stage": "rl", "seconds": 0.5}
    lines = [json.dumps({**common, "step": n + 1, **step}) for n, step in enumerate(steps)]
    (folder / "training.jsonl").write_text("".join(f"{line}\n" for line in lines))
    ledger = {"gradient_norms": {"grpo": 0.5, "ca": None}, "changed_weights": changed}
    (folder / "ledger.json").write_text(json.dumps(ledger))
    return folder


@pytest.mark.parametrize(
    ("norms", "changed", "wrong"),
    [
        ([0.0] + [0.5] * (STEPS - 1), 0.9, []),
        ([0.0] * STEPS, 0.9, ["gradient"]),
        ([0.5] * (STEPS - 1), 0.9, ["steps were logged"]),
        ([0.5] * STEPS, 0.0, ["those of the start"]),
    ],
)
def test_a_training_is_judged_by_its_gradients_steps_and_weights(
    norms: list[float], changed: float, wrong: list[str], tmp_path: Path
) -> None:
    out = training(tmp_path, [{"grad_norm": norm} for norm in norms], changed)
    figures, found = _learned(out, 0)
    assert len(found) == len(wrong)
    assert all(piece in line for piece, line in zip(wrong, found, strict=True))
    assert figures["gradient, largest"] == (max(norms), "norm")
    assert figures["step"] == (0.5, "s")


@pytest.mark.parametrize(("apart", "wrong"), [(0.001, 0), (0.3, 1), (float("nan"), 1)])
def test_weights_that_are_not_synchronised_show_in_the_log_probabilities(
    apart: float, wrong: int, tmp_path: Path
) -> None:
    name = "sampling/sampling_logp_difference/mean"
    # Before the first update they agree whatever happens.
    out = training(tmp_path, [{name: 0.0, "kl": 0.0}, {name: apart, "kl": 0.1}], 0.9)
    figures: dict[str, tuple[float, str]] = {}
    found: list[str] = []
    _compare(out, figures, found)
    assert len(found) == wrong
    assert figures["divergence from the start"] == (0.1, "nats a token")


def test_the_table_has_a_line_a_trial() -> None:
    figures = {"step": {"value": 0.51234, "unit": "s"}, "loss": {"value": None, "unit": ""}}
    found = [
        Finding("train", "transformers", "passed", "", figures, 61.2),
        Finding("study", "ray", "skipped", "ray is not installed"),
    ]
    machine = {"platform": "Linux", "python": "3.11", "cpus": 2, "memory_gb": 24.0, "gpus": []}
    document = {
        "date": "2026-11-29T12:00:00+00:00",
        "machine": {**machine, "driver": None, "packages": {"torch": "2.13.0"}},
        "checks": [{"name": "disk", "status": "note", "text": "3 GB free"}],
        "failed": 0,
    }
    lines = text(document, found).splitlines()
    assert lines[-2:] == [
        "train transformers  passed   61 s  step 0.5123 s; loss none",
        "study ray           skipped   0 s  ray is not installed",
    ]
    assert "doctor: note disk: 3 GB free" in lines


def test_an_unknown_part_is_one_line() -> None:
    one_line(harness("selftest", "--part", "sing"), "--part", "sing", "serve")


@pytest.mark.slow  # torch is imported, and doctor looks at the installation: seconds
def test_the_document_has_the_machine_and_a_result_a_trial() -> None:
    done = process("selftest", "--json", "--minutes", "0", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2  # nothing was tried
    assert "nothing was tried" in done.stderr
    document = json.loads(done.stdout)
    assert document["machine"]["gpus"] == []
    assert document["machine"]["packages"]["torch"]
    assert {check["name"] for check in document["checks"]} >= {"python", "disk", "backend"}
    names = [(result["part"], result["trial"]) for result in document["results"]]
    assert names == [(trial.part, trial.name) for trial in TRIALS]
    assert all(each["status"] == "skipped" and each["reason"] for each in document["results"])


@pytest.mark.slow  # torch is imported
def test_gpus_that_are_not_there_are_one_line() -> None:
    one_line(process("selftest", "--gpu", CUDA_VISIBLE_DEVICES=""), "no GPU can be used here")
