"""What a comparison could have seen: power, minimal detectable effects, seeds needed.

Standard deviations of a seed's score come in; the non-central t at Welch's degrees of freedom says
what leaves.  A seed's variance is training variance plus decoding variance; both are stated.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats

from ablations.statistics import Components, satterthwaite

MANY_SEEDS = 1000


def power(effect: float, se: float, df: float, alpha: float = 0.05) -> float:
    """Return the chance that a two-sided t test sees a true ``effect``, in units of the score."""
    critical = stats.t.ppf(1 - alpha / 2, df)
    shift = effect / se
    return float(stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift))


def mde(se: float, df: float, alpha: float = 0.05, wanted: float = 0.8) -> float:
    """Return the smallest effect that a two-sided t test sees with the wanted power.

    ``df`` may be infinite: then it is (z_{1-alpha/2} + z_wanted) * se, as for fixed checkpoints
    (the chance of a significant result on the wrong side is neglected there).
    """
    if not se > 0:
        return float("nan")
    if np.isinf(df):
        return float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(wanted)) * se
    high = 4.0
    while power(high, 1.0, df, alpha) < wanted:
        high *= 2
    found = optimize.brentq(lambda x: power(x, 1.0, df, alpha) - wanted, 0.0, high)
    return float(found) * se


def arms_se(a: Components, b: Components, seeds_a: int, seeds_b: int) -> tuple[float, float]:
    """Return standard error and Welch's degrees of freedom of the difference of two arms."""
    var_a = (a.training + a.decoding) / seeds_a
    var_b = (b.training + b.decoding) / seeds_b
    df = satterthwaite([var_a, var_b], [seeds_a - 1, seeds_b - 1])
    return float(np.sqrt(var_a + var_b)), float(df)


def seeds_needed(
    effect: float, of: Components, alpha: float = 0.05, wanted: float = 0.8
) -> int | None:
    """Return the seeds an arm that a true effect needs, None beyond a thousand.

    Args:
        effect: the true difference of the arms, in units of the score.
        of: the variance of a seed's score, the same in both arms.
        alpha: of the two-sided test.
        wanted: power.
    """
    for seeds in range(2, MANY_SEEDS + 1):
        se, df = arms_se(of, of, seeds, seeds)
        if se == 0 or power(effect, se, df, alpha) >= wanted:
            return seeds
    return None


def sampling_variance(accuracies: dict[str, tuple[float, int]]) -> float:
    """Return an upper bound of the decoding variance of a macro average, before any seed is run.

    Independent items answered right with their benchmark's chance: the mean of p (1 - p) / n over
    the square of the number of benchmarks.  Items whose answer never changes add less.

    Args:
        accuracies: for each benchmark its expected score and its number of items.
    """
    total = sum(p * (1 - p) / n for p, n in accuracies.values())
    return total / len(accuracies) ** 2
