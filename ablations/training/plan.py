"""One arm before it is trained: its data, its schedule, and how much of everything it gets.

`ablations.training.run` trains it into a folder with a checkpoint that ``harness run`` takes,
training.jsonl (one line per step) and ledger.json (what happened, derived from those lines).  A
killed run continues from its last complete checkpoint with the same draws; what it would continue
from is removed once the ledger exists.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from ablations.arms import ARMS, Arm, Matching
from ablations.data.software import Instances
from ablations.data.sources import MICRO_TASKS, content_of
from ablations.settings import Settings, check_words
from ablations.training.checkpoints import check_letters, checkpoint_folder
from ablations.training.matching import Amounts, Sizes, amounts
from ablations.training.rewards import reward_of
from ablations.training.schedule import Exposures, RlItem, draw
from benchmarks.pairs.file import Glance, check
from benchmarks.pairs.rl_item import Task
from harness.backends.checkpoint import reads_images
from harness.errors import UsageError
from harness.files.hashing import json_hash
from harness.protocols import Benchmark
from harness.records import Pair

_SAMPLED = 64
"""Items that mean lengths are taken over."""


@dataclass(frozen=True)
class Training:
    """A run before anything is trained: its data, its place and how much of everything it gets.

    Raises:
        UsageError: on access: data is missing or too little, the checkpoint is none of ours.
    """

    arm: Arm
    settings: Settings
    out: Path

    @cached_property
    def reads_images(self) -> bool:
        """Whether the model to start from reads images."""
        return reads_images(checkpoint_folder(self.settings.model))

    @cached_property
    def pairs(self) -> Sequence[Pair]:
        """The contrastive pairs; empty where none are given and the arm needs none."""
        from ablations.data.sources import open_pairs

        if self.settings.pairs is None:
            if self.arm.uses_pairs:
                raise UsageError(f"{self.arm.name} trains on pairs: give --pairs")
            return []
        return open_pairs(self.settings.pairs, self.settings.pair_count, self.settings.columns)

    @cached_property
    def _glances(self) -> list[Glance]:
        """All pairs, looked at: every image is there, and those of the first pairs decode."""
        from ablations.data.check import glance_pairs

        found = glance_pairs(self.pairs)
        for pair in self.pairs[:_SAMPLED]:
            check(pair)
        return found

    @cached_property
    def tasks(self) -> Sequence[Task]:
        """All ordinary RL items; empty where none are given and the arm needs none."""
        from ablations.data.sources import open_tasks

        if self.settings.rl_data is None:
            if self.arm.grpo:
                raise UsageError(f"{self.arm.name} trains by GRPO: give --rl-data")
            return []
        if self.agent is not None:
            from ablations.training.rollouts import tasks_of

            return tasks_of(self.agent)
        return open_tasks(self.settings.rl_data, self._made, self.settings.columns)

    def of(self, other: Arm) -> Training:
        """Return the training of another arm by the same settings; what was read is shared."""
        s, made = self.settings, replace(self, arm=other)
        shared = {"reads_images", "agent"}
        shared |= {"pairs", "_glances"} if s.pairs else set()
        shared |= {"tasks"} if s.rl_data else set()
        vars(made).update({name: known for name, known in vars(self).items() if name in shared})
        return made

    @property
    def _made(self) -> int | None:
        """How many RL items the embedded world is to make, so that none comes twice.

        None: of another source, all.  By tokens `grpo` may yet get more, and the table says so.
        """
        from benchmarks.micro.data.pairs import is_micro

        s = self.settings
        if s.rl_data is None or s.prompts is None or not is_micro(s.rl_data):
            return None
        wanted = s.prompts if s.matching == "steps" else s.prompts + len(self.pairs)
        return max(MICRO_TASKS, wanted)

    @cached_property
    def agent(self) -> Benchmark | None:
        """The benchmark whose agent plays, None where items are answered in one turn."""
        from ablations.training.rollouts import AGENT, open_agent

        source = self.settings.rl_data
        if source is None or not source.startswith(AGENT):
            return None
        return open_agent(source, self.settings.data_root, self.settings.agent_steps)

    @cached_property
    def sizes(self) -> Sizes:
        """The sizes that the matching table is computed from."""
        s = self.settings
        prompts = s.prompts
        if prompts is None:
            # By instances, grpo gets as many more as there are pairs: it finds them in the data.
            prompts = len(self.tasks) - (len(self.pairs) if s.matching == "instances" else 0)
        if prompts < 1 and self.arm.grpo:
            raise UsageError(
                f"{len(self.tasks)} RL items and {len(self.pairs)} pairs: matched by instances, "
                "grpo needs as many more RL items as there are pairs; give --prompts or fewer pairs"
            )
        lengths = self._lengths() if s.matching == "tokens" else {}
        return Sizes(
            prompts=max(prompts, 0),
            pairs=len(self.pairs),
            prompts_per_step=s.prompts_per_step,
            group=s.group,
            pairs_per_step=s.pairs_per_step,
            items=len(self.tasks),
            **lengths,
        )

    @cached_property
    def amounts(self) -> Amounts:
        """How much of everything this arm gets."""
        return amounts(self.arm, cast("Matching", self.settings.matching), self.sizes)

    def table(self) -> dict[str, Amounts | str]:
        """Return the matching table: arm -> amounts, or why it cannot be trained on this data."""
        rows: dict[str, Amounts | str] = {}
        for name, one in ARMS.items():
            try:
                if one.uses_pairs and not self.pairs:
                    raise UsageError("no pairs are given")
                rows[name] = amounts(one, cast("Matching", self.settings.matching), self.sizes)
            except UsageError as error:
                rows[name] = str(error)
        return rows

    def repeated(self) -> str | None:
        """Return a line that says where RL items come again, None where none does."""
        rows = {name: row for name, row in self.table().items() if isinstance(row, Amounts)}
        again = [
            f"{name} {row.prompts}" for name, row in rows.items() if row.distinct < row.prompts
        ]
        if not again:
            return None
        return (
            f"the data holds {len(self.tasks)} RL items, and the first ones come again in "
            f"{', '.join(again)}: these arms are matched in draws, not in different items"
        )

    def schedule(self) -> list[tuple[str, int, bool]]:
        """Return the RL items of all steps in order: kind, index, and which side or order.

        Ordinary items are the first ones of the data, whatever the arm, and begin anew where they
        do not suffice; the contrastive ones are mixed among them; the seed decides the order.
        Every item has a place of its own in it: what arms have in common, they see in one order.
        By steps, a step's ordinary items are those of every arm's, and on top come the pairs that
        a joint loss shows in it.
        """
        planned, seed, n = self.amounts, self.settings.seed, len(self.tasks)
        ordinary = sorted(
            (draw(seed, "task", place), ("task", place % n, False))
            for place in range(planned.prompts)
        )
        toss = random.Random(f"sides/{seed}")
        extra = [
            (draw(seed, "pair", place), (str(self.arm.extra), place, toss.random() < 0.5))
            for place in range(planned.extra)
        ]
        size = self.settings.prompts_per_step
        if planned.items_per_step == size:
            return [item for _, item in sorted(ordinary + extra)]
        on_top = Exposures(planned.extra, planned.extra, planned.rl_steps, seed)
        steps = (
            ordinary[step * size : (step + 1) * size] + [extra[place] for place in on_top.at(step)]
            for step in range(planned.rl_steps)
        )
        return [item for step in steps for _, item in sorted(step)]

    def item(self, kind: str, index: int, first: bool) -> RlItem:
        """Return one RL item of the schedule."""
        from ablations.data.contrastive import as_qa_task, as_selection_task

        if kind == "task":
            return RlItem(self.tasks[index], False)
        if kind == "selection":
            return RlItem(as_selection_task(self.pairs[index], first), True)
        return RlItem(as_qa_task(self.pairs[index], first), False)

    def negative_questions(self) -> int:
        """Return how many of `da-qa`'s questions are about the other context of a pair."""
        return sum(
            kind == "qa" and not first and self.pairs[index].answer_negative is not None
            for kind, index, first in self.schedule()
        )

    def _lengths(self) -> dict[str, float]:
        from ablations.data.contrastive import as_qa_task
        from ablations.training.checkpoints import prompter
        from benchmarks.pairs.selection import selection

        shown = prompter(checkpoint_folder(self.settings.model), self.settings)

        def mean(messages: list[Any]) -> float:
            return sum(map(shown.length, messages)) / max(len(messages), 1)

        pairs = self.pairs[:_SAMPLED]
        return {
            "prompt_tokens": mean([task.messages for task in self.tasks[:_SAMPLED]]),
            "completion_tokens": float(self.settings.max_tokens),
            "selection_tokens": mean([selection(pair, "A").messages for pair in pairs]),
            "qa_tokens": mean([as_qa_task(pair, True).messages for pair in pairs]),
        }

    def content(self) -> dict[str, str | None]:
        """Return the hash of what the model's and the data's words stand for today."""
        from harness.files.hashing import model_fingerprint

        s = self.settings
        folder = Path(s.model)
        model = model_fingerprint(folder) if (folder / "config.json").is_file() else None
        data = {"pairs": s.pairs, "rl_data": s.rl_data}
        hashes = {name: word and content_of(word) for name, word in data.items()}
        return {"model": model, **hashes}

    @property
    def key(self) -> str:
        """The hash of all choices that decide the outcome."""
        return json_hash({"arm": self.arm.name, **self.settings.decisive()})

    @property
    def checkpoint(self) -> Path:
        """Where the trained checkpoint comes to lie."""
        return self.out / "checkpoint"

    def check(self, elsewhere: bool = False) -> None:
        """See that all is there and fits, before anything is trained.

        Args:
            elsewhere: it is trained on other machines, so that this one's need not suit.

        Raises:
            UsageError: names the first thing that does not.
        """
        sees = self.reads_images  # first: it refuses what is no checkpoint
        planned = self.amounts
        if self._check_data() and not sees:
            raise UsageError(f"the data has images, and {self.settings.model} reads text only")
        if self.arm.sft or self.arm.joint:
            check_letters(self.pairs[0], checkpoint_folder(self.settings.model), self.settings)
        if self.arm.grpo:
            reward_of(self.settings)
        if not elsewhere:
            check_words(self.settings)
        if self.arm.grpo and not elsewhere:
            self._check_batches()
            if isinstance(self.tasks, Instances):
                raise UsageError(
                    f"{self.settings.rl_data} holds software tasks, which an agent has to play: "
                    "--export skyrl writes them for SkyRL; --rl-data agent:... plays a benchmark's"
                )
            if self.agent is not None and self.arm.extra:
                raise UsageError(f"{self.arm.name} mixes single turns with an agent's episodes")
        assert planned.steps >= 0

    def _check_data(self) -> bool:
        """Look at all pairs and RL items that the arm trains on; return whether any has an image.

        Every image is looked at and none decoded, but for those of the first pairs.

        Raises:
            UsageError: one is wrong.
        """
        from ablations.data.check import check_strangers, glance_tasks

        found = []
        if self.arm.uses_pairs:
            found.append(any(one.images for one in self._glances))
            if self.arm.unrelated:
                check_strangers(self._glances)
        if self.arm.grpo and self.agent is None and not isinstance(self.tasks, Instances):
            found.append(glance_tasks(self.tasks[: self.amounts.distinct]))
        return any(found)

    def _check_batches(self) -> None:
        import os

        s = self.settings
        items = self.amounts.items_per_step
        together = items * s.group
        world = int(os.environ.get("WORLD_SIZE", "1"))
        micro = s.batch_size or together // world
        if micro < 1 or together % (micro * world):
            raise UsageError(
                f"{items} RL items x {s.group} completions a step do not divide into {world} "
                f"processes x batches of {micro}: change prompts_per_step, pair_count or batch_size"
            )
