"""What is left to do of a benchmark in a run: one answer for the engine and the dry run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from harness.errors import UsageError
from harness.protocols import Benchmark
from harness.records import Sample
from harness.runs.store import SampleKey
from harness.runs.summary import judged_verdicts, native_verdicts


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
        """The number of answers to score, those to ask included."""
        return self.to_ask + len(self.stale_score)

    def repeats(self) -> dict[str, list[int]]:
        """Return the repeats to ask or score by item, in the data's order."""
        left: dict[str, list[int]] = {}
        for item_id, repeat in chain(self.untried, self.failed, self.stale_score):
            left.setdefault(item_id, []).append(repeat)
        return {item_id: sorted(left[item_id]) for item_id in self.ids if item_id in left}


def what_is_left(
    run: Path,
    benchmark: Benchmark,
    samples: Mapping[SampleKey, Sample],
    wanted: tuple[int | None, int],
    judge: str | None,
) -> Todo:
    """Return what is left of one benchmark.

    ``wanted`` is how many leading items are asked for (None: all), and how many repeats of each.
    Answers to other items are only scored again where their score is stale: a run never holds the
    scores of two scorers.

    Raises:
        UsageError: the data is not readable, or two items have one id: one would be lost.
    """
    declared, ids = benchmark.declaration, benchmark.ids()
    _refuse_repeated(declared.id, ids)
    limit, repeats = wanted
    asked = [(item_id, repeat) for item_id in ids[:limit] for repeat in range(repeats)]
    items, leading = set(ids), set(ids[:limit])
    unsettled = [
        (key, sample.response is not None)
        for key, sample in samples.items()
        if key[0] in items
        and (sample.score.status == "error" or sample.scoring != declared.scoring)
    ]
    native = native_verdicts(run, declared, judge, samples)
    judged = judged_verdicts(run, declared, judge, samples)
    return Todo(
        ids=ids,
        untried=[key for key in asked if key not in samples],
        failed=[key for key, answered in unsettled if not answered and key[0] in leading],
        stale_score=[key for key, answered in unsettled if answered],
        native_missing=[key for key, verdict in native.items() if verdict is None],
        judged_missing=[key for key, verdict in judged.items() if verdict is None],
    )


def _refuse_repeated(benchmark_id: str, ids: Sequence[str]) -> None:
    if len(set(ids)) < len(ids):
        item_id = Counter(ids).most_common(1)[0][0]
        raise UsageError(
            f"{benchmark_id} has two items with the id {item_id}: make ids unique in the data"
        )
