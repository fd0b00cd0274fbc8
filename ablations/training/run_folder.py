"""The files of a training run: plan.json, training.jsonl and ledger.json."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from transformers import TrainerCallback

from ablations.training.distributed import first_process
from ablations.training.plan import TrainingPlan
from ablations.training.schedule import negative_questions, schedule
from harness.errors import UsageError
from harness.files.typed_json import fits, parse
from harness.runs.store import read_json


def keep_lines(path: Path, stage: str, done: int) -> None:
    """Drop what was logged after the checkpoint that training goes on from."""
    lines = [
        line for line in read_lines(path) if line["stage"] != stage or int(line["step"]) <= done
    ]
    beside = path.with_suffix(".part")
    beside.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    beside.replace(path)


class StepLog(TrainerCallback):  # type: ignore[misc]
    """Writes a line a step to training.jsonl and tells how far it is."""

    def __init__(self, path: Path, stage: str, steps: int, say: Say) -> None:
        self._path, self._stage, self._steps, self._say = path, stage, steps, say
        self._begun = self._told = time.monotonic()
        self._first: int | None = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Remember when the step began; its rollouts are made in it."""
        self._begun = time.monotonic()
        if self._first is None:
            self._first, self._started = state.global_step, self._begun

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Write the step's line."""
        if not logs or "train_runtime" in logs:
            return
        line = {
            "stage": self._stage,
            "step": state.global_step,
            **logs,
            "seconds": time.monotonic() - self._begun,
        }
        with self._path.open("ab") as file:
            file.write(orjson.dumps(line) + b"\n")
        self._tell(state.global_step, logs)

    def _tell(self, step: int, logs: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if step < self._steps and now - self._told < (1 if sys.stderr.isatty() else 10):
            return
        self._told = now
        each = (now - self._started) / max(step - (self._first or 0), 1)
        shown = {"reward": "reward", "ca/loss": "L_CA", "ca/accuracy": "selected"}
        figures = [f"{word} {logs[name]:.3f}" for name, word in shown.items() if name in logs]
        left = f"{each * (self._steps - step):.0f} s left"
        self._say(", ".join([f"{self._stage} {step}/{self._steps}", *figures, left]))


Say = Callable[[str], None]


def finished(plan: TrainingPlan) -> dict[str, Any] | None:
    """Return the ledger of a finished run, None where it is not finished.

    Raises:
        UsageError: the folder holds a run with other settings.
    """
    _check_claim(plan)
    path = plan.out / "ledger.json"
    return read_json(path) if path.exists() else None


def _check_claim(plan: TrainingPlan) -> None:
    path = plan.out / "plan.json"
    if not path.exists():
        return
    record = read_json(path)
    if not fits([record.get("key"), record.get("arm")], list[str]) or not fits(
        [record.get("settings"), record.get("content", {})], list[dict[str, Any]]
    ):
        raise UsageError(f"{path} is corrupt; move the folder aside and retrain")
    if record["key"] != plan.key:
        old, new = record["settings"], plan.choices
        changed = [name for name in new if old.get(name) != orjson.loads(orjson.dumps(new[name]))]
        what = ", ".join(changed) or f"arm ({record['arm']})"
        raise UsageError(f"{plan.out} holds a run with other settings ({what}): choose another")
    was = record.get("content", {})
    for name, now in plan.content.items():
        # What is gone cannot be compared; a finished run can still be looked at.
        if now is not None and was.get(name) not in (None, now):
            raise UsageError(f"{plan.out} holds a run with different {name}: choose another folder")


def claim(plan: TrainingPlan) -> None:
    """Write the plan of a run into its folder.

    Raises:
        UsageError: the folder cannot be made.
    """
    if first_process():
        try:
            plan.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--out {plan.out} cannot be created: {error.strerror}") from error
        write_json(
            plan.out / "plan.json",
            {
                "key": plan.key,
                "arm": plan.arm.name,
                "settings": plan.choices,
                "content": plan.content,
                "amounts": asdict(plan.amounts),
            },
        )


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document atomically."""
    beside = path.with_suffix(".part")
    beside.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    beside.replace(path)


_COUNTS = ("exposures", "train_tokens", "generated_tokens", "grpo_forwards", "selection_forwards")


_TERMS = ("grpo", "ca", "cross_entropy")


def ledger_of(plan: TrainingPlan) -> dict[str, Any]:
    """Return what happened, from the lines of training.jsonl.

    ``gradient_norms`` are means over the steps where each term's was measured, of the gradient as
    it enters the step (lambda included), before clipping.  ``reference_forwards`` count the batches
    that the KL term's starting weights saw.  ``prompts`` and ``contrastive_rl_items`` are those of
    the steps that ran, ``distinct_prompts`` how many different ones the former are.
    """
    lines = read_lines(plan.out / "training.jsonl")
    main = [line for line in lines if line["stage"] != "sft"]
    steps = sum(line["stage"] == "rl" for line in lines)
    asked = schedule(plan)[: steps * plan.amounts.items_per_step] if steps else []
    ordinary = [slot.number for slot in asked if slot.kind == "task"]
    counts = {name: int(sum(line.get(f"count/{name}", 0) for line in lines)) for name in _COUNTS}
    kl = plan.settings.kl if plan.arm.grpo else 0.0
    document = {
        "arm": plan.arm.name,
        "seed": plan.settings.seed,
        "matching": plan.settings.matching,
        "planned": asdict(plan.amounts),
        "optimizer_steps": len(lines),
        "sft_steps": len(lines) - len(main),
        "prompts": len(ordinary),
        "distinct_prompts": len(set(ordinary)),
        "contrastive_rl_items": len(asked) - len(ordinary),
        **counts,
        "reference_forwards": counts["grpo_forwards"] if kl else 0,
        "gradient_norms": {term: _mean(lines, f"grad_norm/{term}") for term in _TERMS},
        "clipped_wrong": _mean(lines, "ca/clipped_wrong"),
        "first": _summary(main[:10]),
        "last": _summary(main[-10:]),
        "seconds": sum(line["seconds"] for line in lines),
    }
    if plan.arm.extra == "qa":
        document["negative_questions"] = negative_questions(plan)
    return document


def _summary(lines: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Return means over some steps of what shows whether training works."""
    names = ("reward", "reward/accuracy", "reward/format", "ca/loss", "ca/accuracy")
    return {name: _mean(lines, name) for name in names}


def _mean(lines: Sequence[dict[str, Any]], name: str) -> float | None:
    known = [line[name] for line in lines if line.get(name) is not None]
    return sum(known) / len(known) if known else None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a training.jsonl; a torn last line is none.

    Raises:
        UsageError: a complete line is no step.
    """
    if not path.exists():
        return []
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [_step(line, f"{path}, line {n}") for n, line in enumerate(whole.splitlines(), 1)]


def _step(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = parse(line)
        numbers = [row["step"], row["seconds"], *(row.get(f"count/{name}", 0) for name in _COUNTS)]
        if fits(row["stage"], str) and fits(numbers, list[float]):
            return dict(row)
    except (ValueError, LookupError, TypeError, AttributeError):
        pass
    raise UsageError(f"{where} is corrupt; repair or remove it and retrain")
