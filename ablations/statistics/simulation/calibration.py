"""Error rates and power on simulated studies with known truth.

Estimates and verdicts come from the functions that judge real studies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import scipy

from ablations.statistics import estimates
from ablations.statistics.contrasts import (
    BASELINE,
    DATA_CONTROLS,
    METHOD,
    NO_GAIN,
    PLACEBOS,
    Rules,
    judge,
)
from ablations.statistics.design import looks
from ablations.statistics.estimates import VERDICTS, Array, Verdict
from harness.files.text import counted

RULES = Rules()
SEEDS = (3, 5, 8)
SPREADS = (0.0, 0.005, 0.01)
EFFECTS = (0.0, 0.009, 0.018)
LIMITS = (50, None)  # items per benchmark; None: all
INTERACTIONS = (0.0, 0.1, 0.2, 0.3)
INTERACTION_SPREAD = 0.005  # SD over seeds, in studies with arm-item interaction
CORRELATIONS = (0.0, 0.3, 0.6)  # between two arms' seeds
DESIGN_EFFECT = 1.8  # standard deviations of a seed's score

GAIN_PLANTED = 0.018
PLANTED: Mapping[str, Mapping[str, float]] = {
    "nothing": {},
    "objective": {METHOD: GAIN_PLANTED},
    "data": dict.fromkeys((METHOD, *PLACEBOS, *DATA_CONTROLS), GAIN_PLANTED),
    "both": {METHOD: 2 * GAIN_PLANTED, **dict.fromkeys((*PLACEBOS, *DATA_CONTROLS), GAIN_PLANTED)},
}
STUDY_ARMS = (BASELINE, *DATA_CONTROLS, *PLACEBOS, METHOD)

_CLASSES = 16  # difficulty levels per benchmark
_IDIOSYNCRATIC = 0.6  # a seed's benchmark-specific SD, relative to its shared SD
_RESAMPLES = 1000
_SHIPPED = Path(__file__).with_name("calibration.json")


@dataclass(frozen=True, slots=True)
class World:
    """Benchmarks of given sizes; each item has its own chance of a right answer.

    ``counts`` and ``chances`` are benchmarks x difficulty classes. Chances follow a stretched
    Beta(1, 0.8) distribution, kept away from 0 and 1 so that a planted shift is never cut.
    """

    counts: np.ndarray
    chances: Array

    @classmethod
    def of(cls, sizes: Sequence[int]) -> World:
        """Return a world of benchmarks with these numbers of items."""
        n = np.asarray(sizes)[:, None]
        counts = n // _CLASSES + (np.arange(_CLASSES) < n % _CLASSES)
        middles = (np.arange(_CLASSES) + 0.5) / _CLASSES
        chances = 0.05 + 0.9 * scipy.stats.beta(1, 0.8).ppf(middles)
        return cls(counts, np.broadcast_to(chances, counts.shape))

    @property
    def decoding_variance(self) -> float:
        """The variance of a seed's macro average due to answers alone."""
        n = self.counts.sum(1)
        by_benchmark = (self.counts * self.chances * (1 - self.chances)).sum(1) / n**2
        return float(by_benchmark.sum()) / len(n) ** 2

    def interaction_variance(self, interaction: float) -> float:
        """The variance over draws of items of an arm's item effects on its macro average.

        See `macro`. The arm's seeds share it, so no number of seeds shows it.
        """
        n, moved = self.counts.sum(1), np.minimum(interaction, _room(self.chances))
        return float(((self.counts * moved**2).sum(1) / n**2).sum()) / len(n) ** 2

    def macro(
        self,
        rng: np.random.Generator,
        shape: tuple[int, int],
        effect: float,
        spread: float,
        interaction: float = 0.0,
    ) -> Array:
        """Return macro averages, studies x seeds: training moves a seed, then every item is drawn.

        ``effect`` is added to every item's chance. ``spread`` is the SD of what a seed adds to all
        benchmarks together; each benchmark also moves by 0.6 of it. ``interaction`` is what the arm
        adds to or subtracts from each item's chance, with probability 1/2 each and alike in all
        seeds of the study; less if a chance has no room for it.
        """
        common = effect + rng.normal(0, spread, shape)
        total = np.zeros(shape)
        for counts, chances in zip(self.counts, self.chances, strict=True):
            shift = common + rng.normal(0, _IDIOSYNCRATIC * spread, shape)
            right = np.zeros(shape)
            for count, chance in zip(counts, chances, strict=True):
                moved = min(interaction, _room(chance))
                gains = rng.binomial(count, 0.5, (shape[0], 1)) if moved else count
                right += rng.binomial(gains, np.clip(chance + shift + moved, 0, 1))
                if moved:
                    right += rng.binomial(count - gains, np.clip(chance + shift - moved, 0, 1))
            total += right / counts.sum()
        return total / len(self.counts)


def _room(chances: Array) -> Array:
    """Return how far chances can move both ways."""
    return np.asarray(np.minimum(chances, 1 - chances))


@dataclass(frozen=True, slots=True)
class PairRow:
    """Studies of two arms: rates of verdicts and of p < alpha by test; in units of the score."""

    seeds: int
    spread: float
    effect: float
    verdicts: Mapping[str, float]
    coverage: float
    significant: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class StudyRow:
    """How often each step was fully better; ``data_nothing``: every data arm no gain."""

    seeds: int
    spread: float
    planted: str
    total: float
    objective: float
    placebo: float
    data_nothing: float
    data_better: float


@dataclass(frozen=True, slots=True)
class InteractionRow:
    """Studies of two arms equal on average that differ on single items; see `World.macro`.

    ``limit`` is items per benchmark (None: all). ``significant`` are false positives for new items,
    by test: on the drawn items the arms do differ.
    """

    seeds: int
    limit: int | None
    interaction: float
    significant: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DesignRow:
    """Many studies of two arms by one design; seeds of the arms are normal and correlated.

    ``seeds`` per arm at each look, or at the only one. ``power`` is for an effect of 1.8 standard
    deviations of a seed's score, and ``stopped`` the mean number of seeds then.
    """

    design: str
    seeds: tuple[int, ...]
    correlation: float
    false_positives: float
    power: float
    stopped: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """All rates, and the settings behind them."""

    reps: int
    seed: int
    margin: float
    alpha: float
    sizes: tuple[int, ...]
    pairs: tuple[PairRow, ...]
    studies: tuple[StudyRow, ...]
    interactions: tuple[InteractionRow, ...]
    designs: tuple[DesignRow, ...]

    @property
    def false_positives(self) -> float:
        """The primary test's highest rejection rate without a planted effect."""
        return max(row.significant["welch"] for row in self.pairs if row.effect == 0)

    @property
    def coverage(self) -> float:
        """The primary interval's lowest coverage."""
        return min(row.coverage for row in self.pairs)


def calibrate(
    sizes: Sequence[int], reps: int, seed: int, note: Callable[[str], None]
) -> Calibration:
    """Simulate ``reps`` studies per setting over benchmarks of these ``sizes``, in items."""
    world = World.of(sizes)
    pairs, studies = [], []
    cases: tuple[float | str, ...] = (*EFFECTS, *PLANTED)
    for index, (seeds, spread) in enumerate(product(SEEDS, SPREADS)):
        shape = (reps, seeds)
        for number, case in enumerate(cases):
            rng = np.random.default_rng([seed, index, number])
            if isinstance(case, str):
                studies.append(_study(world, rng, shape, spread, case))
            else:
                pairs.append(_pair(world, rng, shape, spread, case))
        note(f"{counted(seeds, 'seed')}, seed sd {100 * spread:g} points: done")
    interactions = tuple(
        _interaction(sizes, limit, (reps, seeds), interaction, seed)
        for seeds, limit, interaction in product(SEEDS, LIMITS, INTERACTIONS)
    )
    note("arms that differ on single items: done")
    settings = (reps, seed, RULES.margin, RULES.alpha, tuple(sizes))
    return Calibration(*settings, tuple(pairs), tuple(studies), interactions, designs(reps, seed))


def designs(reps: int, seed: int) -> tuple[DesignRow, ...]:
    """Simulate the designs a plan can choose, and adding seeds until p is below alpha."""
    fixed = product(("welch", "paired"), SEEDS, CORRELATIONS)
    rows = [_design(name, (seeds,), (RULES.alpha,), r, reps, seed) for name, seeds, r in fixed]
    spendings: tuple[looks.Spending, ...] = ("obrien-fleming", "pocock")
    for name in spendings:
        at = looks.levels(SEEDS, name, RULES.alpha)
        rows.append(_design(name, SEEDS, at, 0.0, reps, seed))
    every = tuple(range(SEEDS[0], SEEDS[-1] + 1))
    unplanned = (RULES.alpha,) * len(every)
    return (*rows, _design("until p < alpha", every, unplanned, 0.0, reps, seed))


def _design(
    name: str, seeds: tuple[int, ...], at: Sequence[float], correlation: float, reps: int, seed: int
) -> DesignRow:
    rng = np.random.default_rng([seed, 3, *seeds, round(100 * correlation)])
    shared = rng.normal(0, correlation**0.5, (reps, seeds[-1]))
    b, a = (shared + rng.normal(0, (1 - correlation) ** 0.5, (reps, seeds[-1])) for _ in range(2))
    test = estimates.paired if name == "paired" else estimates.welch
    null, planted = (looks.course(b + e, a, seeds, at, test) for e in (0.0, DESIGN_EFFECT))
    return DesignRow(name, seeds, correlation, null.rejected, planted.rejected, planted.seeds)


def _interaction(
    sizes: Sequence[int], limit: int | None, shape: tuple[int, int], interaction: float, seed: int
) -> InteractionRow:
    world = World.of([min(size, limit or size) for size in sizes])
    rng = np.random.default_rng([seed, 2, shape[1], limit or 0, round(1000 * interaction)])
    b, a = (world.macro(rng, shape, 0.0, INTERACTION_SPREAD, interaction) for _ in range(2))
    shared = world.interaction_variance(interaction)
    within = world.decoding_variance - shared
    significant = {
        "welch": estimates.welch(b, a).p < RULES.alpha,
        "bootstrap": _bootstrap_rejects(b, a, within, rng, between=2 * shared),
    }
    rates = {name: float(cases.mean()) for name, cases in significant.items()}
    return InteractionRow(shape[1], limit, interaction, rates)


def _pair(
    world: World, rng: np.random.Generator, shape: tuple[int, int], spread: float, effect: float
) -> PairRow:
    b = world.macro(rng, shape, effect, spread)
    a = world.macro(rng, shape, 0.0, spread)
    difference = estimates.welch(b, a)
    delta, p = difference.delta, difference.p
    judged = estimates.verdicts(delta, p, difference.equivalence_p(RULES.margin), RULES.alpha)
    low, high = difference.interval(RULES.level)
    item_se = np.sqrt(2 * world.decoding_variance / shape[1])
    significant = {
        "welch": p < RULES.alpha,
        "pooled": estimates.welch(b, a, estimates.pooled_variance([a, b])).p < RULES.alpha,
        "bootstrap": _bootstrap_rejects(b, a, world.decoding_variance, rng),
        "items": 2 * scipy.stats.norm.sf(np.abs(delta) / item_se) < RULES.alpha,
    }
    return PairRow(
        shape[1],
        spread,
        effect,
        verdicts={str(name): float((judged == str(name)).mean()) for name in VERDICTS},
        coverage=float(((low <= effect) & (effect <= high)).mean()),
        significant={name: float(cases.mean()) for name, cases in significant.items()},
    )


def _bootstrap_rejects(
    b: Array, a: Array, variance: float, rng: np.random.Generator, between: float = 0.0
) -> np.ndarray:
    """Return whether 0 lies outside the hierarchical bootstrap's percentile interval, by study.

    Seeds are drawn; the thousands of items are replaced by the normal distribution of their sum
    (``variance``: of one seed's macro average due to answers; ``between``: of the difference, due
    to items on which the arms differ).
    """
    n = a.shape[1]
    draws_b, draws_a = (rng.multinomial(n, np.full(n, 1 / n), _RESAMPLES) / n for _ in range(2))
    se = np.sqrt(between + variance * ((draws_b**2).sum(1) + (draws_a**2).sum(1)))
    parts = zip(*(np.array_split(y, 20) for y in (b, a)), strict=True)  # limits the memory
    below = np.concatenate([
        scipy.stats.norm.cdf(-(part_b @ draws_b.T - part_a @ draws_a.T) / se).mean(1)
        for part_b, part_a in parts
    ])  # fmt: skip
    return np.asarray((below < RULES.alpha / 2) | (below > 1 - RULES.alpha / 2))


def _study(
    world: World, rng: np.random.Generator, shape: tuple[int, int], spread: float, planted: str
) -> StudyRow:
    effects = PLANTED[planted]
    scores = {arm: world.macro(rng, shape, effects.get(arm, 0.0), spread) for arm in STUDY_ARMS}
    judged = judge(scores, RULES)

    def rate(kind: str, verdicts: Iterable[Verdict], over: np.ufunc = np.logical_and) -> float:
        """Return how often a step was tested with these verdicts on all of it (or on any)."""
        texts = [str(verdict) for verdict in verdicts]
        step = [j.tested & np.isin(j.verdicts, texts) for j in judged if j.contrast.kind == kind]
        return float(over.reduce(step).mean())

    better = [verdict for verdict in VERDICTS if verdict.is_better]
    total, objective, placebo = (rate(kind, better) for kind in ("total", "objective", "placebo"))
    nothing, some = rate("data", NO_GAIN), rate("data", [Verdict.BETTER], over=np.logical_or)
    return StudyRow(shape[1], spread, planted, total, objective, placebo, nothing, some)


def bootstrap_errors(seeds: Iterable[int]) -> str:
    """Return as text how often the hierarchical bootstrap errs at these seeds per arm.

    The fewest decide: the shipped false-positive rates, over seed SDs, at the largest simulated
    number of seeds not above them.
    """
    rows = json.loads(_SHIPPED.read_text(encoding="utf-8"))["pairs"]
    fewest = min(seeds)
    nearest = max((row["seeds"] for row in rows if row["seeds"] <= fewest), default=None)
    if nearest is None:
        return "with so few seeds its error rates were not measured"
    null = [row for row in rows if row["seeds"] == nearest and row["effect"] == 0]
    rates = [100 * row["significant"]["bootstrap"] for row in null]
    span = f"{min(rates):.1f} to {max(rates):.1f} %"
    return f"in simulations with {counted(nearest, 'seed')} {span} false positives (5 % meant)"
