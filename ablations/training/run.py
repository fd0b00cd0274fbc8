"""Trains one arm: claims the folder, runs the stages, writes the ledger."""

from __future__ import annotations

import shutil
from typing import Any

from ablations.training.checkpoints import checkpoint_folder
from ablations.training.plan import Training
from ablations.training.run_folder import Say, claim, finished, ledger_of, write_json


def train(training: Training, say: Say) -> dict[str, Any]:
    """Train one arm and return its ledger; a finished run answers at once.

    Under torchrun or accelerate every process calls this; the first one writes.

    Raises:
        UsageError: something does not fit, or the folder holds a run with other settings.
    """
    ledger = finished(training)
    if ledger is not None:
        return ledger
    training.check()
    claim(training)
    if not training.arm.trains:
        return _copy_base(training)
    from ablations.training.stages import run_stages

    run_stages(training, say)
    return _finish(training)


def _copy_base(training: Training) -> dict[str, Any]:
    beside = training.out / ".checkpoint"
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(checkpoint_folder(training.settings.model), beside)
    shutil.rmtree(training.checkpoint, ignore_errors=True)
    beside.rename(training.checkpoint)
    (training.out / "training.jsonl").touch()
    return _finish(training)


def _finish(training: Training) -> dict[str, Any]:
    from ablations.training.distributed import first_process

    ledger = ledger_of(training)
    if first_process():
        write_json(training.out / "ledger.json", ledger)
        # A killed run went on from these; the ledger says that none will.
        for spent in (training.out / "sft", *training.out.glob("stages/*/checkpoint-*")):
            shutil.rmtree(spent, ignore_errors=True)
    return ledger
