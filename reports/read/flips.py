"""Items that one side gains and the other loses: all counted, some shown.

A side is one or several runs, one per training seed.  Question and both answers are read of those
that are shown; all are rows of a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from typing import Any

from harness.files.text import abridged
from reports.read.runs import Answer, Run, answers, line_at

SHOWN = 20  # of the gained, and of the lost
LONGEST = 1200  # characters of a text on the page


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """One answer that is shown: of which run, how it was scored, and its text."""

    run: Run
    value: float | None
    status: str
    prediction: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Flip:
    """One item that flipped: its mean score on either side, and an answer of each."""

    benchmark: str
    id: str
    before: float
    after: float
    question: str
    target: str
    minus: ShownAnswer
    plus: ShownAnswer

    @property
    def gained(self) -> bool:
        """Whether the plus side is better on it."""
        return self.after > self.before


@dataclass(frozen=True, slots=True)
class ChangedItem:
    """One item whose mean score differs between the sides; ``seen`` are an answer of each."""

    benchmark: str
    id: str
    before: float
    after: float
    seen: tuple[tuple[Run, Answer], tuple[Run, Answer]]

    @property
    def flipped(self) -> bool:
        """Whether the item crosses one half: right more often than not on one side alone."""
        return (self.before >= 0.5) != (self.after >= 0.5)


@dataclass(frozen=True, slots=True)
class Flips:
    """All flips of two sides: how many by benchmark (gained, lost), some of them, all as rows."""

    plus: str
    minus: str
    counts: Mapping[str, tuple[int, int]]
    shown: tuple[Flip, ...]
    rows: tuple[ChangedItem, ...]


def flips(
    minus: tuple[str, Sequence[Run]], plus: tuple[str, Sequence[Run]], benchmarks: Iterable[str]
) -> Flips:
    """Find the items that flip between two sides: right more often than not on one side alone.

    Args:
        minus: name and runs of the side before.
        plus: name and runs of the side after.
        benchmarks: those to look at.
    """
    found: list[ChangedItem] = []
    counts = {}
    for name in benchmarks:
        moved = [one for one in _moved(name, minus[1], plus[1]) if one.flipped]
        gained = sum(one.after > one.before for one in moved)
        counts[name] = (gained, len(moved) - gained)
        found += moved
    up = [one for one in found if one.after > one.before]
    down = [one for one in found if one.after < one.before]
    shown = tuple(_shown(one) for one in (*_sample(up), *_sample(down)))
    return Flips(plus[0], minus[0], counts, shown, tuple(found))


def _moved(name: str, minus: Sequence[Run], plus: Sequence[Run]) -> list[ChangedItem]:
    before, after = _by_item(name, minus), _by_item(name, plus)
    found = []
    for item, first in before.items():
        second = after.get(item)
        if second is None:
            continue
        low, high = _mean(first), _mean(second)
        if low is not None and high is not None and low != high:
            # Of each side the answer that shows the difference best.
            sign = 1 if high > low else -1
            seen = (_best(first, -sign), _best(second, sign))
            found.append(ChangedItem(name, item, low, high, seen))
    return found


def _by_item(name: str, runs: Sequence[Run]) -> dict[str, list[tuple[Run, Answer]]]:
    found: dict[str, list[tuple[Run, Answer]]] = {}
    for run in runs:
        for one in answers(run.path, name):
            found.setdefault(one.id, []).append((run, one))
    return found


def _mean(several: Sequence[tuple[Run, Answer]]) -> float | None:
    values = [one.value for _, one in several if one.value is not None]
    return sum(values) / len(values) if values else None


def _best(several: Sequence[tuple[Run, Answer]], sign: int) -> tuple[Run, Answer]:
    known = [pair for pair in several if pair[1].value is not None]
    return max(known, key=lambda pair: sign * (pair[1].value or 0.0))


def _sample(moved: Sequence[ChangedItem]) -> list[ChangedItem]:
    """Return a few: of every benchmark in turn, the largest difference first, else by a hash."""
    groups: dict[str, list[ChangedItem]] = {}
    for one in sorted(moved, key=lambda one: (-abs(one.after - one.before), _hash(one))):
        groups.setdefault(one.benchmark, []).append(one)
    turns = chain.from_iterable(zip_longest(*groups.values()))
    return list(islice((one for one in turns if one is not None), SHOWN))


def _hash(one: ChangedItem) -> str:
    return hashlib.sha256(f"{one.benchmark}/{one.id}".encode()).hexdigest()


def _shown(one: ChangedItem) -> Flip:
    (run_a, answer_a), (run_b, answer_b) = one.seen
    row_a = line_at(run_a.path, one.benchmark, answer_a.place)
    row_b = line_at(run_b.path, one.benchmark, answer_b.place)
    return Flip(
        one.benchmark,
        one.id,
        one.before,
        one.after,
        question=abridged("\n".join(row_b["prompt"]), LONGEST),
        target=target(row_b["target"]),
        minus=_answer(run_a, row_a),
        plus=_answer(run_b, row_b),
    )


def _answer(run: Run, row: Mapping[str, Any]) -> ShownAnswer:
    response, score = row["response"] or {}, row["score"]
    return ShownAnswer(
        run,
        score["value"],
        score["status"],
        score["prediction"],
        abridged(response.get("text") or "", LONGEST),
    )


def target(value: Any) -> str:
    """Return a stored target in short: its answer where it has one, else its JSON."""
    import orjson

    if isinstance(value, dict) and "answer" in value:
        value = value["answer"]
    return abridged(value if isinstance(value, str) else orjson.dumps(value).decode(), 300)
