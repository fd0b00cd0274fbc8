"""Summarise a training from its log (training.jsonl)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from ablations.training.plan import TrainingPlan
from ablations.training.schedule import negative_questions, schedule
from harness.errors import UsageError
from harness.files.jsonl import read_lines
from harness.files.typed_json import fits, parse

_COUNTS = ("exposures", "train_tokens", "generated_tokens", "grpo_forwards", "selection_forwards")
_TERMS = ("grpo", "ca", "cross_entropy")
_SUMMARY = ("reward", "reward/accuracy", "reward/format", "ca/loss", "ca/accuracy")


def read_steps(path: Path, *, leave_out_corrupt: bool = False) -> list[dict[str, Any]]:
    """Return the steps in a training.jsonl, none if it is missing; a torn last line is dropped.

    Raises `UsageError` if a complete line is not a step, unless such lines are to be left out.
    """
    steps = []
    for line in read_lines(path):
        step = _step(line.text)
        if step is not None:
            steps.append(step)
        elif not leave_out_corrupt:
            raise UsageError(
                f"{path}, line {line.number} is corrupt; repair or remove it and retrain"
            )
    return steps


def _step(line: str) -> dict[str, Any] | None:
    try:
        row = parse(line)
        numbers = [row["step"], row["seconds"], *(row.get(f"count/{name}", 0) for name in _COUNTS)]
        if fits(row["stage"], str) and fits(numbers, list[float]):
            return dict(row)
    except (ValueError, LookupError, TypeError, AttributeError):
        pass
    return None


def ledger_of(plan: TrainingPlan) -> dict[str, Any]:
    """Return a summary of the training, from its log.

    ``gradient_norms`` are means over the steps where each term's was measured, of the gradient as
    it enters the step (lambda included), before clipping. ``reference_forwards`` counts batches run
    through the starting weights for the KL term. ``prompts`` and ``contrastive_rl_items`` are those
    of the steps that ran, ``distinct_prompts`` the number of unique ones among the former.
    ``steps_without_reward`` are RL steps in which no completion had a reward: they have no signal.
    ``format_timeout`` is the share of completions whose match with the format pattern took too long
    and counted as none; null without a pattern.
    """
    lines, s = read_steps(plan.log), plan.settings
    document = {
        "arm": plan.arm.name,
        "seed": s.seed,
        "matching": s.matching,
        "planned": asdict(plan.amounts),
        **_counts(plan, lines),
        **_learning(lines),
        "format_timeout": _mean(lines, "reward/format_timeout"),
        "save_dtype": s.save_dtype,
        "seconds": sum(line["seconds"] for line in lines),
    }
    if plan.arm.uses_pairs:
        document |= {
            "orders": s.orders,
            "one_order_pairs": plan.data.one_order,
            "pairs_too_long": plan.data.too_long,
        }
    if plan.arm.joint:
        document["loss_on_pairs"] = plan.arm.loss_on_pairs(s.pair_loss)
    if plan.arm.extra == "qa":
        document["negative_questions"] = negative_questions(plan)
    return document


def _counts(plan: TrainingPlan, lines: Sequence[dict[str, Any]]) -> dict[str, int]:
    rl = [line for line in lines if line["stage"] == "rl"]
    slots = schedule(plan)[: len(rl) * plan.amounts.items_per_step] if rl else []
    ordinary = [slot.number for slot in slots if slot.kind == "task"]
    window = plan.settings.updates_per_rollout  # a reward is logged where completions are generated
    generating = [line for line in rl if (line["step"] - 1) % window == 0]
    counts = {name: int(sum(line.get(f"count/{name}", 0) for line in lines)) for name in _COUNTS}
    return {
        "optimizer_steps": len(lines),
        "sft_steps": sum(line["stage"] == "sft" for line in lines),
        "prompts": len(ordinary),
        "distinct_prompts": len(set(ordinary)),
        "steps_without_reward": window * sum(line.get("reward") is None for line in generating),
        "contrastive_rl_items": len(slots) - len(ordinary),
        **counts,
        "reference_forwards": counts["grpo_forwards"] if plan.settings.kl else 0,
    }


def _learning(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    main = [line for line in lines if line["stage"] != "sft"]
    own = ["pair_loss"] if any("pair_loss/loss" in line for line in lines) else []
    names = [*_SUMMARY, *(f"{term}/loss" for term in own)]
    return {
        "gradient_norms": {term: _mean(lines, f"grad_norm/{term}") for term in [*_TERMS, *own]},
        "clipped_wrong": _mean(lines, "ca/clipped_wrong"),
        "first": {name: _mean(main[:10], name) for name in names},
        "last": {name: _mean(main[-10:], name) for name in names},
    }


def _mean(lines: Sequence[dict[str, Any]], name: str) -> float | None:
    known = [line[name] for line in lines if line.get(name) is not None]
    return sum(known) / len(known) if known else None


def last_complete(folder: Path) -> Path | None:
    """Return the newest complete checkpoint of a stage, None if there is none."""
    named = (path for path in folder.glob("checkpoint-*") if path.name[11:].isdecimal())
    complete = [path for path in named if _is_complete(path)]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _is_complete(checkpoint: Path) -> bool:
    """Whether transformers has written the last file of a checkpoint, of the step in its name."""
    try:
        state = orjson.loads((checkpoint / "trainer_state.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return False
    step = int(checkpoint.name.rpartition("-")[2])
    return isinstance(state, dict) and state.get("global_step") == step
