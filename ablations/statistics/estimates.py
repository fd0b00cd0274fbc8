"""Estimates, intervals and tests from arrays of scores.

Nothing here knows runs, arms or benchmarks by name. Functions for one comparison also work on many
(leading axes), so the calibration simulates with the code that is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from ablations.statistics.clusters import Profile

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Verdicts = NDArray[np.str_]
"""The texts of `Verdict`s, one per comparison."""

ROUNDING = 1e-12  # standard error of equal numbers, in units of the score


class Verdict(StrEnum):
    """The verdict on a difference, as text; after `WORSE` those of steps and regressions."""

    BETTER = "better"
    BETTER_WITHIN_MARGIN = "better (within the margin)"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"
    WORSE_WITHIN_MARGIN = "worse (within the margin)"
    WORSE = "worse"
    MIXED = "mixed"
    INCONCLUSIVE_TOGETHER = "inconclusive as a whole"
    NOT_TESTED = "not tested"
    NON_INFERIOR = "non-inferior"

    @property
    def is_better(self) -> bool:
        """Whether the difference is significantly above 0."""
        return self in (Verdict.BETTER, Verdict.BETTER_WITHIN_MARGIN)

    @property
    def is_worse(self) -> bool:
        """Whether the difference is significantly below 0."""
        return self in (Verdict.WORSE, Verdict.WORSE_WITHIN_MARGIN)

    @property
    def within_margin(self) -> bool:
        """Whether the difference is significant and yet too small to matter."""
        return self in (Verdict.BETTER_WITHIN_MARGIN, Verdict.WORSE_WITHIN_MARGIN)

    @property
    def sign(self) -> str:
        """A sign, so that the verdict is not shown by colour alone; "" if untested."""
        if self.is_better:
            return "▲"
        if self.is_worse:
            return "▼"
        undecided = (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE_TOGETHER)
        alike = (Verdict.EQUIVALENT, Verdict.NON_INFERIOR)
        return "=" if self in alike else "?" if self in undecided else ""

    @property
    def tone(self) -> Literal["gain", "loss", "flat"]:
        """The name of its colour."""
        return "gain" if self.is_better else "loss" if self.is_worse else "flat"


VERDICTS = tuple(Verdict)[:6]
"""The verdicts of one tested comparison, from better to worse."""


def is_better(verdicts: Verdicts) -> Booleans:
    """Return where the verdict is better, with or without the margin."""
    return np.isin(verdicts, [str(verdict) for verdict in Verdict if verdict.is_better])


@dataclass(frozen=True, slots=True)
class Estimate:
    """Differences with standard errors and df, arrays in units of the score; nan at error 0."""

    delta: Array
    se: Array
    df: Array

    @property
    def _se(self) -> Array:
        return np.where(self.se > ROUNDING, self.se, np.nan)

    @property
    def p(self) -> Array:
        """Two-sided p for a difference of 0."""
        return np.asarray(2 * scipy.stats.t.sf(np.abs(self.delta) / self._se, self.df))

    def interval(self, level: float = 0.95) -> tuple[Array, Array]:
        """Return the two-sided confidence interval."""
        half = scipy.stats.t.ppf((1 + level) / 2, self.df) * self._se
        return np.asarray(self.delta - half), np.asarray(self.delta + half)

    def equivalence_p(self, margin: float) -> Array:
        """Return the p of TOST: the difference lies within +-margin (Schuirmann 1987)."""
        below = scipy.stats.t.cdf((self.delta - margin) / self._se, self.df)
        return np.asarray(np.maximum(self.noninferiority_p(margin), below))

    def noninferiority_p(self, margin: float) -> Array:
        """Return the one-sided p of no loss beyond the margin: the difference is above -margin."""
        return np.asarray(scipy.stats.t.sf((self.delta + margin) / self._se, self.df))


def verdicts(delta: Array, p: Array, equivalence_p: Array, alpha: float) -> Verdicts:
    """Return the verdict on each comparison; inconclusive where p is nan.

    A significant difference that is also equivalent is better, or worse, "within the margin".
    """
    significant, inside = p < alpha, equivalence_p < alpha
    up, down = significant & (delta > 0), significant & (delta < 0)
    cases = {
        Verdict.BETTER_WITHIN_MARGIN: up & inside,
        Verdict.BETTER: up,
        Verdict.WORSE_WITHIN_MARGIN: down & inside,
        Verdict.WORSE: down,
        Verdict.EQUIVALENT: inside,
    }
    texts = list(map(str, cases))
    return np.asarray(np.select(list(cases.values()), texts, str(Verdict.INCONCLUSIVE)), np.str_)


def or_noninferior(verdicts: Verdicts, p: Array, alpha: float) -> Verdicts:
    """Return verdicts, inconclusive ones non-inferior where `noninferiority_p` is below alpha."""
    undecided = verdicts == str(Verdict.INCONCLUSIVE)
    return np.where(undecided & (p < alpha), str(Verdict.NON_INFERIOR), verdicts)


def passes(verdicts: Verdicts, regression: bool) -> Booleans:
    """Return where testing may continue: better, or for a regression shown not to be one."""
    if not regression:
        return is_better(verdicts)
    return ~np.isin(verdicts, [str(Verdict.INCONCLUSIVE), str(Verdict.WORSE)])


def combination(
    arms: Sequence[Array], weights: Sequence[float], one_variance: tuple[Array, int] | None = None
) -> Estimate:
    """Return a weighted sum of the arms' means over seeds (last axis), e.g. a trend.

    Variances are each arm's own with Satterthwaite's degrees of freedom (for two arms: Welch's
    test), unless all share `pooled_variance`. `ValueError` if an arm has fewer than two seeds.
    """
    if min(arm.shape[-1] for arm in arms) < 2:
        raise ValueError("a contrast of arms needs two seeds in each of them")
    pairs = list(zip(arms, weights, strict=True))
    delta = np.asarray(sum(weight * arm.mean(-1) for arm, weight in pairs))
    spread = [arm.var(-1, ddof=1) if one_variance is None else one_variance[0] for arm in arms]
    parts = [w**2 * var / arm.shape[-1] for (arm, w), var in zip(pairs, spread, strict=True)]
    if one_variance is None:
        df = satterthwaite(parts, [arm.shape[-1] - 1 for arm in arms])
    else:
        df = np.full(delta.shape, float(one_variance[1]))
    return Estimate(delta, np.asarray(np.sqrt(sum(parts))), df)


def welch(a: Array, b: Array, one_variance: tuple[Array, int] | None = None) -> Estimate:
    """Return mean(a) - mean(b) over unpaired seeds by Welch's (1947) test; see `combination`."""
    return combination((a, b), (1.0, -1.0), one_variance)


def paired(a: Array, b: Array) -> Estimate:
    """Return mean(a) - mean(b) by the paired t; `ValueError` unless of the same 2 or more seeds."""
    if a.shape[-1] != b.shape[-1] or a.shape[-1] < 2:
        raise ValueError("paired arms need the same two or more seeds")
    d, n = a - b, a.shape[-1]
    delta, se = np.asarray(d.mean(-1)), np.asarray(d.std(-1, ddof=1) / np.sqrt(n))
    return Estimate(delta, se, np.full(delta.shape, n - 1.0))


def satterthwaite(variances: Sequence[Array | float], dfs: Sequence[Array | float]) -> Array:
    """Return the df of a sum of independent variances (Satterthwaite 1946), nan if all are 0."""
    total = sum(np.asarray(v, dtype=float) for v in variances)
    parts = sum(np.asarray(v, dtype=float) ** 2 / f for v, f in zip(variances, dfs, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.asarray(total) ** 2 / parts)


def pooled_variance(arms: Sequence[Array]) -> tuple[Array, int]:
    """Return the variance over seeds (last axis) pooled over arms with several, and its df."""
    several = [arm for arm in arms if arm.shape[-1] > 1]
    df = sum(arm.shape[-1] - 1 for arm in several)
    squares = sum(arm.var(-1, ddof=1) * (arm.shape[-1] - 1) for arm in several)
    return np.asarray(squares) / df, df


def holm(p: Array) -> Array:
    """Return Holm-adjusted p values over the first axis (Holm 1979).

    nan (not tested) stays nan and is not counted. statsmodels takes one list at a time: too slow
    for ten thousand simulated studies.
    """
    order = np.argsort(p, axis=0)  # nan last
    ranks = np.arange(len(p)).reshape(-1, *(1,) * (p.ndim - 1))
    left = (~np.isnan(p)).sum(0) - ranks
    ranked = np.take_along_axis(p, order, 0) * left
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(ranked), 1), 0)
    return adjusted


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two differences with its interval; None if undefined or unbounded."""

    value: float | None
    low: float | None
    high: float | None


def share(
    gain: Array,
    reused: Array,
    start: Array,
    level: float = 0.95,
    one_variance: tuple[Array, int] | None = None,
) -> Ratio:
    """Return the objective's share of the total, (gain - reused) / (gain - start), by Fieller.

    Arguments are per-seed scores (1-d, at least two) of the arm with the objective, the arm with
    the data alone, and the arm with neither. Variances are each arm's own, with Satterthwaite's
    degrees of freedom at the estimated share, unless all arms share `pooled_variance`.
    """
    arms = (gain, reused, start)
    mean, mean_reused, mean_start = (float(arm.mean()) for arm in arms)
    objective, total = mean - mean_reused, mean - mean_start
    if one_variance is None:
        a, b, c = (float(arm.var(ddof=1)) / arm.size for arm in arms)
        value = objective / total
        parts = [a * (1 - value) ** 2, b, c * value**2]
        df = float(satterthwaite(parts, [arm.size - 1 for arm in arms]))
    else:
        a, b, c = (float(one_variance[0]) / arm.size for arm in arms)
        df = one_variance[1]
    return fieller(objective, total, (a + b, a + c, a), df, level)


def paired_share(gain: Array, reused: Array, start: Array, level: float = 0.95) -> Ratio:
    """Return `share` for arms with paired seeds."""
    objective, total, n = gain - reused, gain - start, gain.size
    (var_x, covariance), (_, var_y) = np.cov(objective, total) / n
    means = float(objective.mean()), float(total.mean())
    return fieller(*means, (float(var_x), float(var_y), float(covariance)), n - 1, level)


def fieller(
    numerator: float,
    denominator: float,
    variances: tuple[float, float, float],
    df: float,
    level: float = 0.95,
) -> Ratio:
    """Return x / y with Fieller's interval (Fieller 1954): {r: |x - r y| <= t se(x - r y)}.

    ``variances``: of x (the numerator), of y, and their covariance.
    """
    value, (var_x, var_y, covariance) = numerator / denominator, variances
    t2 = float(scipy.stats.t.ppf((1 + level) / 2, df)) ** 2
    # a r^2 - 2 b r + c <= 0; an interval only if the denominator is clearly not 0 (a > 0).
    a = denominator**2 - t2 * var_y
    b = numerator * denominator - t2 * covariance
    c = numerator**2 - t2 * var_x
    if not a > 0:
        return Ratio(value, None, None)
    half = float(np.sqrt(max(b * b - a * c, 0.0)))
    return Ratio(value, (b - half) / a, (b + half) / a)


@dataclass(frozen=True, slots=True)
class Items:
    """How the items of one benchmark are grouped.

    ``clusters`` has an integer per item: items of one cluster are not independent. ``parts`` is
    items x parts, true if an item counts towards a part; the benchmark's score is the mean over
    parts of the mean over the part's items (one part with all items: the plain mean).
    """

    clusters: Integers
    parts: Booleans

    @classmethod
    def plain(cls, n: int) -> Items:
        """Return ``n`` independent items in one part."""
        return cls(np.arange(n), np.ones((n, 1), dtype=bool))

    def mean(self, values: Array) -> Array:
        """Return the benchmark's score for values on the last axis, like `benchmark_score`."""
        return np.asarray(values @ self.weights)

    @property
    def weights(self) -> Array:
        """Each item's weight in the benchmark's score; they sum to 1."""
        return np.asarray((self.parts / self.parts.sum(0)).mean(1))

    @property
    def independent(self) -> bool:
        """Whether the score is the plain mean of items in clusters of one."""
        return self.parts.shape[1] == 1 and len(np.unique(self.clusters)) == len(self.clusters)

    def grouping(self) -> scipy.sparse.csr_matrix:
        """Return the clusters x items matrix that sums over clusters, clusters in sorted order."""
        codes = np.unique(self.clusters, return_inverse=True)[1]
        return scipy.sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))))

    @property
    def profile(self) -> Profile:
        """Cluster sizes, in sorted order of the clusters."""
        return Profile(np.asarray(self.grouping() @ self.parts.astype(float)))

    def residuals(self, values: Array) -> Array:
        """Return each cluster's part of the error of `mean`, CR2-scaled; items on the last axis."""
        scale = self.grouping().T @ self.profile.scale
        centred = np.zeros(values.shape)
        for part, factor in zip(self.parts.T, scale.T, strict=True):
            mean = values[..., part].mean(-1, keepdims=True)
            centred[..., part] += (values[..., part] - mean) * factor[part] / part.sum()
        return np.asarray((self.grouping() @ centred.T).T / self.parts.shape[1])


def clustered(d: Array, items: Items) -> Estimate:
    """Return a benchmark's mean of per-item differences with a clustered standard error.

    CR2 with Bell and McCaffrey's degrees of freedom (2002): sqrt(sum over clusters g of (sum of the
    cluster's residuals)^2 / (1 - n_g / n)) / n. For equal clusters it equals Miller's (2024, arXiv
    2411.00640), t with C - 1 degrees of freedom. With parts, residuals are taken within parts. No
    standard error (nan) if `Profile.has_error` is false.
    """
    profile, mean = items.profile, items.mean(d)
    if not profile.has_error:
        return Estimate(mean, np.full(mean.shape, np.nan), np.asarray(1.0))
    return Estimate(mean, np.sqrt((items.residuals(d) ** 2).sum(-1)), np.asarray(profile.df))


def average(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of independent estimates, with Satterthwaite's degrees of freedom."""
    variances = [(each.se / len(estimates)) ** 2 for each in estimates]
    delta = np.asarray(np.mean([each.delta for each in estimates], axis=0))
    df = satterthwaite(variances, [each.df for each in estimates])
    return Estimate(delta, np.asarray(np.sqrt(sum(variances))), df)


@dataclass(frozen=True, slots=True)
class McNemar:
    """Exact McNemar test of paired binary answers.

    ``gained`` and ``lost`` count discordant items, ``p`` is binomial on them. ``adjusted`` is
    Bonett and Price's (2012) Wald estimate, with one item added to either kind of discordance: its
    interval holds up with few or no discordant items.
    """

    gained: int
    lost: int
    p: float
    adjusted: Estimate


def mcnemar(d: Array) -> McNemar:
    """Return the exact McNemar test of differences in {-1, 0, 1}, one per item."""
    return mcnemar_of(int((d > 0).sum()), int((d < 0).sum()), d.size)


def mcnemar_of(gained: int, lost: int, n: int) -> McNemar:
    """Return the exact McNemar test of ``n`` items of which some were gained and some lost."""
    p = min(1.0, 2 * float(scipy.stats.binom.cdf(min(gained, lost), gained + lost, 0.5)))
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    se = np.sqrt((up + down - (up - down) ** 2) / (n + 2))
    return McNemar(gained, lost, p, Estimate(np.asarray(up - down), se, np.asarray(np.inf)))


def is_binary(values: Array) -> bool:
    """Whether all values are 0 or 1."""
    return bool(np.isin(values, (0.0, 1.0)).all())


@dataclass(frozen=True, slots=True)
class Components:
    """The variance of one training seed's score, in squared units of the score.

    ``decoding`` is item-level variance: answers that change from seed to seed independently of
    other items (sampling, and single items changed by training). ``training`` is the rest, at least
    0: what moves all items of a seed together.
    """

    training: float
    decoding: float


def components(scores: Sequence[Array], items: Sequence[Items]) -> Components:
    """Split the seed variance of an arm's mean; ``scores``: seeds (2 or more) x items each."""
    macro = np.mean([kinds.mean(y) for y, kinds in zip(scores, items, strict=True)], axis=0)
    decoding = 0.0
    for y, kinds in zip(scores, items, strict=True):
        by_cluster = np.asarray((kinds.grouping() @ (y * kinds.weights).T).T)
        decoding += float(by_cluster.var(0, ddof=1).sum()) / len(scores) ** 2
    return Components(max(float(macro.var(ddof=1)) - decoding, 0.0), decoding)
