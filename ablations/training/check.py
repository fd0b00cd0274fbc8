"""Check an arm's data, model and machine before anything is trained."""

from __future__ import annotations

import os
from collections.abc import Collection

from ablations.data.check import check_texts, preview_items
from ablations.data.items import is_software
from ablations.settings import check_names, code_of
from ablations.training.plan import TrainingPlan
from ablations.training.prompting import Prompter, check_forward, check_letters
from ablations.training.rewards import reward_of
from ablations.training.schedule import item, schedule
from benchmarks.micro.data.pairs import is_micro
from harness.backends.checkpoint import check_suggested
from harness.errors import UsageError
from harness.files.text import counted


def check(plan: TrainingPlan, *, elsewhere: bool = False) -> None:
    """Raise `UsageError` for the first thing of a plan that is missing or does not fit.

    ``elsewhere``: training happens on other machines, so this one need not be able to.
    """
    arm, data, s = plan.arm, plan.data, plan.settings
    if s.model:  # a missing model is reported first
        plan.check_given()
    vision = data.reads_images
    assert plan.amounts.steps >= 0
    if _check_data(plan) and not vision:
        raise UsageError(f"the data has images, and {s.model} reads text only")
    if arm.trains and not elsewhere:
        check_forward(data.folder)
        _check_reference(plan)
    own = bool(s.pair_loss) and arm.joint == "selection"
    used = {"reward": arm.grpo, "pair_loss": own}
    for name, code in code_of(vars(s)).items():
        if used[name]:
            code.check()
    if arm.sft or (arm.joint and not own):
        check_letters(data.pairs[0], data.folder, s)
    if arm.grpo and not s.reward:
        reward_of(s)
    if not elsewhere:
        check_names(s)
    if arm.grpo and not elsewhere:
        _check_batches(plan)
        if is_software(data.items):
            raise UsageError(
                f"{s.rl_data} holds software tasks, which an agent has to play: "
                "--export skyrl writes them for SkyRL; --rl-data agent:... plays a benchmark's"
            )
        if data.agent is not None and arm.extra:
            raise UsageError(f"{arm.name} mixes single turns with an agent's episodes")


def _check_reference(plan: TrainingPlan) -> None:
    if plan.arm.grpo and plan.settings.kl and not plan.settings.lora_rank:
        check_suggested(plan.data.folder)


def _check_data(plan: TrainingPlan) -> bool:
    """Check all pairs and RL items that the arm trains on; return whether any has an image."""
    arm, data, s = plan.arm, plan.data, plan.settings
    sources = [source for source in (s.pairs, s.rl_data) if source]
    if s.columns and sources and all(map(is_micro, sources)):
        raise UsageError("--columns has no effect: the micro world has no columns to map")
    images = False
    if arm.uses_pairs:
        images = any(preview.images for preview in data.previews)
    if arm.grpo and data.agent is None:
        images |= preview_items(data.items[: plan.amounts.distinct])
    if plan.settings.model:
        tokens = Prompter.load(data.folder, plan.settings).special_tokens
        check_texts(data.pairs if arm.uses_pairs else (), tokens)
        if arm.grpo and data.agent is None:
            check_texts(data.items[: plan.amounts.distinct], tokens)
        images |= _check_own(plan, tokens)
    return images


def _check_own(plan: TrainingPlan, tokens: Collection[str]) -> bool:
    """Check the items that the arm's own code makes of pairs; return whether any has an image."""
    images = False
    for slot in schedule(plan) if plan.arm.extra == "own" else ():
        if slot.kind == "own":
            made = [item(plan, slot)]
            check_texts(made, tokens)
            images |= preview_items(made)
    return images


_LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def check_launcher() -> None:
    """Check that a launcher has set all of its variables or none; a partial set is ambiguous.

    Raises:
        UsageError: some are missing or not numbers, or a rank is not below the number of processes.
    """
    given = {name: os.environ[name] for name in _LAUNCHER if os.environ.get(name)}
    if not given:
        return
    missing = [name for name in _LAUNCHER if name not in given]
    mend = "start it with torchrun or accelerate launch, or unset them for a single process"
    if missing:
        raise UsageError(f"{', '.join(given)} set without {', '.join(missing)}: {mend}")
    numbers = {name: given[name] for name in _LAUNCHER if name != "MASTER_ADDR"}
    wrong = [f"{name}={value}" for name, value in numbers.items() if not value.isdecimal()]
    if wrong:
        raise UsageError(f"{', '.join(wrong)} set, which is not a number: {mend}")
    rank, world, local = (int(numbers[name]) for name in _LAUNCHER[:3])
    if not local <= rank < world:
        raise UsageError(f"RANK={rank}, LOCAL_RANK={local} and WORLD_SIZE={world} disagree: {mend}")


def first_process() -> bool:
    """Whether this process writes and prints, by the variables of torchrun and accelerate."""
    return int(os.environ.get("RANK", "0")) == 0


def _check_batches(plan: TrainingPlan) -> None:
    items, group = plan.amounts.items_per_step, plan.settings.group
    world = int(os.environ.get("WORLD_SIZE", "1"))
    micro = plan.settings.batch_size or items * group // world
    if micro < 1 or items * group % (micro * world):
        raise UsageError(
            f"{counted(items, 'RL item')} x {counted(group, 'completion')} per step is not "
            f"divisible by {world} processes x batch size {micro}: change prompts_per_step, "
            "pair_count or batch_size"
        )
