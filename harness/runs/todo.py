"""How much of a run to fill, and what is left per benchmark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import chain, product
from pathlib import Path

from harness.backends.models.settings import UNSET, ModelSettings
from harness.errors import UsageError
from harness.files.hashing import json_hash
from harness.files.text import counted
from harness.protocols import Benchmark, Judge, Tools
from harness.records import Item, Sample, Sampling
from harness.runs.store import SampleKey
from harness.runs.summary import stored_scores


@dataclass(frozen=True, slots=True)
class Settings:
    """How much of a run to fill, and how.

    Among the ``model`` settings, ``max_tokens`` is a limit for all benchmarks, "native" for each
    task's own, or None for what each benchmark declares. ``only`` are the items to ask by
    benchmark, None for all. Every answer is sampled with its own seed, made of ``seed``, the item
    and the repeat, so that no two runs or items share their noise. Without ``native`` no native
    scores are computed; the same command with it adds them later. With ``responses`` (text by item
    id) these are scored instead of asking a model, and other items are ignored.
    """

    limit: int | None = None
    repeats: int = 1
    seed: int = 0
    model: ModelSettings = UNSET
    concurrency: int = 64
    judge: Judge | None = None
    tools: Tools = field(default_factory=Tools)
    native: bool = True
    responses: Mapping[str, str] | None = None
    only: Mapping[str, Set[str]] | None = None

    @property
    def judge_name(self) -> str | None:
        """The judge's name, if one was given."""
        return self.judge.model if self.judge else None

    def sampling(self, benchmark: Benchmark) -> Sampling:
        """Return a benchmark's sampling settings, with the run's seed."""
        declared = benchmark.declaration
        limit = declared.max_tokens if self.model.max_tokens is None else self.model.max_tokens
        tokens = declared.native_max_tokens if limit == "native" else limit
        return self.model.sampling(tokens, self.seed)

    def draw(self, benchmark: Benchmark, item: Item, repeat: int) -> Sampling:
        """Return the sampling settings of one answer, with its own seed."""
        name = json_hash([self.seed, benchmark.declaration.id, item.id, repeat])
        return replace(self.sampling(benchmark), seed=int(name[:7], 16))

    def total(self, benchmark: Benchmark) -> int:
        """Return the number of items of a benchmark available to ask or score."""
        return benchmark.count() if self.responses is None else len(self.responses)

    def wanted(self, benchmark: Benchmark) -> int:
        """Return the number of items of a benchmark that are requested."""
        name = benchmark.declaration.id
        total = self.total(benchmark) if self.only is None else len(self.only.get(name, ()))
        return total if self.limit is None else min(self.limit, total)

    def chosen(self, benchmark: Benchmark, ids: Sequence[str]) -> Sequence[str]:
        """Return the requested ones among a benchmark's ids."""
        if self.only is not None:
            only = self.only.get(benchmark.declaration.id, frozenset())
            ids = [item_id for item_id in ids if item_id in only]
        return ids[: self.limit]

    def is_covered(
        self, benchmark: Benchmark, covered: Sequence[int], samples: Mapping[SampleKey, Sample]
    ) -> bool:
        """Whether all requested items were asked: leading ones or, for chosen ids, each sample."""
        if self.only is None:
            return all(items >= self.wanted(benchmark) for items in covered)
        chosen = self.chosen(benchmark, benchmark.ids())
        return all(key in samples for key in product(chosen, range(self.repeats)))

    def ids(self, benchmark: Benchmark) -> Sequence[str]:
        """Return the ids of the items to ask or score, in the data's order.

        Raises `UsageError` if the data is not readable, two items share an id (one would be lost),
        or a response belongs to no item.
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
            match = "matches" if len(unknown) == 1 else "match"
            raise UsageError(
                f"{counted(len(unknown), 'response')} {match} no item of {name} in the local data, "
                f"the first: {min(unknown)}; give the data set's ids, or row numbers"
            )
        return [item_id for item_id in ids if item_id in self.responses]

    def may_ask(self, benchmark: Benchmark, samples: Mapping[SampleKey, Sample]) -> bool:
        """Whether the model may be needed, judging by counts alone: no item id is looked up."""
        if self.only is not None:
            return not self.is_covered(benchmark, (), samples)
        tried = Counter(repeat for _, repeat in samples)
        wanted = 0 if self.responses is not None else self.wanted(benchmark)
        return any(tried[repeat] < wanted for repeat in range(self.repeats))


@dataclass(frozen=True, slots=True)
class Todo:
    """What is left of one benchmark, each answer as (item id, repeat).

    ``unasked`` have no response. ``stale`` have an error or another scorer's score. ``unjudged``
    counts stored answers without a judge's verdict.
    """

    ids: Sequence[str]
    unasked: Sequence[SampleKey]
    stale: Sequence[SampleKey]
    unjudged: int

    @property
    def to_ask(self) -> int:
        """The number of answers still needed from the model."""
        return len(self.unasked)

    @property
    def to_score(self) -> int:
        """The number of answers to score, including those to ask."""
        return self.to_ask + len(self.stale)

    def repeats(self) -> dict[str, list[int]]:
        """Return the repeats to ask or score by item, in the data's order."""
        left: dict[str, list[int]] = {}
        for item_id, repeat in chain(self.unasked, self.stale):
            left.setdefault(item_id, []).append(repeat)
        return {item_id: sorted(left[item_id]) for item_id in self.ids if item_id in left}


def what_is_left(
    run: Path, benchmark: Benchmark, samples: Mapping[SampleKey, Sample], settings: Settings
) -> Todo:
    """Return what is left of one benchmark.

    Answers beyond the limit or the repeats are only rescored, if stale: a run never mixes two
    scorers. Raises `UsageError` as `Settings.ids`.
    """
    declared, ids = benchmark.declaration, settings.ids(benchmark)
    known, leading = set(ids), settings.chosen(benchmark, ids)
    wanted = product(leading, range(settings.repeats))
    unasked = [key for key in wanted if key not in samples]
    stale: list[SampleKey] = []
    for key, sample in samples.items():
        outdated = sample.score.status == "error" or sample.scoring != declared.scoring
        if key[0] in known and outdated:
            (unasked if sample.response is None else stale).append(key)
    beyond = known.difference(leading)
    judged = stored_scores(run, "judged", declared, settings.judge_name, samples)
    return Todo(
        ids,
        [key for key in unasked if key[0] not in beyond and key[1] < settings.repeats],
        stale,
        list(judged.values()).count(None),
    )
