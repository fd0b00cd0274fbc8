"""Planned looks: a study may stop at fewer seeds while its overall error stays at alpha.

Each look spends a preset part of alpha (Lan and DeMets 1983).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import scipy

from ablations.statistics.estimates import Array, Booleans, Estimate, welch
from harness.errors import UsageError

Spending = Literal["obrien-fleming", "pocock"]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(300)


def check(looks: Sequence[int], seeds: int, spending: str) -> None:
    """Raise `UsageError` for impossible looks; ``seeds`` is that of the whole study, per arm."""
    if spending not in get_args(Spending):
        raise UsageError(f"spending is {spending!r}: it must be {' or '.join(get_args(Spending))}")
    listed = ",".join(map(str, looks))
    if len(looks) < 2 or looks[0] < 2 or sorted(set(looks)) != list(looks):
        raise UsageError(
            f"--looks {listed}: give at least two increasing numbers of seeds per arm, from 2 on"
        )
    if looks[-1] != seeds:
        raise UsageError(f"--looks {listed} with --seeds {seeds}: the last look has all seeds")


def levels(looks: Sequence[int], spending: Spending, alpha: float) -> tuple[float, ...]:
    """Return the significance level of the two-sided test at each look.

    Testing at these levels as data grow along ``looks`` rejects a true null hypothesis at some look
    with probability alpha: exact for normal tests; nominal levels for t tests (Jennison and
    Turnbull 2000, section 3.8).
    """
    times = np.array(looks) / looks[-1]
    spent = np.diff([0.0, *_spent(times, spending, alpha)])
    # The score's density among studies still running, at nodes between the bounds.
    bound = float(scipy.stats.norm.isf(spent[0] / 2)) * times[0] ** 0.5
    nodes, weights = _NODES * bound, _WEIGHTS * bound
    density = scipy.stats.norm.pdf(nodes, scale=times[0] ** 0.5)
    at_look = [float(spent[0])]
    for before, now, share in zip(times, times[1:], spent[1:], strict=False):
        bound = _bound(nodes, weights * density, (now - before) ** 0.5, share)
        at_look.append(float(2 * scipy.stats.norm.sf(bound / now**0.5)))
        steps = scipy.stats.norm.pdf(_NODES[:, None] * bound, nodes, (now - before) ** 0.5)
        density = steps @ (weights * density)
        nodes, weights = _NODES * bound, _WEIGHTS * bound
    return tuple(at_look)


def _spent(times: Array, spending: Spending, alpha: float) -> Array:
    """Return the error spent up to each fraction of the seeds; alpha at the last."""
    if spending == "pocock":
        return np.asarray(alpha * np.log1p((np.e - 1) * times))
    needed = scipy.stats.norm.isf(alpha / 4)  # by each of the two one-sided tests
    return np.asarray(4 * scipy.stats.norm.sf(needed / np.sqrt(times)))


def _bound(nodes: Array, mass: Array, step: float, share: float) -> float:
    def beyond(bound: float) -> float:
        above, below = (nodes - bound) / step, (-bound - nodes) / step
        return float((scipy.special.ndtr(above) + scipy.special.ndtr(below)) @ mass) - share

    return float(scipy.optimize.brentq(beyond, 0.0, 12.0))


@dataclass(frozen=True, slots=True)
class Course:
    """Outcome of studies with looks: fraction that reject, mean number of seeds per arm."""

    rejected: float
    seeds: float


def course(
    plus: Array,
    minus: Array,
    looks: Sequence[int],
    at: Sequence[float],
    test: Callable[[Array, Array], Estimate] = welch,
) -> Course:
    """Return how simulated studies (x seeds) fare, each stopping at the look where it rejects."""
    running: Booleans = np.ones(len(plus), dtype=bool)
    seeds = np.zeros(len(plus))
    for look, level in zip(looks, at, strict=True):
        seeds[running] = look
        running &= ~(test(plus[:, :look], minus[:, :look]).p < level)
    return Course(float(1 - running.mean()), float(seeds.mean()))


def simulated(looks: Sequence[int], at: Sequence[float], effect: float) -> Course:
    """Return the `course` of 20,000 studies by Welch; ``effect`` in SDs of a seed's score."""
    rng, shape = np.random.default_rng(0), (20_000, looks[-1])
    return course(rng.normal(effect, 1, shape), rng.normal(0, 1, shape), looks, at)
