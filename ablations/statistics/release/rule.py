"""The gate's rule: is a disallowed loss on a benchmark excluded, shown, or undecided?

A limit is judged by its *room*, what the candidate keeps above the lowest allowed score: sign
(candidate - kept * baseline) + allowed. ``kept`` is 1 and ``allowed`` max_drop for an absolute
limit; 1 - max_relative_drop and 0 for a relative one, whose interval is therefore exact: the room
is linear in both scores. Functions take many gates at once (leading axes), so the simulation uses
the rule itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import Protocol

import numpy as np
import scipy

from ablations.statistics import estimates
from ablations.statistics.estimates import ROUNDING, Array, Booleans, Estimate, Items, Ratio
from ablations.statistics.release.policy import Limits

ALPHA = 0.05  # of the two-sided 95 % interval: half per side


class Status(StrEnum):
    """State of knowledge about a benchmark."""

    NON_INFERIOR = "non-inferior"
    INFERIOR = "inferior"
    UNDECIDED = "not enough data"


class Decision(StrEnum):
    """State of knowledge about a release."""

    GO = "GO"
    NO_GO = "NO-GO"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit on one benchmark, see the module."""

    sign: int
    kept: float
    allowed: float


class Evidence(Protocol):
    """Scores of two sides on one benchmark; linear combinations of them can be estimated."""

    def combined(self, candidate: float, baseline: float) -> Estimate:
        """Return candidate * (candidate's score) + baseline * (baseline's score)."""
        ...

    def room(self, limit: Limit) -> Estimate:
        """Return a limit's room: negative if exceeded."""
        ...


@dataclass(frozen=True, slots=True)
class Cells:
    """Counts of right and wrong answers of two single runs on independent items; any shape.

    One item is added to either kind of discordance, as in Bonett and Price's (2012) interval for
    the difference of paired proportions, which `combined` (1, -1) is.
    """

    both: Array
    gained: Array
    lost: Array
    neither: Array

    @classmethod
    def of(cls, candidate: Array, baseline: Array) -> Cells:
        """Count answers of 0 and 1 on the last axis."""
        cells = [(candidate == c) & (baseline == b) for c, b in product((1, 0), repeat=2)]
        return cls(*(np.asarray(cell.sum(-1, float)) for cell in cells))

    def combined(self, candidate: float, baseline: float) -> Estimate:
        """Return the mean of the combination over items, and its normal standard error."""
        n = self.both + self.gained + self.lost + self.neither + 2
        values = (candidate + baseline, candidate, baseline)
        shares = (self.both / n, (self.gained + 1) / n, (self.lost + 1) / n)
        mean = sum(value * share for value, share in zip(values, shares, strict=True))
        square = sum(value**2 * share for value, share in zip(values, shares, strict=True))
        se = np.sqrt(np.maximum(square - mean**2, 0) / n)
        return Estimate(np.asarray(mean), se, np.full(np.shape(mean), np.inf))

    def room(self, limit: Limit) -> Estimate:
        """Return the room with the larger of two errors, so that both tests keep their level.

        At the limit it is the score test's error (Tango 1998 for a difference, Nam and Blackwelder
        2002 for a ratio): a Wald test passes too many benchmarks on which few answers happened to
        change. The measured error (`combined`) is larger if many did: there the score test sees too
        many losses.
        """
        n = self.both + self.gained + self.lost + self.neither
        gained, lost, kept = self.gained / n, self.lost / n, limit.kept
        candidate, baseline = (self.both + self.gained) / n, (self.both + self.lost) / n
        if kept == 1:
            up, down = (gained, lost) if limit.sign > 0 else (lost, gained)
            variance = _variance_of_difference(up, down, limit.allowed)
        else:
            root = (candidate - kept**2 * baseline) ** 2 + 4 * kept**2 * gained * lost
            fewer = -candidate + kept**2 * (baseline + 2 * gained) + np.sqrt(root)
            fewer = fewer / (2 * kept * (kept + 1))
            more = kept * fewer - (kept - 1) * (1 - self.neither / n)
            variance = kept * (fewer + more)
        room = limit.sign * (candidate - kept * baseline) + limit.allowed
        at_limit = np.sqrt(np.maximum(variance, 0) / n)
        measured = self.combined(1, -kept)
        return Estimate(np.asarray(room), np.maximum(at_limit, measured.se), measured.df)


def _variance_of_difference(up: Array, down: Array, allowed: float) -> Array:
    """Return an item's maximum-likelihood variance given up - down = -allowed."""
    linear = -(up + down) - (2 - up + down) * allowed
    both_ways = 8 * down * allowed * (1 + allowed)
    most_likely = (np.sqrt(np.maximum(linear**2 - both_ways, 0)) - linear) / 4
    return np.asarray(2 * most_likely - allowed * (1 + allowed))


@dataclass(frozen=True, slots=True)
class OverItems:
    """Scores of two checkpoints by item, repeats averaged: the clustered t.

    The error is at least that of one cluster changing either way (`Cells` without discordance): two
    runs that agree on all items, or all but one, do not show that no other item would differ.
    """

    candidate: Array
    baseline: Array
    items: Items

    def combined(self, candidate: float, baseline: float) -> Estimate:
        """Return the mean of the combination over items."""
        d = candidate * self.candidate + baseline * self.baseline
        estimate = estimates.clustered(d, self.items)
        least = np.sqrt(2) / (self.items.profile.effective + 2)
        return Estimate(estimate.delta, np.maximum(estimate.se, least), estimate.df)

    def room(self, limit: Limit) -> Estimate:
        """Return the room; for binary answers its error is at least that at the limit.

        There at least as many clusters differ as the limit says: the error of a score test in which
        nothing else differs.
        """
        room = _linear(self, limit)
        if not estimates.is_binary(np.stack([self.candidate, self.baseline])):
            return room
        kept, allowed = limit.kept, limit.allowed
        baseline = float(self.items.mean(self.baseline))
        least = allowed * (1 - allowed) + baseline * kept * abs(1 - kept)
        least = np.sqrt(least / self.items.profile.effective)
        return Estimate(room.delta, np.maximum(room.se, least), room.df)


@dataclass(frozen=True, slots=True)
class OverSeeds:
    """Scores of two methods by training seed (last axis): Welch."""

    candidate: Array
    baseline: Array

    def combined(self, candidate: float, baseline: float) -> Estimate:
        """Return the combination of the mean scores."""
        return estimates.welch(candidate * self.candidate, -baseline * self.baseline)

    def room(self, limit: Limit) -> Estimate:
        """Return the room, by the t test."""
        return _linear(self, limit)


def _linear(evidence: Evidence, limit: Limit) -> Estimate:
    estimate = evidence.combined(limit.sign, -limit.sign * limit.kept)
    return Estimate(estimate.delta + limit.allowed, estimate.se, estimate.df)


def limits_of(policy: Limits, baseline: float) -> tuple[Limit, ...]:
    """Return the absolute limit, and the relative one if it applies at the baseline's score."""
    absolute = Limit(policy.sign, 1.0, policy.max_drop)
    relative = policy.relative_drop(baseline)
    if relative is None:
        return (absolute,)
    return absolute, Limit(policy.sign, 1 - policy.sign * relative, 0.0)


def relative_change(evidence: Evidence, kept: float) -> Ratio:
    """Return candidate / baseline - 1 with Fieller's interval.

    With t tests it contains ``kept`` - 1 exactly if the interval of the room contains 0.
    """
    candidate, baseline = evidence.combined(1, 0), evidence.combined(0, 1)
    difference, tested = evidence.combined(1, -1), evidence.combined(1, -kept)
    variances = (float(candidate.se) ** 2, float(baseline.se) ** 2)
    shared = (sum(variances) - float(difference.se) ** 2) / 2
    means, df = (float(candidate.delta), float(baseline.delta)), float(tested.df)
    ratio = estimates.fieller(*means, (*variances, shared), df, 1 - ALPHA)
    return Ratio(*(None if r is None else r - 1 for r in (ratio.value, ratio.low, ratio.high)))


@dataclass(frozen=True, slots=True)
class Judged:
    """Judged limits: whether each is kept or exceeded, and the one-sided p of being exceeded.

    Limits are on the first axis. ``p`` of gated limits is Holm-adjusted over them.
    """

    kept: Booleans
    exceeded: Booleans
    p: Array


def judge(rooms: Sequence[Estimate], gated: Sequence[bool], alpha: float = ALPHA) -> Judged:
    """Judge limits by their rooms; ``gated`` ones count towards the verdict.

    Kept: the two-sided interval of level 1 - alpha lies at or above 0. No correction: GO needs all
    limits kept, so a wrong GO has a chance of at most alpha / 2 (intersection-union test).
    Exceeded: p, Holm-adjusted over gated limits, is at most alpha / 2, which bounds the chance of a
    wrong NO-GO if every limit is kept, for any number of benchmarks. An advisory limit is judged
    alone. Without a standard error a limit is neither.
    """
    room, df = (np.array([getattr(each, name) for each in rooms]) for name in ("delta", "df"))
    se = np.array([np.where(each.se > ROUNDING, each.se, np.nan) for each in rooms])
    p = np.asarray(scipy.stats.t.cdf(room / se, df))
    chosen = np.asarray(gated, dtype=bool)
    if chosen.any():
        p[chosen] = estimates.holm(p[chosen])
    # Same as the interval: its lower bound is at or above 0.
    kept = room - scipy.stats.t.isf(alpha / 2, df) * se >= 0
    return Judged(np.asarray(kept), np.asarray(p <= alpha / 2), p)


def benchmark_status(kept: Booleans, exceeded: Booleans) -> Array:
    """Return the status of one benchmark from its limits (first axis): `Status` texts."""
    texts = [str(Status.INFERIOR), str(Status.NON_INFERIOR)]
    return np.select([exceeded.any(0), kept.all(0)], texts, str(Status.UNDECIDED))


def decision(statuses: Array) -> Array:
    """Return the verdict from the status of every gated benchmark (first axis)."""
    stop = (statuses == str(Status.INFERIOR)).any(0)
    go = (statuses == str(Status.NON_INFERIOR)).all(0)
    texts = [str(Decision.NO_GO), str(Decision.GO)]
    return np.select([stop, go], texts, str(Decision.INCONCLUSIVE))
