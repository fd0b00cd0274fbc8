"""Simulated error rates of the release gate, beside those of NeMo Evaluator's rule.

Estimates and verdicts come from the rule that judges real gates (`release.rule`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import scipy

from ablations.statistics.estimates import Array, Estimate, Integers
from ablations.statistics.release import rule
from ablations.statistics.release.policy import Limits
from ablations.statistics.simulation.calibration import World
from harness.files.text import counted

DISCORDANCES = (0.05, 0.15)  # fraction of items that only one side answers right
BASELINES = (0.15, 0.85)  # accuracies, evenly spaced over benchmarks
SPREAD = 0.005  # SD over training seeds; as in `World.macro`, 0.6 of it again per benchmark
SEEDS = (3, 5, 8)
POLICIES: dict[str, Limits] = {
    "1 point": Limits("critical", 0.01),
    "1 point, 2 % below 20 %": Limits("critical", 0.01, 0.02, 0.2),
    "1 point, 2 %": Limits("critical", 0.01, 0.02),
    "3 points": Limits("critical", 0.03),
    "5 points": Limits("critical", 0.05),
}
# True losses: on how many benchmarks (None: all), in multiples of the binding limit.
TRUTHS: dict[str, tuple[int | None, float]] = {
    "no change": (0, 0.0),
    "all lose the limit": (None, 1.0),
    "one loses the limit": (1, 1.0),
    "one loses twice the limit": (1, 2.0),
    "all lose twice the limit": (None, 2.0),
}


@dataclass(frozen=True, slots=True)
class GateRow:
    """Frequency of each verdict, by rule; ``setting``: the discordance, or the seeds."""

    setting: str
    policy: str
    truth: str
    rates: dict[str, dict[str, float]]


def simulate(sizes: Sequence[int], reps: int, seed: int) -> tuple[GateRow, ...]:
    """Simulate ``reps`` gates per setting over benchmarks of these numbers of items.

    Two checkpoints answer each item once: counts of the four outcomes are multinomial. Two methods
    have several training seeds; nel, which takes one run per side, gets the first.
    """
    cases = list(product(POLICIES, TRUTHS))
    rows = [
        _checkpoints(sizes, reps, np.random.default_rng([seed, 4, number, index]), *case, share)
        for (number, share), (index, case) in product(enumerate(DISCORDANCES), enumerate(cases))
    ]
    rows += [
        _methods(sizes, (reps, seeds), np.random.default_rng([seed, 5, seeds, index]), *case)
        for seeds, (index, case) in product(SEEDS, enumerate(cases))
        if POLICIES[case[0]].relative_guard_below is None  # no benchmark of `World` is below it
    ]
    return tuple(rows)


def _losses(
    rng: np.random.Generator, accuracies: Array, gates: int, truth: str, limits: Limits
) -> Array:
    """Return true losses, benchmarks x gates; if one benchmark loses, it is drawn per gate."""
    count, times = TRUTHS[truth]
    relative = [limits.relative_drop(accuracy) for accuracy in accuracies]
    binding = [
        limits.max_drop if drop is None else min(limits.max_drop, drop * accuracy)
        for drop, accuracy in zip(relative, accuracies, strict=True)
    ]
    losses = np.tile(np.array(binding)[:, None] * times, gates)
    if count is None:
        return losses
    order = rng.permuted(np.tile(np.arange(len(binding))[:, None], gates), axis=0)
    return np.where(order < count, losses, 0.0)


def _checkpoints(
    sizes: Sequence[int], reps: int, rng: np.random.Generator, policy: str, truth: str, share: float
) -> GateRow:
    limits = POLICIES[policy]
    accuracies = np.linspace(*BASELINES, len(sizes))
    losses = _losses(rng, accuracies, reps, truth, limits)
    evidence, scores = [], []
    for n, accuracy, loss in zip(sizes, accuracies, losses, strict=True):
        changed = np.maximum(share, loss)
        gained, lost = (changed - loss) / 2, (changed + loss) / 2
        chances = np.stack([accuracy - lost, gained, lost, 1 - accuracy - gained], axis=-1)
        cells = rule.Cells(*rng.multinomial(n, chances).T)
        evidence.append(cells)
        scores.append(np.asarray((cells.both + cells.lost) / n))
    nel = [_nel(cells, limits) for cells in evidence]
    rates = _rates(_ours(evidence, scores, limits), nel)
    return GateRow(f"{100 * share:g} % of answers differ", policy, truth, rates)


def _methods(
    sizes: Sequence[int], shape: tuple[int, int], rng: np.random.Generator, policy: str, truth: str
) -> GateRow:
    limits, world = POLICIES[policy], World.of(sizes)
    accuracies = (world.counts * world.chances).sum(1) / world.counts.sum(1)
    losses = _losses(rng, accuracies, shape[0], truth, limits)
    common = rng.normal(0, SPREAD, (2, *shape))
    evidence, scores, nel = [], [], []
    for counts, chances, loss in zip(world.counts, world.chances, losses, strict=True):
        shift = common + rng.normal(0, 0.6 * SPREAD, (2, *shape))
        shift[1] -= loss[:, None]
        chance = np.clip(chances[:, None, None, None] + shift, 0, 1)
        right = rng.binomial(counts[:, None, None, None], chance)  # classes, sides, gates, seeds
        a, b = right.sum(0) / counts.sum()
        evidence.append(rule.OverSeeds(b, a))
        scores.append(a.mean(-1))
        nel.append(_nel(_paired(rng, counts[:, None], right[..., 0]), limits))
    rates = _rates(_ours(evidence, scores, limits), nel)
    return GateRow(counted(shape[1], "seed"), policy, truth, rates)


def _paired(rng: np.random.Generator, counts: Integers, right: Integers) -> rule.Cells:
    """Return the outcomes of two independent runs; ``right`` is classes x sides x gates."""
    a, b = right[:, 0], right[:, 1]
    both = rng.hypergeometric(b, counts - b, a)
    cells = (both, b - both, a - both, counts - a - b + both)
    return rule.Cells(*(np.asarray(each.sum(0), dtype=float) for each in cells))


def _ours(
    evidence: Sequence[rule.Evidence], baselines: Sequence[Array], limits: Limits
) -> list[Array]:
    """Return the status of every benchmark in every gate, benchmarks x gates.

    Whether the relative limit applies varies by gate; elsewhere its room is nan, which Holm's
    method leaves out and which does not prevent a GO.
    """
    every = rule.limits_of(replace(limits, relative_guard_below=None), 1.0)
    rooms, counts = [], []
    for one, scores in zip(evidence, baselines, strict=True):
        for limit in every:
            room = one.room(limit)
            counts.append(np.ones(scores.shape, bool) if limit.allowed else limits.guards(scores))
            se = np.where(counts[-1], room.se, np.nan)
            rooms.append(Estimate(room.delta, se, room.df))
    judged = rule.judge(rooms, [True] * len(rooms))
    kept, step = judged.kept | ~np.array(counts), len(every)
    return [
        rule.benchmark_status(kept[i : i + step], judged.exceeded[i : i + step])
        for i in range(0, len(rooms), step)
    ]


def _nel(cells: rule.Cells, limits: Limits) -> Array:
    """Return a benchmark's status in every gate by NeMo Evaluator's `nel gate` rule.

    Source: ``nemo_evaluator.engine.gate._apply_thresholds``: the relative limit by the point
    estimate, then the paired t interval of level 95 % against the absolute limit.
    """
    n = cells.both + cells.gained + cells.lost + cells.neither
    baseline = (cells.both + cells.lost) / n
    drop = (cells.lost - cells.gained) / n
    variance = ((cells.lost + cells.gained) - n * drop**2) / (n - 1)
    half = scipy.stats.t.ppf(0.975, n - 1) * np.sqrt(variance / n)
    inferior = drop - half > limits.max_drop
    if limits.max_relative_drop is not None:
        inferior |= limits.guards(baseline) & (drop > limits.max_relative_drop * baseline)
    texts = [str(rule.Status.INFERIOR), str(rule.Status.NON_INFERIOR)]
    return np.select([inferior, drop + half <= limits.max_drop], texts, str(rule.Status.UNDECIDED))


def _rates(ours: Sequence[Array], nel: Sequence[Array]) -> dict[str, dict[str, float]]:
    """Return the rate of each verdict, from the statuses of every benchmark by either rule."""
    verdicts = {"ours": rule.decision(np.array(ours)), "nel": rule.decision(np.array(nel))}
    return {
        name: {str(each): float((made == str(each)).mean()) for each in rule.Decision}
        for name, made in verdicts.items()
    }
