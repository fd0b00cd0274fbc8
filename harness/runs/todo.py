"""How much of a run to fill, and what is left to do of each benchmark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from harness.errors import UsageError
from harness.files.hashing import json_hash
from harness.protocols import Benchmark, Judge, Tools
from harness.records import Item, Sample, Sampling
from harness.runs.store import SampleKey
from harness.runs.summary import judged_scores, native_scores


@dataclass(frozen=True, slots=True)
class Settings:
    """How much of a run to fill, and how.

    ``max_tokens`` is a limit for all benchmarks, "native" for each task's own, or None for what
    each benchmark declares.  Every answer is drawn with its own seed, made of ``seed``, the item
    and the repeat, so that no two runs or items share their noise.  Without ``native`` no native
    scores are computed; the same command with it computes them later.  With ``responses`` (text by
    item id) these are scored instead of asking a model, and other items are ignored.
    """

    limit: int | None = None
    repeats: int = 1
    seed: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int | str | None = None
    concurrency: int = 64
    judge: Judge | None = None
    tools: Tools = field(default_factory=Tools)
    native: bool = True
    responses: Mapping[str, str] | None = None

    def sampling(self, benchmark: Benchmark) -> Sampling:
        """Return the sampling of a benchmark, with the run's seed."""
        declared = benchmark.declaration
        limit = declared.max_tokens if self.max_tokens is None else self.max_tokens
        if limit == "native":
            limit = declared.native_max_tokens
        return Sampling(int(limit), self.temperature, self.top_p, self.seed)

    def draw(self, benchmark: Benchmark, item: Item, repeat: int) -> Sampling:
        """Return the sampling of one answer, with its own seed."""
        name = json_hash([self.seed, benchmark.declaration.id, item.id, repeat])
        return replace(self.sampling(benchmark), seed=int(name[:7], 16))

    def total(self, benchmark: Benchmark) -> int:
        """Return how many items of a benchmark there are to ask or score."""
        return benchmark.count() if self.responses is None else len(self.responses)

    def wanted(self, benchmark: Benchmark) -> int:
        """Return how many items of a benchmark are asked for."""
        total = self.total(benchmark)
        return total if self.limit is None else min(self.limit, total)

    def ids(self, benchmark: Benchmark) -> Sequence[str]:
        """Return the ids of the items there are to ask or score, in the data's order.

        Raises:
            UsageError: the data is not readable, two items have one id (one would be lost), or a
                response belongs to no item.
        """
        name, ids = benchmark.declaration.id, benchmark.ids()
        if len(set(ids)) < len(ids):
            item_id = Counter(ids).most_common(1)[0][0]
            raise UsageError(
                f"{name} has two items with the id {item_id}: make ids unique in the data"
            )
        if self.responses is None:
            return ids
        if unknown := self.responses.keys() - set(ids):
            raise UsageError(
                f"{len(unknown)} responses match no item of {name} in the local data, "
                f"the first: {min(unknown)}"
            )
        return [item_id for item_id in ids if item_id in self.responses]

    def may_ask(self, benchmark: Benchmark, samples: Mapping[SampleKey, Sample]) -> bool:
        """Whether the model may be needed, by numbers alone: no id of an item is looked up."""
        tried = Counter(repeat for _, repeat in samples)
        wanted = 0 if self.responses is not None else self.wanted(benchmark)
        return any(tried[repeat] < wanted for repeat in range(self.repeats))


@dataclass(frozen=True, slots=True)
class Todo:
    """What is left to do of one benchmark, each answer as (item id, repeat).

    ``untried`` were never asked; ``failed`` were, but no response is stored.  The score of
    ``stale_score`` is an error or another scorer's.  ``native_missing`` and ``judged_missing``
    are stored answers without a native score or a judge's verdict.
    """

    ids: Sequence[str]
    untried: Sequence[SampleKey]
    failed: Sequence[SampleKey]
    stale_score: Sequence[SampleKey]
    native_missing: Sequence[SampleKey]
    judged_missing: Sequence[SampleKey]

    @property
    def to_ask(self) -> int:
        """The number of answers that the model has to give."""
        return len(self.untried) + len(self.failed)

    @property
    def to_score(self) -> int:
        """The number of answers to score, including those to ask."""
        return self.to_ask + len(self.stale_score)

    def repeats(self) -> dict[str, list[int]]:
        """Return the repeats to ask or score by item, in the data's order."""
        left: dict[str, list[int]] = {}
        for item_id, repeat in chain(self.untried, self.failed, self.stale_score):
            left.setdefault(item_id, []).append(repeat)
        return {item_id: sorted(left[item_id]) for item_id in self.ids if item_id in left}


def what_is_left(
    run: Path, benchmark: Benchmark, samples: Mapping[SampleKey, Sample], settings: Settings
) -> Todo:
    """Return what is left of one benchmark.

    Answers beyond the limit are only scored again where their score is stale: a run never holds
    the scores of two scorers.

    Raises:
        UsageError: as `Settings.ids`.
    """
    declared, ids = benchmark.declaration, settings.ids(benchmark)
    judge = settings.judge.model if settings.judge else None
    leading, known = set(ids[: settings.limit]), set(ids)
    unsettled = {
        key: sample
        for key, sample in samples.items()
        if key[0] in known
        and (sample.score.status == "error" or sample.scoring != declared.scoring)
    }
    native = native_scores(run, declared, judge, samples)
    judged = judged_scores(run, declared, judge, samples)
    return Todo(
        ids=ids,
        untried=[
            (item_id, repeat)
            for item_id in ids[: settings.limit]
            for repeat in range(settings.repeats)
            if (item_id, repeat) not in samples
        ],
        failed=[k for k, s in unsettled.items() if s.response is None and k[0] in leading],
        stale_score=[k for k, s in unsettled.items() if s.response is not None],
        native_missing=[key for key, score in native.items() if score is None],
        judged_missing=[key for key, score in judged.items() if score is None],
    )
