"""A single score with its interval: one side of a comparison, or one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy

from ablations.statistics import estimates
from ablations.statistics.estimates import Array, Estimate, Items
from ablations.statistics.lines import MEAN
from ablations.statistics.scores import ScoreTable, read
from harness.errors import UsageError

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class ScoreInterval:
    """A score in [0, 1] with its interval; None if its variance is unknown."""

    score: float
    low: float | None
    high: float | None


def score_interval(values: Array, items: Items, level: float = LEVEL) -> ScoreInterval:
    """Return the score of one arm on a benchmark, from seeds x items.

    Several seeds: Student's t over their scores. One seed: over items, by Wilson (1927) if answers
    are binary and independent, else by the clustered t, cut at 0 and 1. If all items score alike
    the error would be 0, so it is Wilson's with one trial per cluster.
    """
    by_seed = items.mean(values)
    if len(by_seed) > 1:
        return _over_seeds(by_seed, level)
    if items.independent and estimates.is_binary(values):
        return _wilson(float(by_seed[0]), values.shape[-1], level)
    estimate = estimates.clustered(values[0], items)
    if estimate.se < estimates.ROUNDING and np.ptp(values) == 0:
        return _wilson(float(by_seed[0]), len(np.unique(items.clusters)), level)
    return _cut(estimate, level)


def mean_interval(
    values: Mapping[str, Array],
    items: Mapping[str, Items],
    level: float = LEVEL,
    *,
    partial: bool = False,
) -> ScoreInterval:
    """Return the mean over benchmarks of one arm's scores, from seeds x items by benchmark.

    ``partial``: with one seed, leave out benchmarks without a standard error over items, like the
    mean difference of two runs (`items_mean`).
    """
    by_seed = np.mean([items[name].mean(y) for name, y in values.items()], axis=0)
    if len(by_seed) > 1:
        return _over_seeds(by_seed, level)
    every = [estimates.clustered(y[0], items[name]) for name, y in values.items()]
    kept = [estimate for estimate in every if not np.isnan(estimate.se)] if partial else []
    return _cut(estimates.average(kept or every), level)


def _over_seeds(by_seed: Array, level: float) -> ScoreInterval:
    n, mean = len(by_seed), np.asarray(by_seed.mean())
    se = np.asarray(by_seed.std(ddof=1) / np.sqrt(n))
    return _cut(Estimate(mean, se, np.asarray(float(n - 1))), level)


def _cut(estimate: Estimate, level: float) -> ScoreInterval:
    low, high = (float(bound) for bound in estimate.interval(level))
    if np.isnan(low):
        return ScoreInterval(float(estimate.delta), None, None)
    return _bounded(float(estimate.delta), low, high)


def _bounded(score: float, low: float, high: float) -> ScoreInterval:
    """Return a score and its interval cut to [0, 1]; rounding never puts one outside the other."""
    score = min(max(score, 0.0), 1.0)
    return ScoreInterval(score, max(min(low, score), 0.0), min(max(high, score), 1.0))


def _wilson(share: float, trials: int, level: float) -> ScoreInterval:
    crit = scipy.stats.norm.isf((1 - level) / 2)
    shrunk = 1 + crit**2 / trials
    center = (share + crit**2 / (2 * trials)) / shrunk
    dist = crit * np.sqrt(share * (1 - share) / trials + crit**2 / (4 * trials**2)) / shrunk
    return _bounded(share, float(center - dist), float(center + dist))


def intervals_of(
    table: ScoreTable, arm: str, level: float = LEVEL, *, partial: bool = True
) -> dict[str, ScoreInterval]:
    """Return the intervals of an arm's score on every benchmark, and of their `MEAN`."""
    values = {name: arms[arm] for name, arms in table.scores.items()}
    scores = {name: score_interval(y, table.items[name], level) for name, y in values.items()}
    if len(scores) == 1:
        return {**scores, MEAN: next(iter(scores.values()))}
    return {**scores, MEAN: mean_interval(values, table.items, level, partial=partial)}


def run_intervals(run: Path) -> Mapping[str, ScoreInterval]:
    """Return the intervals of a run's scores and their `MEAN`; empty while some are missing."""
    try:
        table = read({"run": [run]})
    except UsageError:
        return {}
    return intervals_of(table, "run", partial=False)
