"""Power, minimal detectable effects and seeds needed.

A seed's variance is training variance plus decoding variance.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import scipy

from ablations.statistics.estimates import ROUNDING, Array, Components, satterthwaite

MANY_SEEDS = 1000
_GRID = (np.arange(200) + 0.5) / 200  # quantiles representing a chi-squared distribution
_FINE_GRID = (np.arange(1000) + 0.5) / 1000


def power(effect: float, se: float, df: float, alpha: float = 0.05) -> float:
    """Return the power of a two-sided t test; Welch's at few seeds has less.

    Computes the non-central t by definition, on a grid of chi-squared quantiles: scipy's gives nan
    for large effects at few degrees of freedom.
    """
    return _seen(effect / se, _needed(df, alpha))


def _needed(df: float, alpha: float) -> Array:
    """Return the critical mean, in true standard errors, for every quantile of the se."""
    spread = np.sqrt(scipy.stats.chi2.ppf(_FINE_GRID, df) / df)
    return np.asarray(scipy.stats.t.ppf(1 - alpha / 2, df) * spread)


def _seen(shift: float, needed: Array) -> float:
    return float((scipy.special.ndtr(shift - needed) + scipy.special.ndtr(-shift - needed)).mean())


def mde(se: float, df: float, alpha: float = 0.05, target: float = 0.8) -> float:
    """Return the smallest effect that a t test (normal at infinite df) detects; nan without se."""
    if not se > ROUNDING:
        return float("nan")
    if np.isinf(df):
        return float(scipy.stats.norm.ppf(1 - alpha / 2) + scipy.stats.norm.ppf(target)) * se
    needed, high = _needed(df, alpha), 4.0
    while _seen(high, needed) < target:
        high *= 2
    return float(scipy.optimize.brentq(lambda shift: _seen(shift, needed) - target, 0.0, high)) * se


def welch_power(
    effect: float, a: Components, b: Components, seeds: tuple[int, int], alpha: float = 0.05
) -> float:
    """Return the power of Welch's two-sided test for a true effect, exact for normal seeds.

    The mean difference is independent of both variance estimates, over which the power is averaged.
    (At 3 seeds, Welch's estimated degrees of freedom cost over a tenth of power against the
    non-central t at their true value.) Each arm needs at least two seeds.
    """
    estimated, df, se = _estimated_variances((a, b), seeds)
    return _seen(effect / se, scipy.stats.t.ppf(1 - alpha / 2, df) * np.sqrt(estimated) / se)


def _estimated_variances(
    arms: tuple[Components, Components], seeds: tuple[int, int]
) -> tuple[Array, Array, float]:
    """Return Welch's variance estimates and df, (grid, grid), and the true se."""
    true = [(arm.training + arm.decoding) / n for arm, n in zip(arms, seeds, strict=True)]
    df_a, df_b = (n - 1 for n in seeds)
    a = true[0] * scipy.stats.chi2.ppf(_GRID[:, None], df_a) / df_a
    b = true[1] * scipy.stats.chi2.ppf(_GRID[None, :], df_b) / df_b
    return a + b, satterthwaite([a, b], [df_a, df_b]), float(np.sqrt(sum(true)))


def equivalence_power(margin: float, of: Components, seeds: int, alpha: float = 0.05) -> float:
    """Return the chance that TOST at alpha calls two equal arms equivalent, as `welch_power`."""
    estimated, df, se = _estimated_variances((of, of), (seeds, seeds))
    room = margin - scipy.stats.t.ppf(1 - alpha, df) * np.sqrt(estimated)
    return float(np.where(room > 0, 2 * scipy.special.ndtr(room / se) - 1, 0.0).mean())


def equivalence_seeds(
    margin: float, of: Components, alpha: float = 0.05, target: float = 0.8
) -> int | None:
    """Return the seeds per arm at which `equivalence_power` reaches ``target``; None above 1000."""
    tried = range(2, MANY_SEEDS + 1)
    index = bisect_left(tried, target, key=lambda n: equivalence_power(margin, of, n, alpha))
    return tried[index] if index < len(tried) else None


def planned_mde(of: Components, seeds: int, alpha: float = 0.05, target: float = 0.8) -> float:
    """Return the smallest effect that Welch's test detects at this variance and power."""
    return _unit_mde(seeds, alpha, target) * float(np.sqrt(of.training + of.decoding))


@lru_cache
def _unit_mde(seeds: int, alpha: float, target: float) -> float:
    unit = Components(1.0, 0.0)

    def lacking(effect: float) -> float:
        return welch_power(effect, unit, unit, (seeds, seeds), alpha) - target

    return float(scipy.optimize.brentq(lacking, 0.0, 100.0))


def seeds_needed(
    effect: float, of: Components, alpha: float = 0.05, target: float = 0.8
) -> int | None:
    """Return the seeds per arm with which Welch's test detects an effect; None above 1000."""
    variance = of.training + of.decoding
    if variance == 0:
        return 2
    tried = range(2, MANY_SEEDS + 1)

    def bound(seeds: int) -> float:
        """Return the power by the non-central t: a faster upper bound."""
        return power(effect, float(np.sqrt(2 * variance / seeds)), 2 * (seeds - 1), alpha)

    fewest = bisect_left(tried, target, key=bound)
    return next(
        (n for n in tried[fewest:] if welch_power(effect, of, of, (n, n), alpha) >= target), None
    )


def sampling_variance(accuracies: Mapping[str, tuple[float, int]]) -> float:
    """Return an upper bound on the decoding variance of a macro average, before any run.

    For independent items: the sum of p (1 - p) / n over the squared number of benchmarks, with
    ``accuracies`` giving p and n per benchmark. Items whose answer never changes add less.
    """
    total = sum(p * (1 - p) / n for p, n in accuracies.values())
    return total / len(accuracies) ** 2
