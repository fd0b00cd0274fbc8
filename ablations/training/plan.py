"""An arm before it is trained: its data, how much of everything it gets, and whether that fits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ablations.arms import ARMS, Arm
from ablations.data.check import (
    check_any,
    check_texts,
    check_unrelated_available,
    preview_items,
    preview_pairs,
    tied,
    tied_line,
    written_counts,
)
from ablations.data.items import is_software, qa_item
from ablations.data.sources import MICRO_TASKS, count_lines, open_items, row_counts
from ablations.settings import LATER, Settings, check_names
from ablations.training.matching import Amounts, Sizes, amounts
from ablations.training.prompting import Prompter, check_forward, check_letters
from ablations.training.rewards import check_reward, reward_of, reward_source
from ablations.training.rollouts import AGENT, items_of, open_agent
from benchmarks.micro.data.pairs import is_micro
from benchmarks.pair_sources import content_of, first, open_pairs
from benchmarks.pairs.rows import LazyRows, Preview
from benchmarks.pairs.selection import AnyPair
from harness.backends.checkpoint import reads_images
from harness.errors import UsageError
from harness.files.hashing import file_hash, json_hash, model_fingerprint
from harness.protocols import Benchmark
from harness.records import Item, Message, Pair
from harness.runs.identity import identify

# Settings that name a file whose content affects the weights.
_FILES = ("pair_template", "selection_chat_template")
_SAMPLED = 64  # items that mean lengths are taken over, and pairs whose images are decoded


@dataclass(frozen=True)
class TrainingData:
    """What the settings name, opened when it is first asked for; arms of one run share it.

    On access, raises `UsageError` if there is no such checkpoint or data, or too little of it.
    """

    settings: Settings

    @cached_property
    def folder(self) -> Path:
        """The folder of the starting checkpoint."""
        if not self.settings.model:
            raise UsageError("give --model, the checkpoint to start from")
        folder = identify(self.settings.model, None, None).checkpoint
        assert folder is not None
        return folder

    @cached_property
    def reads_images(self) -> bool:
        """Whether the model takes images."""
        return reads_images(self.folder)

    @cached_property
    def pairs(self) -> Sequence[AnyPair]:
        """The contrastive pairs without those that are too long; empty without --pairs."""
        return self._fitting[0]

    @property
    def too_long(self) -> int:
        """The number of pairs left out for the length of a selection prompt."""
        return self._fitting[1]

    @cached_property
    def _fitting(self) -> tuple[Sequence[AnyPair], int]:
        s = self.settings
        if s.pairs is None:
            return [], 0
        limit = s.max_selection_tokens
        pairs = open_pairs(
            s.pairs,
            None if limit else s.pair_count,
            s.columns,
            image_root=self.image_root,
            template=None if s.pair_template is None else Path(s.pair_template),
        )
        if limit is None:
            return pairs, 0
        render = Prompter.load(self.folder, s)
        fits = [render.longest_selection(pair) <= limit for pair in pairs]
        kept = _only(pairs, fits)
        return first(s.pair_count, f"pairs of up to {limit} tokens", s.pairs, kept), len(
            fits
        ) - sum(fits)

    @property
    def image_root(self) -> Path | None:
        """The folder of images, where it is not that of the data."""
        root = self.settings.image_root
        return None if root is None else Path(root)

    def row_counts(self) -> dict[str, dict[str, int]]:
        """Return the number of rows of each kind, by the option that names their source."""
        sources: dict[str, Sequence[object]] = {"pairs": self.pairs}
        if self.agent is None:
            sources["rl_data"] = self.items
        counts = {name: row_counts(rows) for name, rows in sources.items()}
        return {name: found for name, found in counts.items() if found}

    def notes(self) -> list[str]:
        """Return lines on the rows of the data and on pairs in one order."""
        s, lines = self.settings, []
        for name, counts in self.row_counts().items():
            lines += count_lines(f"{name} {getattr(s, name)}", counts, s.selection_rows)
        if not self.pairs:
            return lines
        lone = self.one_order
        if self.too_long:
            lines.append(
                f"{self.too_long} pairs left out: longer than {s.max_selection_tokens} tokens"
            )
        if lone:
            lines.append(f"{lone} of {len(self.pairs)} pairs are shown in one order only")
        if names := tied(self.pairs, self.previews):
            lines.append(tied_line(names))
        return lines

    @property
    def one_order(self) -> int:
        """The number of pairs that L_CA and SFT show in one order only."""
        if self.settings.orders == "written":
            return len(self.pairs)
        return written_counts(self.previews)["one_order"]

    @cached_property
    def previews(self) -> list[Preview]:
        """A preview of every pair; the images of the first 64 pairs are decoded as well."""
        previews = preview_pairs(self.pairs)
        for pair in self.pairs[:_SAMPLED]:
            check_any(pair)
        return previews

    @cached_property
    def items(self) -> Sequence[Item]:
        """All ordinary RL items; empty without --rl-data."""
        s = self.settings
        if s.rl_data is None:
            return []
        if self.agent is not None:
            return items_of(self.agent)
        number = None
        if is_micro(s.rl_data) and s.prompts is not None:
            # The micro world makes enough that none is used twice.  (By tokens `grpo` may need
            # still more; `repeated` reports that.)
            extra = 0 if s.matching == "steps" else s.pair_passes * len(self.pairs)
            number = max(MICRO_TASKS, s.prompts + extra)
        return open_items(
            s.rl_data,
            number,
            s.columns,
            image_root=self.image_root,
            selection_rows=s.selection_rows,
        )

    @cached_property
    def agent(self) -> Benchmark | None:
        """The benchmark whose agent plays the items; None if they take a single turn."""
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
            instead = s.pair_passes * len(self.pairs) if s.matching == "instances" else 0
            prompts = s.rl_passes * len(self.items) - instead
        return Sizes(
            prompts=max(prompts, 0),
            pairs=s.pair_passes * len(self.pairs),
            prompts_per_step=s.prompts_per_step,
            group=s.group,
            pairs_per_step=s.pairs_per_step,
            items=len(self.items),
            orders=2 - self.one_order / max(len(self.pairs), 1) if s.matching == "tokens" else 2,
            **(self._lengths() if s.matching == "tokens" else {}),
        )

    def _lengths(self) -> dict[str, float]:
        s = self.settings
        render = Prompter.load(self.folder, s)

        def mean(prompts: Sequence[Sequence[Message]]) -> float:
            return sum(map(render.length, prompts)) / max(len(prompts), 1)

        pairs = self.pairs[:_SAMPLED]
        return {
            "prompt_tokens": mean([item.messages for item in self.items[:_SAMPLED]]),
            "completion_tokens": float(s.max_tokens),
            "selection_tokens": mean([s.asking.prompt(pair, "A").messages for pair in pairs]),
            "qa_tokens": mean(
                [qa_item(pair, "A").messages for pair in pairs if isinstance(pair, Pair)]
            ),
        }


def _only(pairs: Sequence[AnyPair], chosen: Sequence[bool]) -> Sequence[AnyPair]:
    """Return some of the pairs, still unopened where they are rows."""
    if isinstance(pairs, LazyRows):
        kept = [index for index, keep in zip(pairs.indices, chosen, strict=True) if keep]
        return replace(pairs, indices=kept)
    return [pair for pair, keep in zip(pairs, chosen, strict=True) if keep]


@dataclass(frozen=True)
class TrainingPlan:
    """One arm on its data, and the folder that it is trained into."""

    arm: Arm
    data: TrainingData
    out: Path

    @property
    def settings(self) -> Settings:
        """The settings of the run."""
        return self.data.settings

    @property
    def checkpoint(self) -> Path:
        """The folder of the trained checkpoint."""
        return self.out / "checkpoint"

    @property
    def log(self) -> Path:
        """The log, one line per step."""
        return self.out / "training.jsonl"

    @property
    def key(self) -> str:
        """The hash of the arm and all settings that affect the weights."""
        decisive = self.settings.decisive()
        keyed = [item for item in decisive.items() if item not in LATER.items()]
        return json_hash({"arm": self.arm.name, **dict(keyed)})

    @property
    def content(self) -> dict[str, str | None]:
        """The hashes of what the settings name: the model, the data and a custom reward."""
        s, folder, root = self.settings, Path(self.settings.model), self.data.image_root
        content = {
            "model": model_fingerprint(folder) if (folder / "config.json").is_file() else None,
            "pairs": s.pairs and content_of(s.pairs, s.columns, root),
            "rl_data": s.rl_data and content_of(s.rl_data, s.columns, root),
            "reward": s.reward and reward_source(s.reward),
        }
        files = {name: getattr(s, name) for name in _FILES}
        there = {name: Path(file) for name, file in files.items() if file and Path(file).is_file()}
        return {**content, **{name: file_hash(file) for name, file in there.items()}}

    @cached_property
    def amounts(self) -> Amounts:
        """How much of everything the arm gets.

        Raises `UsageError` if the arm needs data that is not given, or more of it.
        """
        data = self.data
        self.check_given()
        if self.arm.extra == "qa" and written_counts(data.previews)["written"]:
            raise UsageError(
                f"{self.arm.name} asks about one context, and written pairs do not hold question, "
                "answer and contexts apart"
            )
        if self.arm.unrelated:
            check_unrelated_available(data.previews)
        if self.arm.grpo and data.sizes.prompts < 1:
            raise UsageError(
                f"{len(data.items)} RL items and {len(data.pairs)} pairs: with --matching "
                "instances, grpo needs #prompts + #pairs RL items; lower --prompts or --pair-count"
            )
        return amounts(self.arm, self.settings.matching, data.sizes)

    def check_given(self) -> None:
        """Raise `UsageError` if data that the arm needs was not named; opens nothing."""
        if self.arm.uses_pairs and self.settings.pairs is None:
            raise UsageError(f"{self.arm.name} trains on pairs: give --pairs")
        if self.arm.grpo and self.settings.rl_data is None:
            raise UsageError(f"{self.arm.name} trains by GRPO: give --rl-data")
        s = self.settings
        if s.selection_rows == "keep" and s.pairs is not None and s.pairs == s.rl_data:
            raise UsageError(
                f"{s.pairs} is given as --pairs and as --rl-data: with --selection-rows keep its "
                "selection rows would be both"
            )


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
    """Return a line that names the arms that reuse RL items, None if none does."""
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
    if s.model:  # without one, that is the first thing to say
        plan.check_given()
    vision = data.reads_images
    assert plan.amounts.steps >= 0
    if _check_data(plan) and not vision:
        raise UsageError(f"the data has images, and {s.model} reads text only")
    if arm.trains and not elsewhere:
        check_forward(data.folder)
    if arm.sft or arm.joint:
        check_letters(data.pairs[0], data.folder, s)
    if arm.grpo and s.reward:
        check_reward(s.reward)
    elif arm.grpo:
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
    """Check all pairs and RL items that the arm trains on; return whether any has an image."""
    arm, data = plan.arm, plan.data
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
    return images


_LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def check_launcher() -> None:
    """Check that a launcher has set all of its variables or none: some alone leave ranks unclear.

    Raises:
        UsageError: some are missing, not numbers, or a rank is not below the number of processes.
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
            f"{items} RL items x {group} completions per step is not divisible by {world} "
            f"processes x batch size {micro}: change prompts_per_step, pair_count or batch_size"
        )
