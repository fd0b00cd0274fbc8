"""What a comparison could detect: power, minimal detectable effects, seeds needed.

A seed's variance is training variance plus decoding variance; both are stated.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

import numpy as np
import scipy

from ablations.statistics.estimates import ROUNDING, Array, Components, satterthwaite

MANY_SEEDS = 1000
_GRID = (np.arange(200) + 0.5) / 200  # quantiles that stand for a chi-squared distribution
_FINE_GRID = (np.arange(1000) + 0.5) / 1000


def power(effect: float, se: float, df: float, alpha: float = 0.05) -> float:
    """Return the chance that a two-sided t test with these degrees of freedom sees an effect.

    The non-central t, by its definition: a normal over the root of a chi-squared on a grid of its
    quantiles (scipy's own gives nan for large effects at few degrees of freedom).  Exact where the
    variance is pooled; Welch's test at few seeds has less, see `welch_power`.
    """
    return _seen(effect / se, _needed(df, alpha))


def _needed(df: float, alpha: float) -> Array:
    """Return what the mean must exceed, in true standard errors, for every quantile of the se."""
    return np.asarray(
        scipy.stats.t.ppf(1 - alpha / 2, df) * np.sqrt(scipy.stats.chi2.ppf(_FINE_GRID, df) / df)
    )


def _seen(shift: float, needed: Array) -> float:
    return float((scipy.special.ndtr(shift - needed) + scipy.special.ndtr(-shift - needed)).mean())


def mde(se: float, df: float, alpha: float = 0.05, target: float = 0.8) -> float:
    """Return the smallest effect that a comparison with this standard error sees with power.

    For arms ``df`` are Welch's and the effect is that of the non-central t.  Infinite ``df``, for
    two fixed checkpoints, give (z_{1-alpha/2} + z_power) * se.  nan where nothing varies.
    """
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
    """Return the chance that Welch's test of two arms sees a true effect.

    Exact for normal seeds but for the grid: the mean difference is independent of both variance
    estimates, over which the chance is averaged.  (At 3 seeds Welch's estimated degrees of freedom
    cost a good tenth of power against the non-central t at their true value.)

    Args:
        effect: the true difference, in units of the score.
        a: the variance of a seed's score in one arm.
        b: likewise in the other.
        seeds: of a and of b, at least two each.
        alpha: of the two-sided test.
    """
    seen, df, se = _seen_variances((a, b), seeds)
    needed = scipy.stats.t.ppf(1 - alpha / 2, df) * np.sqrt(seen)
    chance = scipy.special.ndtr((effect - needed) / se) + scipy.special.ndtr(
        (-effect - needed) / se
    )
    return float(chance.mean())


def _seen_variances(
    arms: tuple[Components, Components], seeds: tuple[int, int]
) -> tuple[Array, Array, float]:
    """Return what Welch's test of two arms may see, over a grid of both variance estimates.

    The estimated variance of the difference and its degrees of freedom, shape (grid, grid), and the
    true standard error.
    """
    true = [(one.training + one.decoding) / n for one, n in zip(arms, seeds, strict=True)]
    dfs = [n - 1 for n in seeds]
    seen_a, seen_b = (
        value * scipy.stats.chi2.ppf(_GRID, df) / df for value, df in zip(true, dfs, strict=True)
    )
    seen_a, seen_b = seen_a[:, None], seen_b[None, :]
    return seen_a + seen_b, satterthwaite([seen_a, seen_b], dfs), float(np.sqrt(sum(true)))


def equivalence_power(margin: float, of: Components, seeds: int, alpha: float = 0.05) -> float:
    """Return the chance that TOST calls two arms equivalent that do not differ at all.

    Both one-sided Welch tests reject where the difference lies within the margin by a one-sided
    bound of the t distribution; averaged over both variance estimates as in `welch_power`.

    Args:
        margin: what counts as no difference, in units of the score.
        of: the variance of a seed's score, the same in both arms.
        seeds: an arm, at least two.
        alpha: of each one-sided test.
    """
    seen, df, se = _seen_variances((of, of), (seeds, seeds))
    room = margin - scipy.stats.t.ppf(1 - alpha, df) * np.sqrt(seen)
    return float(np.where(room > 0, 2 * scipy.special.ndtr(room / se) - 1, 0.0).mean())


def equivalence_seeds(
    margin: float, of: Components, alpha: float = 0.05, target: float = 0.8
) -> int | None:
    """Return the seeds an arm with which TOST finds equal arms equivalent, None beyond a thousand.

    Arguments are those of `equivalence_power`, and the power that is aimed at.
    """
    several = range(2, MANY_SEEDS + 1)
    place = bisect_left(
        several, True, key=lambda seeds: equivalence_power(margin, of, seeds, alpha) >= target
    )
    return several[place] if place < len(several) else None


def planned_mde(of: Components, seeds: int, alpha: float = 0.05, target: float = 0.8) -> float:
    """Return the smallest effect that Welch's test sees with power, of two arms that vary alike."""
    sd = float(np.sqrt(of.training + of.decoding))
    unit = Components(1.0, 0.0)
    found = scipy.optimize.brentq(
        lambda x: welch_power(x, unit, unit, (seeds, seeds), alpha) - target, 0.0, 100.0
    )
    return float(found) * sd


def seeds_needed(
    effect: float, of: Components, alpha: float = 0.05, target: float = 0.8
) -> int | None:
    """Return the seeds an arm with which Welch's test sees an effect, None beyond a thousand.

    Args:
        effect: the true difference of the arms, in units of the score.
        of: the variance of a seed's score, the same in both arms.
        alpha: of the two-sided test.
        target: power.
    """
    variance = of.training + of.decoding
    if variance == 0:
        return 2
    for seeds in range(2, MANY_SEEDS + 1):
        # The non-central t is an upper bound, and quicker.
        bound = power(effect, float(np.sqrt(2 * variance / seeds)), 2 * (seeds - 1), alpha)
        if bound >= target and welch_power(effect, of, of, (seeds, seeds), alpha) >= target:
            return seeds
    return None


def sampling_variance(accuracies: Mapping[str, tuple[float, int]]) -> float:
    """Return an upper bound of the decoding variance of a macro average, before any seed is run.

    Independent items answered right with their benchmark's chance: the sum of p (1 - p) / n over
    the square of the number of benchmarks.  Items whose answer never changes add less.

    Args:
        accuracies: for each benchmark its expected score and its number of items.
    """
    total = sum(p * (1 - p) / n for p, n in accuracies.values())
    return total / len(accuracies) ** 2
