"""Arms from the command line to a checkpoint that runs: every arm, resume, seeds, wrong input."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
import orjson
import pytest
import torch

from ablations.arms import ARMS, arm
from ablations.cli.train import learning_summary
from ablations.settings import LATER, RECIPES, Settings, read_recipe, settings
from ablations.training.ledger import read_steps
from ablations.training.plan import TrainingPlan
from ablations.training.schedule import Exposures, exposures, schedule
from ablations.training.training_data import TrainingData
from harness.backends.checkpoint import reads_images
from harness.cli.main import cli
from harness.errors import UsageError
from harness.files.hashing import json_hash
from tests.ablations import tiny
from tests.wandb_log import wandb_records

SMALL = {
    "prompts": 8,
    "pair_count": 6,
    "prompts_per_step": 4,
    "pairs_per_step": 3,
    "group": 2,
    "max_tokens": 6,
    "learning_rate": 1e-3,
    "norms_every": 1,
    "report_to": "none",
}


def words(world: Path, name: str, out: Path, **changes: Any) -> list[str]:
    found = ["train", "--arm", name, "--model", str(world / "model"), "--out", str(out)]
    found += ["--pairs", str(world / "data/pairs.jsonl"), "--rl-data", str(world / "data/rl.jsonl")]
    for option, value in {**SMALL, **changes}.items():
        found += [f"--{option.replace('_', '-')}", str(value)]
    return found


def train(world: Path, name: str, out: Path, **changes: Any) -> dict[str, Any]:
    """Train in this process and return the ledger."""
    cli.main([*words(world, name, out, **changes)], standalone_mode=False)
    found: dict[str, Any] = orjson.loads((out / "ledger.json").read_bytes())
    return found


def weights(checkpoint: Path) -> bytes:
    return (checkpoint / "model.safetensors").read_bytes()


# The table of arms in docs/training.md: which losses on selection prompts each is trained on.
TRAINED_ON = {
    "da-sft": {"cross_entropy"},
    "da-joint-sft": {"cross_entropy"},
    "contextrl": {"ca"},
    "contextrl-shuffled": {"ca"},
    "contextrl-easyneg": {"ca"},
    "ca-only": {"ca"},
}


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_is_trained_as_planned(name: str, text_world: Path, tmp_path: Path) -> None:
    """The ledger, counted as things ran, says what the table planned."""
    ledger = train(text_world, name, tmp_path)
    planned = ledger["planned"]
    steps = planned["rl_steps"] + planned["selection_steps"]
    assert ledger["optimizer_steps"] == planned["sft_steps"] + steps
    assert (ledger["prompts"], ledger["contrastive_rl_items"]) == (
        planned["prompts"],
        planned["extra"],
    )
    assert ledger["exposures"] == planned["exposures"]
    assert ledger["sft_steps"] == planned["sft_steps"]
    assert ledger["grpo_forwards"] == planned["rl_steps"]
    joint = ARMS[name].joint is not None
    assert ledger["selection_forwards"] == planned["sft_steps"] + joint * steps
    norms = {term for term, norm in ledger["gradient_norms"].items() if norm is not None}
    assert norms == ({"grpo"} if ARMS[name].grpo else set()) | TRAINED_ON.get(name, set())
    assert (weights(tmp_path / "checkpoint") == weights(text_world / "model")) == (name == "base")
    # What a killed run would go on from is gone, and what was logged is there.
    kept = {path.name for path in tmp_path.iterdir()} - {"stages"}
    assert kept == {"checkpoint", "plan.json", "ledger.json", "training.jsonl"}
    assert not list(tmp_path.glob("stages/*/checkpoint-*"))
    # Asked again, it answers from what is there.
    before = (tmp_path / "ledger.json").stat().st_mtime_ns
    assert train(text_world, name, tmp_path) == ledger
    assert (tmp_path / "ledger.json").stat().st_mtime_ns == before


def test_the_checkpoint_runs_at_once(
    image_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(image_world, "contextrl", tmp_path / "t", lora_rank=4)
    capsys.readouterr()
    run = ["run", "--model", str(tmp_path / "t/checkpoint"), "--suite", "probe", "--json"]
    pairs = ["--set", f"probe.pairs={image_world / 'data/pairs.jsonl'}"]
    place = ["--out", str(tmp_path / "runs"), "--backend", "transformers"]
    cli.main([*run, *pairs, *place], standalone_mode=False)
    (row,) = json.loads(capsys.readouterr().out)["benchmarks"]
    assert (row["n"], row["errors"], row["unparsable"]) == (16, 0, 0)


def test_one_seed_gives_the_same_bits_and_another_other_rollouts(
    text_world: Path, tmp_path: Path
) -> None:
    runs = {place: tmp_path / place for place in ("one", "again", "other")}
    for place, out in runs.items():
        train(text_world, "contextrl", out, seed=int(place == "other"))
    assert weights(runs["one"] / "checkpoint") == weights(runs["again"] / "checkpoint")
    assert weights(runs["one"] / "checkpoint") != weights(runs["other"] / "checkpoint")
    drawn = [
        [(line["count/generated_tokens"], line["reward"], line["entropy"]) for line in lines]
        for lines in (read_steps(out / "training.jsonl") for out in runs.values())
    ]
    assert drawn[0] == drawn[1] != drawn[2]


class _StopError(Exception):
    pass


@pytest.mark.parametrize(
    "name",
    [
        "contextrl",
        "da-sft",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("ca-only", "da-rl")),
    ],
)
def test_an_interrupted_run_goes_on_as_if_nothing_was(
    name: str, image_world: Path, tmp_path: Path
) -> None:
    """Stopped in the step after a checkpoint; weights and log are those of a run in one piece."""
    from transformers import TrainerCallback

    from ablations.training import stages
    from ablations.training.prompting import Prompter

    class Stop(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 2:
                raise _StopError

    changes = {"save_every": 1, "prompts": 16, "pairs_per_step": 1}
    if name == "da-rl":  # its steps are larger by two pairs, and are taken in parts
        changes |= {"pair_count": 8, "matching": "steps", "batch_size": 4}
    whole = train(image_world, name, tmp_path / "whole", **changes)
    run = _plan(name, _settings(image_world, **changes), tmp_path / "parts")
    first = {"da-sft": "sft", "ca-only": "selection"}.get(name, "rl")
    stage = stages.Stage(run, first, run.data.folder, lambda _: None)
    prompter = Prompter.load(stage.start, run.settings)
    stages.set_seed(run.settings.seed)
    trainer = stage.trainer(prompter)
    trainer.add_callback(Stop())
    with pytest.raises(_StopError):
        trainer.train()
    assert stages.last_complete(stage.folder) == stage.folder / "checkpoint-1"
    train(image_world, name, tmp_path / "parts", **changes)
    assert weights(tmp_path / "parts/checkpoint") == weights(tmp_path / "whole/checkpoint")
    assert whole["optimizer_steps"] > 2


def test_a_constant_rate_is_warmed_up_to(text_world: Path, tmp_path: Path) -> None:
    """transformers' linear warm-up over 2 steps, which begins at 0; 6 pairs by 2 are 3 steps."""
    train(text_world, "ca-only", tmp_path, warmup_steps=2, pairs_per_step=2)
    rates = [line["learning_rate"] for line in read_steps(tmp_path / "training.jsonl")]
    assert rates == pytest.approx([0, 5e-4, 1e-3])


_ASKED = """
import pathlib
from ablations.training.rewards import AccuracyAndFormat

RIGHT = AccuracyAndFormat(0.9, None)

def reward(completions, task, selection, **more):
    with pathlib.Path("asked").open("a") as file:
        print(*(one.id for one in task), file=file)
    return RIGHT(completions=completions, task=task, selection=selection, **more)
"""


def test_by_steps_the_pairs_come_on_top_of_the_same_steps(
    text_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What TRL asks in every step of three arms, as their rewards see it.

    8 prompts, 4 a step, make 2 steps; 6 pairs are 3 on top of each, the ones that the joint loss
    shows in it.  A linear schedule over 2 steps has the rates 1 and 1/2.
    """
    (tmp_path / "watched.py").write_text(_ASKED)
    monkeypatch.chdir(tmp_path)
    asked: dict[str, list[list[str]]] = {}
    changes = {"matching": "steps", "schedule": "linear", "reward": "watched:reward"}
    for name in ("grpo", "contextrl", "da-rl", "da-qa"):
        Path("asked").unlink(missing_ok=True)
        ledger = train(text_world, name, tmp_path / name, **changes)
        groups = [line.split() for line in Path("asked").read_text().splitlines()]
        # A group's completions stand together, so that advantages are relative to its own.
        assert all(ids[::2] == ids[1::2] for ids in groups)
        asked[name] = [ids[::2] for ids in groups]
        lines = read_steps(tmp_path / name / "training.jsonl")
        assert [line["learning_rate"] for line in lines] == [1e-3, 5e-4]
        assert (ledger["optimizer_steps"], ledger["prompts"]) == (2, 8)
        assert ledger["contrastive_rl_items"] == (6 if ARMS[name].extra else 0)
    joint = _plan("contextrl", _settings(text_world, **changes), tmp_path / "unused")
    shown = exposures(joint)
    assert shown == Exposures(6, joint.amounts.exposures, 2, joint.settings.seed)
    assert asked["contextrl"] == asked["grpo"]
    for name in ("da-rl", "da-qa"):
        for step, ids in enumerate(asked[name]):
            assert [one for one in ids if "/" not in one] == asked["grpo"][step]
            pairs = [one.partition("/")[0] for one in ids if "/" in one]
            assert sorted(pairs) == sorted(joint.data.pairs[place].id for place in shown.at(step))
            assert len(ids) == 4 + 3


def test_a_dry_run_says_the_items_of_a_step(
    text_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*words(text_world, "da-rl", tmp_path, matching="steps"), "--dry-run"]
    cli.main([*given, "--json"], standalone_mode=False)
    rows = json.loads(capsys.readouterr().out)["arms"]
    assert [rows[name]["items_per_step"] for name in ("grpo", "da-rl", "ca-only")] == [4, 7, 0]
    cli.main(given, standalone_mode=False)
    table = capsys.readouterr().out.splitlines()
    (row,) = (line.split() for line in table if line.startswith("* da-rl"))
    assert row == ["*", "da-rl", "8", "8", "6", "2", "7", "0", "0", "0"]
    assert not [line for line in table if "prompts are reused" in line]


def test_items_that_come_again_are_told(
    text_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 32 items, 30 prompts and 6 pairs: 36 items of `grpo` by instances, else 7 whole steps."""
    given = words(text_world, "grpo", tmp_path, prompts=30, pair_count=6)
    cli.main([*given, "--dry-run", "--json"], standalone_mode=False)
    rows = json.loads(capsys.readouterr().out)["arms"]
    found = {name: (rows[name]["prompts"], rows[name]["distinct"]) for name in ("grpo", "da-sft")}
    assert found == {"grpo": (36, 32), "da-sft": (28, 28)}
    cli.main([*given, "--dry-run"], standalone_mode=False)
    (said,) = (
        line for line in capsys.readouterr().out.splitlines() if "prompts are reused" in line
    )
    assert "holds 32 RL items" in said
    assert "grpo 36:" in said
    ledger = train(text_world, "grpo", tmp_path, prompts=30, pair_count=6)
    assert (ledger["prompts"], ledger["distinct_prompts"]) == (36, 32)


def test_the_embedded_world_makes_as_many_items_as_are_asked(text_world: Path) -> None:
    """More than it gives unasked, and the first ones are those that it gives unasked."""
    changes = {"rl_data": "micro:trajectory", "matching": "steps", "prompts": 2100}
    run = _plan("grpo", _settings(text_world, **changes))
    assert (run.amounts.prompts, run.amounts.distinct, len(run.data.items)) == (2100, 2100, 2100)
    few = _plan("grpo", _settings(text_world, rl_data="micro:trajectory"))
    assert (len(few.data.items), list(few.data.items)) == (2048, list(run.data.items[:2048]))
    by_instances = _settings(text_world, **{**changes, "matching": "instances"})
    run = _plan("grpo", by_instances)
    assert (run.amounts.prompts, run.amounts.distinct) == (2104, 2104)  # 2,106 in steps of 4


def _plan(name: str, made: Settings, out: Path = Path("unused")) -> TrainingPlan:
    return TrainingPlan(arm(name), TrainingData(made), out)


def _settings(world: Path, **changes: Any) -> Settings:
    return Settings(
        **{
            "model": str(world / "model"),
            "pairs": str(world / "data/pairs.jsonl"),
            "rl_data": str(world / "data/rl.jsonl"),
            **SMALL,
            **changes,
        }
    )


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_same_draws(image_world: Path, tmp_path: Path) -> None:
    """SIGKILL once a checkpoint is there; the log of all steps is that of a run in one piece."""
    changes = {"save_every": 2, "prompts": 24}
    train(image_world, "contextrl", tmp_path / "whole", **changes)
    command = [str(Path(sys.executable).parent / "harness")]
    command += words(image_world, "contextrl", tmp_path / "parts", **changes)
    # The same threads as this process: another number rounds sums otherwise.
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    child = subprocess.Popen(command, env={**os.environ, **threads})
    deadline = time.monotonic() + 200
    while not list((tmp_path / "parts/stages/rl").glob("checkpoint-*/trainer_state.json")):
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "parts/ledger.json").exists()
    train(image_world, "contextrl", tmp_path / "parts", **changes)
    logs = [read_steps(tmp_path / place / "training.jsonl") for place in ("whole", "parts")]
    names = ("step", "reward", "count/generated_tokens", "ca/loss", "ca/margin")
    drawn = [[[line.get(name) for name in names] for line in log] for log in logs]
    assert drawn[0] == drawn[1]
    assert weights(tmp_path / "parts/checkpoint") == weights(tmp_path / "whole/checkpoint")


# Of the placebo fewer completions: its 320 steps show the recipe's pairs.
LEARNS = {
    "ca-only": {},
    "contextrl-shuffled": {"prompts": 640, "prompts_per_step": 2},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNS)
def test_selection_is_learned_from_true_labels_alone(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The embedded model by the micro recipe, on 1,000 held-out image pairs in both orders.

    `ca-only` selects more than 80 %; the placebo does not leave chance: its 95 % interval, over
    pairs, lies within 5 points of 50 % (the base's own 51 % among it).
    """
    import numpy as np

    from benchmarks.micro.model.build import WEIGHTS

    given = ["train", "--arm", name, "--model", str(WEIGHTS), "--out", str(tmp_path / "t")]
    given += ["--config", "micro", "--report-to", "none"]
    for option, value in LEARNS[name].items():
        given += [f"--{option.replace('_', '-')}", str(value)]
    cli.main(given, standalone_mode=False)
    capsys.readouterr()
    run = ["run", "--model", str(tmp_path / "t/checkpoint"), "--suite", "probe", "--json"]
    run += ["--items", "--set", "probe.pairs=micro:image", "--set", "probe.number=1000"]
    run += ["--out", str(tmp_path / "runs"), "--backend", "transformers"]
    cli.main(run, standalone_mode=False)
    (row,) = json.loads(capsys.readouterr().out)["benchmarks"]
    assert (row["n"], row["errors"]) == (2000, 0)
    orders: dict[str, list[float]] = {}
    for item in row["items"]:
        orders.setdefault(item["id"].rpartition("/")[0], []).append(item["value"])
    pairs = np.array([sum(values) / 2 for values in orders.values()])
    assert len(pairs) == 1000
    error = pairs.std(ddof=1) / len(pairs) ** 0.5
    if name == "ca-only":
        assert pairs.mean() > 0.8
    else:
        assert abs(pairs.mean() - 0.5) + 1.96 * error < 0.05


@pytest.mark.slow
def test_two_processes_train_an_arm_by_the_command(image_world: Path, tmp_path: Path) -> None:
    """Torchrun with real rollouts: the pairs are shared out, and one process writes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    command += ["--no-python", str(Path(sys.executable).parent / "harness")]
    command += words(image_world, "contextrl", tmp_path / "two")
    child = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        assert child.wait(timeout=300) == 0
    finally:
        if child.poll() is None:
            child.terminate()  # then it ends its workers; killed, it would leave them behind
            child.wait(timeout=60)
    two = orjson.loads((tmp_path / "two/ledger.json").read_bytes())
    one = train(image_world, "contextrl", tmp_path / "one")
    for name in ("optimizer_steps", "exposures", "planned"):
        assert two[name] == one[name]
    assert two["grpo_forwards"] == 2 * one["grpo_forwards"]
    assert (tmp_path / "two/checkpoint/model.safetensors").exists()


@pytest.mark.slow
def test_trackers_are_told_the_arm_the_seed_and_the_study(
    text_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    for name in ("WANDB_PROJECT", "WANDB_RUN_GROUP"):
        monkeypatch.setenv(name, "")  # restored afterwards
        monkeypatch.delenv(name)
    out = tmp_path / "study" / "arms" / "ca-only" / "seed-7"
    train(text_world, "ca-only", out, seed=7, report_to="wandb")
    wandb.teardown()  # also its service, which a later test would find in the environment
    (log,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    run = next(one.run for one in wandb_records(log) if one.HasField("run"))
    assert (run.project, run.display_name) == ("contextrl", "ca-only-seed-7-selection")
    assert run.run_group == "study"


def test_training_learns_what_is_rewarded(text_world: Path, tmp_path: Path) -> None:
    """A user's reward, the share of digits: the policy's gradient points to more of them."""
    (tmp_path / "digits.py").write_text(
        "def share(completions, **_):\n"
        "    texts = [c[0]['content'] for c in completions]\n"
        "    return [sum(x.isdigit() for x in t) / max(len(t), 1) for t in texts]\n"
    )
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        changes = {"prompts": 160, "group": 8, "learning_rate": 1e-2, "kl": 0.0, "norms_every": 0}
        ledger = train(
            text_world, "grpo", tmp_path / "t", reward="digits:share", matching="steps", **changes
        )
    finally:
        os.chdir(here)
    assert ledger["last"]["reward"] > ledger["first"]["reward"] + 0.1


_UNSURE = """
import math

calls = []

def reward(completions, task, selection):
    calls.append(len(task))
    value = (None, math.nan, math.inf)[len(calls) - 1] if len(calls) < 4 else 1.0
    return [value] * len(completions)
"""


def test_a_step_without_a_reward_is_counted_and_training_goes_on(
    text_world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Four steps: None, nan and infinity for all completions, then 1 for all."""
    (tmp_path / "unsure.py").write_text(_UNSURE)
    monkeypatch.chdir(tmp_path)
    changes = {"reward": "unsure:reward", "prompts": 16, "matching": "steps"}
    ledger = train(text_world, "grpo", tmp_path / "t", **changes)
    assert (ledger["optimizer_steps"], ledger["steps_without_reward"]) == (4, 3)
    rewards = [line["reward"] for line in read_steps(tmp_path / "t/training.jsonl")]
    assert rewards == [None, None, None, 1.0]
    assert "3 RL steps without a reward gave no signal" in capsys.readouterr().out


def test_a_reward_in_a_recipe_is_run_only_where_the_command_line_says_so(
    text_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "open('ran', 'w')\ndef reward(completions):\n    return [1.0] * len(completions)\n"
    Path("shipped.py").write_text(code)
    Path("recipe.yaml").write_text("reward: shipped:reward\n")
    given = [*words(text_world, "grpo", tmp_path / "t"), "--config", "recipe.yaml"]
    for more in ([], ["--dry-run"]):
        with pytest.raises(UsageError, match="add --allow-code if you trust it"):
            cli.main([*given, *more], standalone_mode=False)
    for more in (["--allow-code"], ["--reward", "shipped:reward"]):
        cli.main([*given, *more, "--dry-run"], standalone_mode=False)
    plan = _plan("grpo", _settings(text_world, reward="shipped:reward"))
    assert plan.content["reward"] is not None
    assert not Path("ran").exists()
    cli.main([*given, "--allow-code"], standalone_mode=False)
    assert Path("ran").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"arm": "contextrll"}, "did you mean contextrl"),
        ({"model": "/nowhere/model"}, "no checkpoint folder"),
        ({"pairs": "/nowhere/pairs.jsonl"}, "there is no file, folder or data set"),
        ({"pairs": None}, "trains on pairs: give --pairs"),
        ({"model": "/nowhere/model", "pairs": None}, "trains on pairs: give --pairs"),
        ({"model": None, "pairs": None}, "give --model, the checkpoint to start from"),
        ({"rl_data": None}, "trains by GRPO: give --rl-data"),
        ({"pair_count": 100}, "holds 8 pairs, not 100"),
        ({"prompts": 2}, "no ordinary item"),
        ({"batch_size": 3}, "4 RL items x 2 completions per step is not divisible"),
        ({"arm": "da-rl", "matching": "steps", "batch_size": 4}, "7 RL items x 2 completions"),
        ({"arm": "da-rl", "matching": "steps", "pair_count": 5}, "--pair-count 4 or 6, or"),
        ({"group": 1}, "group must be at least 2, got 1"),
        ({"clip": -1.0}, "clip must be above 0"),
        ({"config": "no_such_recipe"}, "the recipes are"),
        ({"pair_count": 0}, "pair_count must be at least 1, got 0"),
        ({"pair_count": -2}, "pair_count must be at least 1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"seed": 2**32}, "seed must be at most 4294967295"),
        ({"lora_rank": -3}, "lora_rank must be at least 0"),
        ({"lora_rank": 10**9}, "lora_rank must be at most 8192"),
        ({"kl": -1}, "kl must be at least 0"),
        ({"learning_rate": "nan"}, "learning_rate must be above 0, got nan"),
        ({"temperature": 0}, "temperature must be above 0"),
        ({"top_p": 2}, "top_p must be at most 1, got 2"),
        ({"top_p": 0}, "top_p must be above 0"),
        ({"learning_rate": "inf"}, "learning_rate must be at most"),
        ({"warmup_steps": -1}, "warmup_steps must be at least 0"),
        ({"schedule": "nosuch"}, "schedule 'nosuch' cannot be used: .*cosine"),
        ({"schedule": "reduce_lr_on_plateau"}, "cannot be used: .*metrics"),
        ({"report_to": "nosuch"}, r"installed here \(.*tensorboard.*\), got 'nosuch'"),
        ({"reward": "nosuch:fn"}, "--reward nosuch:fn: write FILE.py:NAME or MODULE:NAME"),
        ({"reward": "nothing"}, "--reward nothing: write FILE.py:NAME or MODULE:NAME"),
        ({"reward": "json:nosuch"}, "--reward json:nosuch: write FILE.py:NAME or MODULE:NAME"),
        ({"format_pattern": "("}, "is not a regular expression"),
    ],
)
def test_wrong_input_is_one_line(
    changes: dict[str, Any], says: str, text_world: Path, tmp_path: Path
) -> None:
    given = words(text_world, "contextrl", tmp_path / "t")
    for option, value in changes.items():
        name = f"--{option.replace('_', '-')}"
        if name in given:
            del given[given.index(name) : given.index(name) + 2]
        given += [] if value is None else [name, str(value)]
    with pytest.raises(UsageError, match=says) as caught:
        cli.main([*given, "--dry-run"], standalone_mode=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ("group: .inf", "group must be a whole number, got inf"),
        ("group: 2.7", "group must be a whole number, got 2.7"),
        ("group: false", "group must be a whole number, got False"),
        ("kl: .nan", "kl must be at least 0, got nan"),
        ("loss_type: luspo", "loss_type must be one of dapo"),
        ("columns: null", "columns must be a mapping"),
        ("batch_size: none", "batch_size must be a whole number, got 'none'"),
        ("reward: 5", "reward must be text, got 5"),
        ("prompts: many", "prompts must be a whole number, got 'many'"),
        ("sft_learning_rate: [1]", "sft_learning_rate must be a number"),
        ("coefficient: 1" + "0" * 400, "coefficient must be"),
        ("columns: [a]", "columns must be a mapping"),
    ],
)
def test_a_wrong_recipe_is_one_line(
    recipe: str, says: str, text_world: Path, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(recipe)
    given = ["train", "--arm", "contextrl", "--model", str(text_world / "model"), "--dry-run"]
    given += ["--config", str(tmp_path / "recipe.yaml"), "--columns", "query=asked"]
    with pytest.raises(UsageError, match=says) as caught:
        cli.main(given, standalone_mode=False)
    assert "\n" not in str(caught.value)


def test_settings_made_in_python_are_checked_too() -> None:
    with pytest.raises(UsageError, match="group must be at least 2, got 1"):
        Settings(group=1)
    made: Any = "3"
    assert dataclasses.replace(Settings(), group=made).group == 3


def test_without_a_model_nothing_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="give --model"):
        cli.main(["train", "--arm", "grpo", "--rl-data", "micro"], standalone_mode=False)
    assert capsys.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_every_number_has_a_range_that_its_default_is_in() -> None:
    types = get_type_hints(Settings, include_extras=True)
    for field in dataclasses.fields(Settings):
        type_ = types[field.name]
        alternatives = get_args(type_) if get_origin(type_) in (Union, UnionType) else (type_,)
        assert not {int, float} & set(alternatives), field.name
        if field.default is not dataclasses.MISSING:
            assert msgspec.convert(field.default, type_) == field.default
        if any(get_origin(each) is Annotated and each.__origin__ is float for each in alternatives):
            for value in (math.nan, math.inf, -math.inf):
                with pytest.raises(UsageError, match=f"{field.name} must be"):
                    settings({field.name: value}, {})


def test_wrong_data_is_found_wherever_it_stands(text_world: Path, tmp_path: Path) -> None:
    """Behind the first 64 pairs, and behind the first RL item, before anything is trained."""
    rows = [orjson.loads(line) for line in (text_world / "data/pairs.jsonl").open("rb")]
    rows = [{**rows[place % len(rows)], "id": str(place)} for place in range(70)]
    items = [orjson.loads(line) for line in (text_world / "data/rl.jsonl").open("rb")]
    pairs, rl = tmp_path / "pairs.jsonl", tmp_path / "rl.jsonl"

    def refused(name: str) -> str:
        for path, table in ((pairs, rows), (rl, items)):
            path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in table))
        given = words(text_world, name, tmp_path / "t", pair_count=70, prompts=32)
        given += ["--pairs", str(pairs), "--rl-data", str(rl), "--dry-run"]
        with pytest.raises(UsageError) as caught:
            cli.main(given, standalone_mode=False)
        return str(caught.value)

    items[3] = {"query": "x", "answer": "y", "images": ["gone.png"]}
    assert "rl.jsonl, line 4: there is no image" in refused("grpo")
    tiny.image("red").save(tmp_path / "gone.png")
    assert "reads text only" in refused("contextrl")
    del items[3]
    rows[67] = {**rows[67], "context_positive": [{"image": "none.png"}]}
    assert "pairs.jsonl, line 68: there is no image" in refused("contextrl")
    rows[66] = {**rows[66], "context_positive": rows[66]["context_negative"]}
    assert "pairs.jsonl, line 67: its two contexts are identical" in refused("ca-only")


def test_a_folder_that_cannot_be_made_is_one_line(text_world: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"--out .*file/t cannot be created: Not a directory"):
        train(text_world, "base", tmp_path / "file/t")


def test_an_unknown_architecture_is_refused(text_world: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unknown"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "no_such_model"}')
    (folder / "model.safetensors").touch()
    given = words(text_world, "contextrl", tmp_path / "t")
    given[given.index("--model") + 1] = str(folder)
    with pytest.raises(UsageError, match=r"unknown cannot be loaded: .*no_such_model"):
        cli.main([*given, "--dry-run"], standalone_mode=False)


def test_images_for_a_text_model_are_refused(
    text_world: Path, image_world: Path, tmp_path: Path
) -> None:
    given = words(image_world, "contextrl", tmp_path / "t")
    given[given.index("--model") + 1] = str(text_world / "model")
    with pytest.raises(UsageError, match="reads text only"):
        cli.main([*given, "--dry-run"], standalone_mode=False)


def test_a_letter_that_is_no_single_token_is_refused(text_world: Path) -> None:
    """A tokenizer that writes the end of the prompt and A as one token."""
    import transformers

    from ablations.training.prompting import Prompter
    from benchmarks.pairs.selection import selection

    words = transformers.AutoTokenizer.from_pretrained(text_world / "model")
    words.add_tokens(["assistant\nA"])
    with pytest.raises(UsageError, match="the option letters A and B are not one token each"):
        Prompter(words).letters(selection(tiny.text_pairs(1)[0], "A").messages)


@pytest.mark.parametrize(
    ("name", "looked"), [("contextrl", True), ("da-sft", True), ("grpo", False)]
)
def test_a_dry_run_looks_at_the_letters(
    name: str, looked: bool, text_world: Path, tmp_path: Path
) -> None:
    """Of the arms whose loss is on the letters, and of no others."""
    import transformers

    folder = tmp_path / "model"
    shutil.copytree(text_world / "model", folder)
    words_ = transformers.AutoTokenizer.from_pretrained(folder)
    words_.add_tokens(["assistant\nA"])
    words_.save_pretrained(folder)
    given = words(text_world, name, tmp_path / "t")
    given[given.index("--model") + 1] = str(folder)
    if looked:
        with pytest.raises(UsageError, match="the option letters A and B are not one token each"):
            cli.main([*given, "--dry-run"], standalone_mode=False)
    else:
        cli.main([*given, "--dry-run"], standalone_mode=False)


@pytest.mark.parametrize("matching", ["instances", "steps"])
def test_ordinary_items_come_in_one_order_in_every_arm(matching: str, text_world: Path) -> None:
    """What two arms have in common, they see in the same order, whatever stands between."""
    places = {}
    for name, one in ARMS.items():
        if one.grpo:
            made = _settings(text_world, matching=matching, prompts=16, pair_count=8)
            slots = schedule(_plan(name, made))
            places[name] = [slot.number for slot in slots if slot.kind == "task"]
    longest = places["grpo"]
    assert longest != sorted(longest)
    for name, order in places.items():
        common = set(order) & set(longest)
        assert len(common) >= 12, name
        assert [p for p in order if p in common] == [p for p in longest if p in common], name


def test_other_content_needs_another_folder(text_world: Path, tmp_path: Path) -> None:
    """The same words, and other files behind them."""
    world = tmp_path / "world"
    shutil.copytree(text_world, world)
    train(world, "base", tmp_path / "t")
    ledger = train(world, "base", tmp_path / "t")
    path = world / "data/pairs.jsonl"
    rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(rows[::-1]))
    with pytest.raises(UsageError, match="with different pairs"):
        train(world, "base", tmp_path / "t")
    path.unlink()  # what is gone cannot be compared; what was made is still there
    assert train(world, "base", tmp_path / "t") == ledger


def test_corrupt_records_of_a_training_are_one_line(text_world: Path, tmp_path: Path) -> None:
    train(text_world, "base", tmp_path)
    ledger, plan = tmp_path / "ledger.json", tmp_path / "plan.json"
    whole = json.loads(plan.read_text())
    for corrupt in ("{]", "[]", "[" * 100_000):
        ledger.write_text(corrupt)
        with pytest.raises(UsageError, match=r"ledger\.json is (corrupt|corrupt)"):
            train(text_world, "base", tmp_path)
    for changed in ([], {}, {**whole, "settings": 5}, {**whole, "content": []}):
        plan.write_text(json.dumps(changed))
        with pytest.raises(UsageError, match=r"plan\.json is (corrupt|corrupt)"):
            train(text_world, "base", tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"stage": "rl"}',
        '{"stage": "rl", "step": "x", "seconds": 1.0}',
        '{"stage": 5, "step": 1, "seconds": 1.0}',
        '{"stage": "rl", "step": 1, "seconds": 1.0, "count/exposures": "x"}',
    ],
)
def test_a_corrupt_step_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "training.jsonl"
    path.write_text('{"stage": "rl", "step": 1, "seconds": 1.0}\n' + line + "\n")
    with pytest.raises(UsageError, match=r"training\.jsonl, line 2 is corrupt"):
        read_steps(path)


@pytest.mark.parametrize(
    ("kind", "images"), [("llava", True), ("qwen3_vl", True), ("qwen3", False), ("llama", False)]
)
def test_whether_a_model_reads_images_is_not_read_off_its_name(
    kind: str, images: bool, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(f'{{"model_type": "{kind}"}}')
    assert reads_images(tmp_path) is images


@pytest.mark.parametrize("config", ["[]", "{", '{"model_type": ["qwen3"]}', "{}"])
def test_a_corrupt_configuration_is_one_line(config: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(UsageError):
        reads_images(tmp_path)


def test_other_settings_need_another_folder(text_world: Path, tmp_path: Path) -> None:
    train(text_world, "base", tmp_path)
    with pytest.raises(UsageError, match=r"other settings \(seed\)"):
        train(text_world, "base", tmp_path, seed=3)
    with pytest.raises(UsageError, match=r"arm \(base\)"):
        train(text_world, "grpo", tmp_path)


def test_a_changed_reward_needs_another_folder(
    text_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source of a custom reward is compared where it was recorded, in either form."""
    monkeypatch.chdir(tmp_path)
    code = "def reward(completions, **_):\n    return [1.0 for _ in completions]\n"
    Path("keyed.py").write_text(code)
    changes = {"reward": "keyed:reward"}
    ledger = train(text_world, "grpo", tmp_path / "t", **changes)
    assert train(text_world, "grpo", tmp_path / "t", **changes) == ledger
    Path("keyed.py").write_text(code.replace("1.0", "0.5"))
    with pytest.raises(UsageError, match="with different reward"):
        train(text_world, "grpo", tmp_path / "t", **changes)
    path = tmp_path / "t/plan.json"
    stored = json.loads(path.read_text())
    source = stored["content"].pop("reward")
    path.write_text(json.dumps(stored))  # as of a version that did not record it
    assert train(text_world, "grpo", tmp_path / "t", **changes) == ledger
    stored["settings"]["reward_source"] = source  # as of one that had it among the settings
    path.write_text(json.dumps(stored))
    with pytest.raises(UsageError, match="with different reward"):
        train(text_world, "grpo", tmp_path / "t", **changes)
    Path("keyed.py").write_text(code)
    assert train(text_world, "grpo", tmp_path / "t", **changes) == ledger
    made = _settings(text_world)
    # Without a setting that was added later and has its default.
    decisive = {name: value for name, value in made.decisive().items() if name not in LATER}
    builtin = json_hash({"arm": "grpo", **decisive})
    assert _plan("grpo", made).key == builtin
    # That of arm grpo by the defaults, as runs were keyed before the source was part of it.
    by_defaults = _plan("grpo", Settings()).key
    assert by_defaults == "deb906278ef12c276f51191f734a73660c3d8765c8f5945dfaab8db1e7fbfdb1"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_reads(path: Path) -> None:
    made = settings(read_recipe(path.stem), {"seed": 3})
    assert made.seed == 3
    assert isinstance(made.learning_rate, float)


def test_a_recipe_with_a_wrong_name_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("lerning_rate: 1e-6\n")
    with pytest.raises(UsageError, match="did you mean learning_rate"):
        read_recipe(str(path))
    path.write_text("learning_rate: fast\n")
    with pytest.raises(UsageError, match="learning_rate must be a number, got 'fast'"):
        settings(read_recipe(str(path)), {})
    # YAML 1.1 reads 1e-6 as a text.
    path.write_text("learning_rate: 1e-6\n")
    assert settings(read_recipe(str(path)), {}).learning_rate == 1e-6


def test_the_dry_run_prints_the_table(
    text_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words(text_world, "da-qa", tmp_path / "t")
    cli.main([*given, "--dry-run"], standalone_mode=False)
    assert "* da-qa" in capsys.readouterr().out
    cli.main([*given, "--dry-run", "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert found["arms"]["grpo"]["prompts"] == 12
    assert found["arms"]["da-qa"]["extra"] == 6
    assert not (tmp_path / "t").exists()


def test_matching_by_tokens_measures_this_models_prompts(
    image_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Selection prompts with two images are longer than RL prompts: `grpo` gets more of those."""
    given = words(image_world, "contextrl", tmp_path / "t", matching="tokens", prompts=32)
    cli.main([*given, "--dry-run", "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)["arms"]
    budget, item = found["contextrl"]["tokens"], found["grpo"]["tokens"] / found["grpo"]["prompts"]
    assert found["grpo"]["prompts"] > found["contextrl"]["prompts"]
    for name in ("grpo", "da-sft", "contextrl-shuffled"):
        assert abs(found[name]["tokens"] - budget) <= 4 * item


def test_steps_are_not_told_twice() -> None:
    seen = {"reward": 0.25, "ca/accuracy": None}
    ledger = {"optimizer_steps": 4, "sft_steps": 2, "first": seen, "last": seen}
    assert learning_summary(ledger) == ["reward: 0.250 in the last 2 of 2 steps"]
    ledger = {"optimizer_steps": 20, "sft_steps": 0, "first": seen, "last": {**seen, "reward": 0.5}}
    assert learning_summary(ledger) == [
        "reward: 0.250 in the first ten steps, 0.500 in the last ten"
    ]
