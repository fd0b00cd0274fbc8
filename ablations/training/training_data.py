"""The data named by a training's settings, opened on first use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ablations.data.check import preview_pairs, tied, tied_line, written_counts
from ablations.data.items import MICRO_TASKS, count_lines, open_items, qa_item, row_counts
from ablations.settings import Settings
from ablations.training.matching import Sizes
from ablations.training.prompting import Prompter
from ablations.training.rollouts import AGENT, open_agent
from benchmarks.micro.data.pairs import is_micro
from benchmarks.pair_sources import first, open_pairs
from benchmarks.pairs.file import check
from benchmarks.pairs.rows import Preview
from benchmarks.pairs.selection import AnyPair
from benchmarks.pairs.tables import LazyRows
from harness.backends.checkpoint import reads_images
from harness.errors import UsageError
from harness.files.text import counted
from harness.protocols import Benchmark, build_items
from harness.records import Item, Message, Pair
from harness.runs.identity import identify

_SAMPLED = 64  # items for mean lengths, and pairs whose images are decoded


@dataclass(frozen=True)
class TrainingData:
    """Data named by the settings, opened on first use; arms of one run share it.

    Access raises `UsageError` if the checkpoint or data is missing, or too small.
    """

    settings: Settings

    @cached_property
    def folder(self) -> Path:
        """The folder of the starting checkpoint."""
        if not self.settings.model:
            raise UsageError("give --model, the checkpoint to start from")
        return identify(self.settings.model, None, None).to_train()

    @cached_property
    def reads_images(self) -> bool:
        """Whether the model takes images."""
        return reads_images(self.folder)

    @cached_property
    def pairs(self) -> Sequence[AnyPair]:
        """The contrastive pairs, except overlong ones; empty without --pairs."""
        return self._fitting[0]

    @property
    def too_long(self) -> int:
        """The number of pairs left out because a selection prompt is too long."""
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
        fits = [n for n, pair in enumerate(pairs) if render.longest_selection(pair) <= limit]
        kept: Sequence[AnyPair] = (
            replace(pairs, indices=[pairs.indices[n] for n in fits])
            if isinstance(pairs, LazyRows)
            else [pairs[n] for n in fits]
        )
        what = f"pairs of up to {counted(limit, 'token')}"
        return first(s.pair_count, what, s.pairs, kept), len(pairs) - len(fits)

    @property
    def image_root(self) -> Path | None:
        """The folder of images, if not that of the data."""
        root = self.settings.image_root
        return None if root is None else Path(root)

    def row_counts(self) -> dict[str, dict[str, int]]:
        """Return the number of rows of each kind, by the option that names their source."""
        items = self.items if self.agent is None else ()
        counts = {"pairs": row_counts(self.pairs), "rl_data": row_counts(items)}
        return {name: found for name, found in counts.items() if found}

    def notes(self) -> list[str]:
        """Return lines on the rows of the data and on pairs in one order."""
        s, lines = self.settings, []
        for name, counts in self.row_counts().items():
            lines += count_lines(f"{name} {getattr(s, name)}", counts, s.selection_rows)
        if not self.pairs:
            return lines
        if self.too_long:
            lines.append(
                f"{counted(self.too_long, 'pair')} left out: longer than "
                f"{s.max_selection_tokens} tokens"
            )
        if lone := self.one_order:
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
            if isinstance(pair, Pair):
                check(pair)
        return previews

    @cached_property
    def items(self) -> Sequence[Item]:
        """All ordinary RL items; empty without --rl-data."""
        s = self.settings
        if s.rl_data is None:
            return []
        if self.agent is not None:
            return [item for item in build_items(self.agent) if isinstance(item, Item)]
        number = None
        if is_micro(s.rl_data) and s.prompts is not None:
            # The micro world makes enough that none is used twice. (By tokens `grpo` may need still
            # more; `repeated` reports that.)
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
        """The sizes for the matching table."""
        s, prompts = self.settings, self.settings.prompts
        if prompts is None:
            # By instances, grpo needs one more item per pair, all from the data.
            instead = s.pair_passes * len(self.pairs) if s.matching == "instances" else 0
            prompts = s.rl_passes * len(self.items) - instead
        return Sizes(
            prompts=max(prompts, 0),
            pairs=s.pair_passes * len(self.pairs),
            prompts_per_step=s.prompts_per_step,
            group=s.group,
            pairs_per_step=s.pairs_per_step,
            updates=s.updates_per_rollout,
            items=len(self.items),
            orders=2 - self.one_order / max(len(self.pairs), 1) if s.matching == "tokens" else 2,
            **(self._lengths() if s.matching == "tokens" else {}),
        )

    def _lengths(self) -> dict[str, float]:
        s = self.settings
        render = Prompter.load(self.folder, s)

        def mean(prompts: Sequence[Sequence[Message]]) -> float:
            return sum(map(render.length, prompts)) / max(len(prompts), 1)

        pairs, sized = self.pairs[:_SAMPLED], s.asking.sized
        return {
            "prompt_tokens": mean([sized(item.messages) for item in self.items[:_SAMPLED]]),
            "completion_tokens": float(s.max_tokens),
            "selection_tokens": mean([s.asking.prompt(pair, "A").messages for pair in pairs]),
            "qa_tokens": mean(
                [sized(qa_item(pair, "A").messages) for pair in pairs if isinstance(pair, Pair)]
            ),
        }
