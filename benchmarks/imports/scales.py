"""Map a tool's own score of an answer to [0, 1], higher is better."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from benchmarks.imports.log import LoggedSample, LoggedTask, Metric
from harness.errors import UsageError, unknown

_FIRST = 100  # samples examined to find the metrics
# Where a metric is a mapping, one of these is the answer's value.
_VALUES = "score acc accuracy correct is_correct true_false exact_match scores".split()


@dataclass(frozen=True, slots=True)
class Scale:
    """The user-declared range of a metric; ``flipped``: lower is better."""

    low: float = 0.0
    high: float = 1.0
    flipped: bool = False
    declared: bool = False

    @classmethod
    def declare(cls, low: float, high: float) -> Scale:
        """Return the range that a user declares; ValueError if invalid."""
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"{low:g},{high:g} is no range")
        return cls(low, high, declared=True)

    def mapped(self, value: float) -> float:
        """Return a score in [0, 1], higher is better; ValueError if it is out of range."""
        if not self.low <= value <= self.high:
            raise ValueError(f"{value:g} is not between {self.low:g} and {self.high:g}")
        share = (value - self.low) / (self.high - self.low)
        return 1 - share if self.flipped else share


def scale_of(metric: Metric, given: Scale | None, lower_is_better: bool) -> Scale:
    """Return a metric's scale: the given one, else what the tool declares, else [0, 1]."""
    flipped = lower_is_better or not metric.higher_is_better
    if given is not None:
        return Scale(given.low, given.high, flipped, declared=True)
    if metric.low is not None and metric.high is not None and metric.low < metric.high:
        return Scale(metric.low, metric.high, flipped, declared=True)
    return Scale(flipped=flipped)


def metric_of(task: LoggedTask, wanted: str | None) -> str | None:
    """Return the metric used as a task's score: the wanted one, else the first `complete` one.

    None if the task has no sample. Raises `UsageError` if the task has no such metric, or none that
    is `complete`.
    """
    first = [sample for sample in islice(task.samples(), _FIRST) if not sample.error]
    held = dict.fromkeys(name for sample in first for name in sample.scores)
    names = [*task.metrics, *(name for name in held if name not in task.metrics)]
    if wanted is not None:
        if wanted not in names:
            raise unknown(f"metric of {task.name}", wanted, names)
        return wanted
    if not first:
        return None
    usable = complete(names, first)
    if not usable:
        listed = ", ".join(names) or "none"
        raise UsageError(
            f"{task.name}: no metric has a number for each answer, or null where there is "
            f"none (metrics: {listed}), so there is nothing to compare; if it is a benchmark that "
            "we have, name it with --benchmark"
        )
    return usable[0]


def complete(names: Iterable[str], samples: Iterable[LoggedSample]) -> list[str]:
    """Return the metrics that all samples have, likeliest to cover the whole task first.

    A metric without a number in a few samples (null, NaN) stays their metric: these answers have no
    score, and no other metric replaces it. Metrics on a part of the samples come last: those with a
    number in at most half of them, and those that never have one where another has, like the
    categories of a benchmark. Samples without any metric failed.
    """
    scored = [sample.scores for sample in samples if sample.scores]
    held = [name for name in dict.fromkeys(names) if all(name in each for each in scored)]
    numbers = {
        name: {n for n, each in enumerate(scored) if number_of(each[name]) is not None}
        for name in held
    }
    whole = len(set[int]().union(*numbers.values()))

    def is_part(name: str) -> bool:
        own = numbers[name]
        return 2 * len(own) <= whole or any(o and own.isdisjoint(o) for o in numbers.values())

    return sorted((name for name in held if numbers[name]), key=is_part)


def number_of(value: Any) -> float | None:
    """Return the number in a tool's score of one answer; None if it has none.

    True and False, and "C" and "I" as written by inspect, are 1 and 0; for a mapping it is the
    value.
    """
    if isinstance(value, Mapping):
        return next((number_of(value[name]) for name in _VALUES if name in value), None)
    if isinstance(value, list) and len(value) == 1:
        return number_of(value[0])
    if isinstance(value, str):
        value = {"C": 1.0, "I": 0.0}.get(value, value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def parse_scale(words: str) -> tuple[str | None, Scale]:
    """Return the task (None: all) and range of ``[TASK=]LOW,HIGH``; ValueError if invalid."""
    task, sep, bounds = words.rpartition("=")
    low, _, high = bounds.partition(",")
    return (task if sep else None), Scale.declare(float(low), float(high))
