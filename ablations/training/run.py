"""Trains one arm: claims the folder, runs the stages, writes the ledger."""

from __future__ import annotations

import shutil
from typing import Any

from ablations.training.plan import TrainingPlan, check
from ablations.training.run_folder import Say, claim, finished, ledger_of, write_json


def train(plan: TrainingPlan, say: Say) -> dict[str, Any]:
    """Train one arm and return its ledger; a finished run answers at once.

    Under torchrun or accelerate every process calls this; the first one writes.

    Raises:
        UsageError: something does not fit, or the folder holds a run with other settings.
    """
    ledger = finished(plan)
    if ledger is not None:
        return ledger
    check(plan)
    claim(plan)
    if not plan.arm.trains:
        return _copy_base(plan)
    from ablations.training.stages import run_stages

    run_stages(plan, say)
    return _finish(plan)


def _copy_base(plan: TrainingPlan) -> dict[str, Any]:
    beside = plan.out / ".checkpoint"
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(plan.data.folder, beside)
    shutil.rmtree(plan.checkpoint, ignore_errors=True)
    beside.rename(plan.checkpoint)
    (plan.out / "training.jsonl").touch()
    return _finish(plan)


def _finish(plan: TrainingPlan) -> dict[str, Any]:
    from ablations.training.distributed import first_process

    ledger = ledger_of(plan)
    if first_process():
        write_json(plan.out / "ledger.json", ledger)
        # A killed run went on from these; the ledger says that none will.
        for spent in (plan.out / "sft", *plan.out.glob("stages/*/checkpoint-*")):
            shutil.rmtree(spent, ignore_errors=True)
    return ledger
