"""Train one arm: write plan.json, run the stages, write ledger.json."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

from ablations.training.check import check, check_launcher, first_process
from ablations.training.claim import check_claim, check_rows, claim
from ablations.training.ledger import ledger_of
from ablations.training.plan import TrainingPlan
from ablations.training.rewards import reward_of
from harness.backends.reasoning_tags import named_tags
from harness.files.atomic import write_json
from harness.install.extras import without
from harness.reasoning import extra_tags
from harness.runs.store import is_torn, read_json


def train(plan: TrainingPlan, say: Callable[[str], None]) -> dict[str, Any]:
    """Train one arm and return its ledger; for a finished run, return the stored one.

    Under torchrun or accelerate every process calls this; the first one writes and prints. Raises
    `UsageError` if something does not fit, or the folder holds a run with other settings.
    """
    check_launcher()
    ledger = finished(plan)
    if ledger is not None:
        return ledger
    # Rewards and prompts parse this model's reasoning as its evaluation does.
    with extra_tags(named_tags(plan.data.folder).tags):
        return _train(plan, say)


def _train(plan: TrainingPlan, say: Callable[[str], None]) -> dict[str, Any]:
    check(plan)
    check_rows(plan)
    if plan.arm.grpo:
        reward_of(plan.settings)  # reject an unusable custom reward before any step
    if plan.settings.pair_loss and plan.arm.joint == "selection":
        from ablations.training.steps.own_loss import load_loss

        load_loss(plan.settings.pair_loss)
    if first_process():
        say(f"{plan.arm.name}: {plan.arm.titled(plan.settings.pair_loss)}; output in {plan.out}")
        for line in plan.data.notes():
            say(line)
        claim(plan)
    if plan.arm.trains:
        # TRL loads all of an installed vLLM: 2 to 3 CPU seconds and 230 MB.
        with without(*([] if plan.settings.vllm_server else ["vllm"])):
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
        # What only a resumed run needs, and checkpoints that a kill left incomplete.
        for pattern in ("sft", "stages/*/checkpoint-*", ".sft.*", ".checkpoint.*"):
            for spent in plan.out.glob(pattern):
                shutil.rmtree(spent, ignore_errors=True)
    return ledger


def finished(plan: TrainingPlan) -> dict[str, Any] | None:
    """Return the ledger of a finished run, None if it is not finished.

    Raises `UsageError` if the folder holds a run with other settings.
    """
    check_claim(plan)
    path = plan.out / "ledger.json"
    return read_json(path) if path.exists() and not is_torn(path) else None
