"""Items that one side gains and the other loses: all counted, some shown.

A side is one or several runs, one per training seed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice, zip_longest
from statistics import fmean
from typing import Any

from harness.files.text import abridged
from reports.read.runs import Answer, Run, answers, line_at

SHOWN = 20  # per direction
LONGEST = 1200  # characters of a text on the page


@dataclass(frozen=True)
class ShownAnswer:
    """One answer to an item that flipped; its texts are read when shown."""

    run: Run
    benchmark: str
    answer: Answer

    @cached_property
    def row(self) -> Mapping[str, Any]:
        """The stored line."""
        return line_at(self.run.path, self.benchmark, self.answer.offset)

    @property
    def text(self) -> str:
        """The response."""
        return abridged((self.row["response"] or {}).get("text") or "", LONGEST)


@dataclass(frozen=True, slots=True)
class Flip:
    """One item that flipped: its mean score on either side, and an answer from each."""

    benchmark: str
    id: str
    before: float
    after: float
    minus: ShownAnswer
    plus: ShownAnswer

    @property
    def gained(self) -> bool:
        """Whether the plus side is better on it."""
        return self.after > self.before

    @property
    def question(self) -> str:
        """The prompt's text."""
        return abridged("\n".join(self.plus.row["prompt"]), LONGEST)

    @property
    def target(self) -> str:
        """The right answer."""
        return target(self.plus.row["target"])


@dataclass(frozen=True, slots=True)
class Flips:
    """All flips between two sides: counts by benchmark (gained, lost), and those shown."""

    plus: str
    minus: str
    counts: Mapping[str, tuple[int, int]]
    shown: tuple[Flip, ...]
    rows: tuple[Flip, ...]


def flips(
    minus: tuple[str, Sequence[Run]],
    plus: tuple[str, Sequence[Run]],
    benchmarks: Iterable[str],
    left_out: Mapping[str, Collection[str]],
) -> Flips:
    """Find the items that are right more often than not on exactly one side.

    ``minus`` and ``plus`` are name and runs of the side before and after.  ``left_out`` are the
    items of a benchmark that were not compared: they flip nowhere.
    """
    rows: list[Flip] = []
    counts = {}
    for name in benchmarks:
        out = frozenset(left_out.get(name, ()))
        flipped = [f for f in _flipped(name, minus[1], plus[1]) if f.id not in out]
        gained = sum(flip.gained for flip in flipped)
        counts[name] = (gained, len(flipped) - gained)
        rows += flipped
    gains, losses = ([flip for flip in rows if flip.gained is gained] for gained in (True, False))
    return Flips(plus[0], minus[0], counts, (*_sample(gains), *_sample(losses)), tuple(rows))


def _flipped(name: str, minus: Sequence[Run], plus: Sequence[Run]) -> Iterable[Flip]:
    before, after = _by_item(name, minus), _by_item(name, plus)
    for item in (item for item in before if item in after):
        low, high = (fmean(map(_value, side[item])) for side in (before, after))
        if (low >= 0.5) != (high >= 0.5):
            # The answer from each side that shows the difference best.
            worst, best = (min, max) if high > low else (max, min)
            yield Flip(name, item, low, high, worst(before[item], key=_value),
                       best(after[item], key=_value))  # fmt: skip


def _value(shown: ShownAnswer) -> float:
    return shown.answer.value or 0.0


def _by_item(name: str, runs: Sequence[Run]) -> dict[str, list[ShownAnswer]]:
    """Return the answers to the items that have a score in every run."""
    by_item: dict[str, list[ShownAnswer]] = {}
    in_every: list[set[str]] = []
    for run in runs:
        scored = [each for each in answers(run.path, name) if each.value is not None]
        in_every.append({each.id for each in scored})
        for answer in scored:
            by_item.setdefault(answer.id, []).append(ShownAnswer(run, name, answer))
    return {item: by_item[item] for item in by_item if all(item in ids for ids in in_every)}


def _sample(flipped: Sequence[Flip]) -> list[Flip]:
    """Return a few: benchmarks in turn, largest difference first, ties by a hash."""

    def order(flip: Flip) -> tuple[float, str]:
        name = f"{flip.benchmark}/{flip.id}".encode()
        return -abs(flip.after - flip.before), hashlib.sha256(name).hexdigest()

    groups: dict[str, list[Flip]] = {}
    for flip in sorted(flipped, key=order):
        groups.setdefault(flip.benchmark, []).append(flip)
    turns = chain.from_iterable(zip_longest(*groups.values()))
    return list(islice((flip for flip in turns if flip is not None), SHOWN))


def target(value: Any) -> str:
    """Return a stored target in short: its answer if it has one, else its JSON."""
    if isinstance(value, dict) and "answer" in value:
        value = value["answer"]
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return abridged(value, 300)
