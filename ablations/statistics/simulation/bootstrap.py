"""The hierarchical bootstrap: seeds and items resampled together.

All contrasts share the resampled macro averages per seed, so total = objective + data holds in each
resample.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ablations.statistics.estimates import Array, Items

_CHUNK = 2_000_000  # counts per block of resamples: a few MB, fits in the CPU cache


@dataclass(frozen=True, slots=True)
class Resampled:
    """By arm, resamples x seeds: macro averages over items, and seed weights that sum to 1."""

    macro: Mapping[str, Array]
    weights: Mapping[str, Array]

    def combined(self, weights: Mapping[str, float]) -> Array:
        """Return a weighted sum of the arms in every resample."""
        means = ((self.weights[arm] * self.macro[arm]).sum(1) for arm in weights)
        return np.asarray(sum(w * mean for w, mean in zip(weights.values(), means, strict=True)))

    def interval(
        self, weights: Mapping[str, float], level: float = 0.95
    ) -> tuple[float, float] | tuple[None, None]:
        """Return a weighted sum's percentile interval; None as of `Profile.has_error`."""
        drawn = self.combined(weights)
        drawn = drawn[~np.isnan(drawn)]  # drop resamples that miss a part of a score
        if not drawn.size:
            return None, None
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)


def hierarchical(
    scores: Mapping[str, Mapping[str, Array]],
    items: Mapping[str, Items],
    resamples: int = 10_000,
    seed: int = 0,
    stand_ins: Mapping[str, str] = MappingProxyType({}),
) -> Resampled:
    """Resample seeds (jointly over all benchmarks) and, by cluster, items.

    ``scores`` holds seeds x items by benchmark and arm, an arm's seeds in one order. All arms and
    seeds of a benchmark share the cluster counts. Draws depend on ``seed``, the benchmark and the
    arm (or its entry in ``stand_ins``), not on the order of items or on other arms or benchmarks.
    """
    macro: dict[str, Array] = {}
    for name, arms in scores.items():
        columns = np.concatenate(list(arms.values())).T
        drawn = _draw(columns, items[name], resamples, np.random.default_rng([seed, _code(name)]))
        start = 0
        for arm, y in arms.items():
            part = drawn[:, start : start + len(y)] / len(scores)
            macro[arm] = macro[arm] + part if arm in macro else part
            start += len(y)
    weights = {}
    for arm, values in macro.items():
        rng = np.random.default_rng([seed, 1, _code(stand_ins.get(arm, arm))])
        n = values.shape[1]
        weights[arm] = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
    return Resampled(macro, weights)


def _code(name: str) -> int:
    return zlib.crc32(name.encode())


def _draw(columns: Array, items: Items, resamples: int, rng: np.random.Generator) -> Array:
    """Return the benchmark's score for every column (items x columns) in every resample.

    Few clusters are drawn by their CR2 residuals, whose sum is scaled to a t variable with Bell and
    McCaffrey's degrees of freedom: plain resampling errs up to three times too often there
    (docs/statistics.md).
    """
    profile = items.profile
    if not profile.has_error:
        return np.full((resamples, columns.shape[1]), np.nan)
    if profile.is_few:
        residuals = items.residuals(columns.T).T
        drawn = _sums(residuals.astype(np.float32), resamples, rng) - residuals.sum(0)
        t_scale = np.sqrt(profile.df / rng.chisquare(profile.df, (resamples, 1)))
        return np.asarray(items.mean(columns.T) + t_scale * drawn)
    grouping, parts = items.grouping(), items.parts.astype(float)
    # Sums of small integers: exact in single precision, and twice as fast.
    sums = [(grouping @ (columns * part[:, None])).astype(np.float32) for part in parts.T]
    sizes = (grouping @ parts).astype(np.float32)
    drawn = _sums(np.concatenate([*sums, sizes], axis=1), resamples, rng)
    *totals, counted = np.split(drawn, columns.shape[1] * np.arange(1, len(sums) + 1), axis=1)
    with np.errstate(invalid="ignore"):  # a resample may miss all items of a part
        means = [total / n[:, None] for total, n in zip(totals, counted.T, strict=True)]
        return np.asarray(sum(means)) / len(sums)


def _sums(table: NDArray[np.float32], resamples: int, rng: np.random.Generator) -> Array:
    """Return the sums of resampled rows (one per cluster): resamples x columns of the table."""
    clusters = len(table)
    step = max(1, _CHUNK // clusters)
    blocks = [
        _counts(clusters, min(step, resamples - start), rng) @ table
        for start in range(0, resamples, step)
    ]
    return np.asarray(np.concatenate(blocks), dtype=np.float64)


def _counts(clusters: int, rows: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return multinomial counts, rows x clusters: counting draws is faster than binomials."""
    counts = np.empty((rows, clusters), dtype=np.float32)
    for row in range(rows):
        counts[row] = np.bincount(rng.integers(0, clusters, clusters), minlength=clusters)
    return counts
