"""Trains one arm: writes plan.json, runs the stages, writes ledger.json."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from ablations.settings import LATER
from ablations.training.ledger import ledger_of
from ablations.training.plan import TrainingPlan, check, check_launcher, first_process
from ablations.training.rewards import reward_of
from harness.backends.reasoning_tags import named_tags
from harness.errors import UsageError
from harness.files.atomic import write_json
from harness.files.typed_json import fits
from harness.reasoning import extra_tags
from harness.runs.store import is_torn, read_json


def train(plan: TrainingPlan, say: Callable[[str], None]) -> dict[str, Any]:
    """Train one arm and return its ledger; a finished run answers at once.

    Under torchrun or accelerate every process calls this; the first one writes and prints.  Raises
    `UsageError` if something does not fit, or the folder holds a run with other settings.
    """
    check_launcher()
    ledger = finished(plan)
    if ledger is not None:
        return ledger
    # Rewards and prompts read the thoughts of this model as its evaluation does.
    with extra_tags(named_tags(plan.data.folder).tags):
        return _train(plan, say)


def _train(plan: TrainingPlan, say: Callable[[str], None]) -> dict[str, Any]:
    check(plan)
    if plan.arm.grpo:
        reward_of(plan.settings)  # a custom one that cannot be used is refused before any step
    if first_process():
        say(f"{plan.arm.name}: {plan.arm.title}; output in {plan.out}")
        for line in plan.data.notes():
            say(line)
        _claim(plan)
    if plan.arm.trains:
        from ablations.training.stages import run_stages

        run_stages(plan, say)
    elif first_process():
        from ablations.training.saving import copy_checkpoint

        copy_checkpoint(plan.data.folder, plan.settings.save_dtype, plan.checkpoint)
        plan.log.touch()
    ledger = ledger_of(plan)
    if first_process():
        from ablations.training.saving import changed_share

        ledger["changed_weights"] = changed_share(plan.data.folder, plan.checkpoint)
        write_json(plan.out / "ledger.json", ledger)
        _remove_spent(plan.out)
    return ledger


class _Claim(TypedDict):
    """What is read of a plan.json."""

    key: str
    arm: str
    settings: dict[str, Any]
    content: NotRequired[dict[str, Any]]


def finished(plan: TrainingPlan) -> dict[str, Any] | None:
    """Return the ledger of a finished run, None if it is not finished.

    Raises `UsageError` if the folder holds a run with other settings.
    """
    _check_claim(plan, plan.out / "plan.json")
    path = plan.out / "ledger.json"
    return read_json(path) if path.exists() and not is_torn(path) else None


def _check_claim(plan: TrainingPlan, path: Path) -> None:
    """Check that a plan.json, if there, is of this plan and of the same content."""
    if not path.exists():
        return
    record = read_json(path)
    if not fits(record, _Claim):
        raise UsageError(f"{path} is corrupt; move the folder aside and retrain")
    old, content = {**LATER, **record["settings"]}, record.get("content", {})
    # Stored plans of one version have the hash of a custom reward among the settings.
    stored = {"reward": old.pop("reward_source", None), **content}
    new = json.loads(json.dumps(plan.settings.decisive()))
    if (record["arm"], old) != (plan.arm.name, new):
        changed = [name for name in old | new if old.get(name) != new.get(name)]
        what = ", ".join(changed) or f"arm ({record['arm']})"
        raise UsageError(f"{plan.out} holds a run with other settings ({what}): choose another")
    for name, now in plan.content.items():
        # What is gone cannot be compared; a finished run can still be looked at.
        if now is not None and stored.get(name) not in (None, now):
            raise UsageError(f"{plan.out} holds a run with different {name}: choose another folder")


def _claim(plan: TrainingPlan) -> None:
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {plan.out} cannot be created: {error.strerror}") from error
    record = {"key": plan.key, "arm": plan.arm.name, "settings": plan.settings.decisive()}
    write_json(
        plan.out / "plan.json",
        {**record, "content": plan.content, "amounts": asdict(plan.amounts)},
    )


def _remove_spent(out: Path) -> None:
    """Remove what only a resumed run needs, and checkpoints that a kill left half written."""
    for pattern in ("sft", "stages/*/checkpoint-*", ".sft.*", ".checkpoint.*"):
        for spent in out.glob(pattern):
            shutil.rmtree(spent, ignore_errors=True)
