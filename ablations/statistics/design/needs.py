"""How many items, repeats or seeds would show a difference of a given size.

Each number is for changing that quantity alone, all else as measured.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil

import numpy as np
import scipy

from ablations.statistics.design import power
from ablations.statistics.estimates import Array, Components

ONE = Components(1.0, 0.0)
MOST_ITEMS = 10_000_000
MOST_REPEATS = 1_000


@dataclass(frozen=True, slots=True)
class Needs:
    """None: changing it alone does not suffice (or is impractical), or it was not measured."""

    items: int | None = None
    repeats: int | None = None
    seeds: int | None = None


def needs_text(needs: Needs, items: int = 0) -> str:
    """Return the alternatives as text, "1,200 items or 4 repeats"; ``items``: today's number."""
    if needs.items is not None and needs.items <= items:
        return "today's items"
    numbers = asdict(needs).items()
    return " or ".join(f"{n:,} {unit}" for unit, n in numbers if n is not None) or "-"


@dataclass(frozen=True, slots=True)
class Target:
    """The difference to be shown (units of the score) by a two-sided test, and its power."""

    effect: float
    alpha: float = 0.05
    power: float = 0.8


def sampling_part(
    candidate: Array, baseline: Array, weights: Array, repeats: int, kept: float = 1.0
) -> float | None:
    """Return the part of the squared error of candidate - kept * baseline due to sampling.

    Arguments are the items' mean scores over ``repeats`` binary answers, and their weights: with k
    repeats the variance of an item's mean m is estimated by m (1 - m) / (k - 1). None with one
    repeat, partial credit, or an unscored repeat.
    """
    counts = np.stack([candidate, baseline]) * repeats
    if repeats < 2 or np.abs(counts - counts.round()).max() > 1e-6:
        return None
    variance = candidate * (1 - candidate) + kept**2 * baseline * (1 - baseline)
    return float((weights**2 * variance).sum()) / (repeats - 1)


def _within(number: int | None, most: int) -> int | None:
    return None if number is None or number > most else number


@dataclass(frozen=True, slots=True)
class ItemsDesign:
    """Two checkpoints: the standard error of their difference over items.

    ``sampling`` is the part of the squared error due to sampled answers (None: not measured, as
    with one repeat); only this part shrinks with ``repeats``.
    """

    se: float
    items: int
    repeats: int = 1
    sampling: float | None = None

    def needs(self, target: Target) -> Needs:
        """Return the items or repeats that the normal test needs.

        (z_{1-alpha/2} + z_power)^2 se^2 / effect^2 times today's items.
        """
        if not target.effect > 0 or not self.se > 0:
            return Needs()
        norm = scipy.stats.norm
        z = float(norm.ppf(1 - target.alpha / 2) + norm.ppf(target.power))
        variance = (target.effect / z) ** 2
        items = ceil(self.items * self.se**2 / variance - 1e-9)
        repeats, sampling = None, self.sampling or 0.0
        left = variance - max(self.se**2 - sampling, 0.0)
        if sampling and left > 0:
            repeats = max(1, ceil(self.repeats * sampling / left - 1e-9))
        return Needs(_within(items, MOST_ITEMS), _within(repeats, MOST_REPEATS))


@dataclass(frozen=True, slots=True)
class SeedsDesign:
    """Two methods over training seeds: the variance components of a seed's score.

    ``of`` is the mean over both arms. More items shrink the decoding part, as do more repeats if
    answers are ``sampled``; the training part remains.
    """

    of: Components
    seeds: int
    items: int
    repeats: int = 1
    sampled: bool = False

    def needs(self, target: Target) -> Needs:
        """Return the seeds per arm, the items or the repeats that Welch's test needs."""
        if not target.effect > 0 or not self.of.training + self.of.decoding > 0:
            return Needs()
        seeds = power.seeds_needed(target.effect, self.of, target.alpha, target.power)
        factor = self._factor(target)
        if factor is None:
            return Needs(seeds=seeds)
        items = ceil(self.items * factor)
        repeats = ceil(self.repeats * factor) if self.sampled else None
        return Needs(_within(items, MOST_ITEMS), repeats, seeds)

    def _factor(self, target: Target) -> float | None:
        """Return the factor on answers per seed that would suffice at today's seeds."""
        unit = power.planned_mde(ONE, self.seeds, target.alpha, target.power)
        left = (target.effect / unit) ** 2 - self.of.training
        if left <= 0 or not self.of.decoding > 0:
            return None
        factor = max(1.0, self.of.decoding / left)
        return factor if factor <= MOST_REPEATS else None
