"""Checkpoints to resume from that are broken, or of another training: one line, nothing lost."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
from safetensors.torch import load_file, save_file

from ablations.training.ledger import last_complete
from harness.cli.main import run_command
from tests.ablations.training.test_stopping import FILLED, signalled
from tests.ablations.training.test_training import train, weights, words

Break = Callable[[Path], object]
OPTIMIZER, SCHEDULER, RNG = "optimizer.pt", "scheduler.pt", "rng_state.pth"
STATE, WEIGHTS = "trainer_state.json", "model.safetensors"


class _Marker:
    """Makes a folder where its pickle is loaded with trust."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("was-run",)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def saved(value: Any) -> Break:
    return lambda path: torch.save(value, path)


def optimizer(changed: Callable[[Any], Any]) -> Break:
    def change(path: Path) -> None:
        stored = torch.load(path, weights_only=True)
        torch.save({**stored, "state": changed(stored["state"])}, path)

    return change


def _larger(state: Any) -> Any:
    grown = {"exp_avg": torch.zeros(3, 3), "exp_avg_sq": torch.zeros(3, 3)}
    return {number: {**moments, **grown} for number, moments in state.items()}


def tensors(changed: Callable[[dict[str, Any]], dict[str, Any]]) -> Break:
    return lambda path: save_file(changed(load_file(path)), path, metadata={"format": "pt"})


def state(**fields: Any) -> Break:
    def change(path: Path) -> None:
        path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), **fields}))

    return change


# A file of a checkpoint, what is done to it, and what is said.
BROKEN: Mapping[str, tuple[str, Break, str]] = {
    "an optimizer cut off": (OPTIMIZER, cut, "RuntimeError"),
    "an optimizer that runs code": (
        OPTIMIZER, lambda path: path.write_bytes(pickle.dumps(_Marker())), "UnpicklingError"),
    "moments of another model": (OPTIMIZER, optimizer(_larger), "is of another model"),
    "weights of another model": (
        WEIGHTS, tensors(lambda held: {f"x.{k}": held[k] for k in held}), "of another model"),
    "an optimizer that is a list": (OPTIMIZER, saved([1]), "Error"),
    "an optimizer without state": (OPTIMIZER, optimizer(lambda _: {}), "holds no state"),
    "no optimizer": (OPTIMIZER, Path.unlink, "is not there"),
    "a scheduler cut off": (SCHEDULER, cut, "RuntimeError"),
    "a scheduler of another kind": (SCHEDULER, saved({"last_epoch": 1}), "another schedule"),
    "a scheduler that is a list": (SCHEDULER, saved([1]), "Error"),
    "a gradient scaler, which we never save": (
        "scaler.pt", lambda path: path.write_bytes(pickle.dumps(_Marker())), "in fp16"),
    "no random state": (RNG, Path.unlink, "is not there"),
    "a random state of another kind": (RNG, saved({"python": 1}), "Error"),
    "weights cut off": (WEIGHTS, cut, "Error"),
    "fewer weights": (
        WEIGHTS, tensors(lambda held: dict(list(held.items())[1:])), "of another model"),
    "weights of other sizes": (
        WEIGHTS, tensors(lambda held: {name: held[name][:1] for name in held}), "RuntimeError"),
    "a log of another type": (STATE, state(log_history=1), "another training"),
    "fields of another version": (STATE, state(unknown=1), "TypeError"),
}  # fmt: skip
OFTEN = 4  # the others are slow


@pytest.fixture(scope="module")
def stopped(text_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training that a signal has stopped."""
    out = tmp_path_factory.mktemp("stopped") / "out"
    with signalled(signal.SIGTERM, out / "training.jsonl", 4):
        assert run_command(words(text_world, "contextrl", out, **FILLED)) == 143
    return out


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.slow if place >= OFTEN else ())
        for place, kind in enumerate(BROKEN)
    ],
)
def test_a_checkpoint_that_cannot_be_resumed_from_is_one_line(
    kind: str,
    stopped: Path,
    text_world: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    out = shutil.copytree(stopped, tmp_path / "out")
    name, broken, says = BROKEN[kind]
    last = last_complete(out / "stages" / "rl")
    assert last is not None
    broken(last / name)
    before = contents(out / "stages")
    capsys.readouterr()
    assert run_command(words(text_world, "contextrl", out, **FILLED)) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"harness: {last} cannot be resumed from ("), line
    assert says in line
    assert "remove it" in line
    assert not Path("was-run").exists()
    assert {path: before[path] for path in contents(last)} == contents(last)


def test_without_the_broken_checkpoint_the_one_before_is_resumed_from(
    stopped: Path, text_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(stopped, tmp_path / "out")
    last = last_complete(out / "stages" / "rl")
    assert last is not None
    shutil.rmtree(last)
    train(text_world, "contextrl", out, **FILLED)
    assert "resuming after step" in capsys.readouterr().err
    train(text_world, "contextrl", tmp_path / "whole", **FILLED)
    assert weights(out / "checkpoint") == weights(tmp_path / "whole/checkpoint")
