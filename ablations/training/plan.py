"""An arm before it is trained: its data, how much of everything it gets, and whether that fits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ablations.arms import ARMS, Arm
from ablations.data.check import check_unrelated_available, preview_items, preview_pairs
from ablations.data.software import is_software
from ablations.data.sources import MICRO_TASKS, content_of, open_items, open_pairs
from ablations.settings import Settings, check_names
from ablations.training.checkpoints import (
    check_letters,
    checkpoint_folder,
    model_type,
    prompter,
)
from ablations.training.exposures import ArmView, Exposures
from ablations.training.matching import Amounts, Sizes, amounts
from ablations.training.rewards import reward_of, reward_source
from ablations.training.rollouts import AGENT, items_of, open_agent
from benchmarks.micro.data.pairs import is_micro
from benchmarks.pairs.file import check as check_pair
from benchmarks.pairs.rows import Preview
from benchmarks.pairs.selection import selection
from harness.errors import UsageError
from harness.files.hashing import json_hash, model_fingerprint
from harness.protocols import Benchmark
from harness.records import Item, Message, Pair

_SAMPLED = 64
"""Items that mean lengths are taken over."""


@dataclass(frozen=True)
class TrainingData:
    """What the settings name, opened when it is first asked for; arms of one run share it.

    Raises:
        UsageError: on access: there is no such checkpoint or data, or too little of it.
    """

    settings: Settings

    @cached_property
    def folder(self) -> Path:
        """The folder of the checkpoint to start from."""
        return checkpoint_folder(self.settings.model)

    @cached_property
    def model_type(self) -> str:
        """The architecture of the model to start from."""
        return model_type(self.folder)

    @cached_property
    def pairs(self) -> Sequence[Pair]:
        """The contrastive pairs, empty where none are given."""
        s = self.settings
        return [] if s.pairs is None else open_pairs(s.pairs, s.pair_count, s.columns)

    @cached_property
    def previews(self) -> list[Preview]:
        """A preview of every pair; the images of the first ones are decoded as well."""
        previews = preview_pairs(self.pairs)
        for pair in self.pairs[:_SAMPLED]:
            check_pair(pair)
        return previews

    @cached_property
    def items(self) -> Sequence[Item]:
        """All ordinary RL items, empty where none are given."""
        s = self.settings
        if s.rl_data is None:
            return []
        if self.agent is not None:
            return items_of(self.agent)
        number = None
        if is_micro(s.rl_data) and s.prompts is not None:
            # The embedded world makes as many as are asked for, so that none is used twice.  (By
            # tokens `grpo` may need more yet, and `repeated` says so.)
            extra = 0 if s.matching == "steps" else len(self.pairs)
            number = max(MICRO_TASKS, s.prompts + extra)
        return open_items(s.rl_data, number, s.columns)

    @cached_property
    def agent(self) -> Benchmark | None:
        """The benchmark whose agent plays, None where items are answered in one turn."""
        source = self.settings.rl_data
        if source is None or not source.startswith(AGENT):
            return None
        return open_agent(source, self.settings.data_root, self.settings.agent_steps)

    @cached_property
    def sizes(self) -> Sizes:
        """The sizes that the matching table is computed from."""
        s, prompts = self.settings, self.settings.prompts
        if prompts is None:
            # By instances, grpo gets as many more as there are pairs: they must be in the data.
            prompts = len(self.items) - (len(self.pairs) if s.matching == "instances" else 0)
        lengths = self._lengths() if s.matching == "tokens" else {}
        return Sizes(
            prompts=max(prompts, 0),
            pairs=len(self.pairs),
            prompts_per_step=s.prompts_per_step,
            group=s.group,
            pairs_per_step=s.pairs_per_step,
            items=len(self.items),
            **lengths,
        )

    def _lengths(self) -> dict[str, float]:
        from ablations.data.contrastive import qa_item

        render = prompter(self.folder, self.settings)

        def mean(prompts: Sequence[Sequence[Message]]) -> float:
            return sum(map(render.length, prompts)) / max(len(prompts), 1)

        pairs = self.pairs[:_SAMPLED]
        return {
            "prompt_tokens": mean([item.messages for item in self.items[:_SAMPLED]]),
            "completion_tokens": float(self.settings.max_tokens),
            "selection_tokens": mean([selection(pair, "A").messages for pair in pairs]),
            "qa_tokens": mean([qa_item(pair, "A").messages for pair in pairs]),
        }


@dataclass(frozen=True)
class TrainingPlan:
    """One arm on its data, and the folder that it is trained into."""

    arm: Arm
    data: TrainingData
    out: Path

    @property
    def settings(self) -> Settings:
        """The choices of the run."""
        return self.data.settings

    @property
    def checkpoint(self) -> Path:
        """The folder of the trained checkpoint."""
        return self.out / "checkpoint"

    @property
    def choices(self) -> dict[str, Any]:
        """All settings that decide the outcome, and the source of a user's reward."""
        reward = self.settings.reward
        source = {"reward_source": reward_source(reward)} if reward else {}
        return {**self.settings.decisive(), **source}

    @property
    def key(self) -> str:
        """The hash of all choices that decide the outcome."""
        return json_hash({"arm": self.arm.name, **self.choices})

    @property
    def content(self) -> dict[str, str | None]:
        """The hashes of the model and the data behind their names."""
        s, folder = self.settings, Path(self.settings.model)
        return {
            "model": model_fingerprint(folder) if (folder / "config.json").is_file() else None,
            "pairs": s.pairs and content_of(s.pairs),
            "rl_data": s.rl_data and content_of(s.rl_data),
        }

    @cached_property
    def amounts(self) -> Amounts:
        """How much of everything the arm gets.

        Raises:
            UsageError: the arm needs data that is not given, or more of it.
        """
        s, data = self.settings, self.data
        if self.arm.uses_pairs and s.pairs is None:
            raise UsageError(f"{self.arm.name} trains on pairs: give --pairs")
        if self.arm.grpo and s.rl_data is None:
            raise UsageError(f"{self.arm.name} trains by GRPO: give --rl-data")
        if self.arm.grpo and data.sizes.prompts < 1:
            raise UsageError(
                f"{len(data.items)} RL items and {len(data.pairs)} pairs: with --matching "
                "instances, grpo needs #prompts + #pairs RL items; lower --prompts or --pair-count"
            )
        return amounts(self.arm, s.matching, data.sizes)

    @property
    def view(self) -> ArmView:
        """The pairs as the arm sees them."""
        arm = self.arm
        return ArmView(self.data.pairs, self.settings.seed, arm.shuffled, arm.unrelated)

    def exposures(self, *, sft: bool = False) -> Exposures:
        """Return which pairs each step of the main stage shows, or each of the SFT stage."""
        planned = self.amounts
        steps = planned.sft_steps if sft else planned.steps
        return Exposures(len(self.data.pairs), planned.exposures, steps, self.settings.seed)


def table(plan: TrainingPlan) -> dict[str, Amounts | str]:
    """Return the matching table: arm -> amounts, or why it cannot be trained on this data."""
    rows: dict[str, Amounts | str] = {}
    for name, arm in ARMS.items():
        try:
            rows[name] = replace(plan, arm=arm).amounts
        except UsageError as error:
            rows[name] = str(error)
    return rows


def repeated(plan: TrainingPlan) -> str | None:
    """Return a line that says which arms reuse RL items, None where none does."""
    rows = {name: row for name, row in table(plan).items() if isinstance(row, Amounts)}
    reusing = [f"{name} {row.prompts}" for name, row in rows.items() if row.distinct < row.prompts]
    if not reusing:
        return None
    return (
        f"the data holds {len(plan.data.items)} RL items; prompts are reused in "
        f"{', '.join(reusing)}: these arms match in samples drawn, not in unique prompts"
    )


def check(plan: TrainingPlan, *, elsewhere: bool = False) -> None:
    """Check that everything is there and fits, before anything is trained.

    Args:
        plan: what is to be trained.
        elsewhere: it is trained on other machines, so this one need not be able to.

    Raises:
        UsageError: names the first thing that does not fit.
    """
    arm, data, s = plan.arm, plan.data, plan.settings
    vision = data.model_type.endswith("_vl")
    assert plan.amounts.steps >= 0
    if _check_data(plan) and not vision:
        raise UsageError(f"the data has images, and {s.model} reads text only")
    if arm.sft or arm.joint:
        check_letters(data.pairs[0], data.folder, s)
    if arm.grpo:
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


def _check_data(plan: TrainingPlan) -> bool:
    """Check all pairs and RL items that the arm trains on; return whether any has an image.

    Only the images of the first pairs are decoded.
    """
    arm, data = plan.arm, plan.data
    images = False
    if arm.uses_pairs:
        images = any(preview.images for preview in data.previews)
        if arm.unrelated:
            check_unrelated_available(data.previews)
    if arm.grpo and data.agent is None:
        images |= preview_items(data.items[: plan.amounts.distinct])
    return images


def _check_batches(plan: TrainingPlan) -> None:
    items, group = plan.amounts.items_per_step, plan.settings.group
    world = int(os.environ.get("WORLD_SIZE", "1"))
    micro = plan.settings.batch_size or items * group // world
    if micro < 1 or items * group % (micro * world):
        raise UsageError(
            f"{items} RL items x {group} completions per step is not divisible by {world} "
            f"processes x batch size {micro}: change prompts_per_step, pair_count or batch_size"
        )
