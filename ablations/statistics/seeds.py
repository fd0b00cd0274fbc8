"""Limits of inference over seeds: sides of unequal size, one checkpoint counted twice."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import combinations

import numpy as np

from ablations.statistics import estimates
from ablations.statistics.estimates import Array
from harness.files.text import counted

_STUDIES = 20_000
_RATIOS = (1.0, 2.0)  # SD of the smaller side's seeds, relative to the other

TWICE = (
    "if they are one checkpoint under two names, it is counted twice: 8 % false positives instead "
    "of 5 %, and 16 % with such a pair in both arms (simulated, three seeds)"
)


def twin_notes(scores: Mapping[str, Mapping[str, Array]]) -> list[str]:
    """Return notes on arms with two seeds that score alike on every item (seeds x items)."""
    notes = []
    for arm in next(iter(scores.values())):
        rows = np.concatenate([arms[arm] for arms in scores.values()], axis=1)
        pairs = combinations(range(len(rows)), 2)
        alike = [f"{a} and {b}" for a, b in pairs if np.array_equal(rows[a], rows[b])]
        if alike:
            notes.append(f"{arm}: seeds {', '.join(alike)} score alike on every item: {TWICE}")
    return notes


def unequal_note(seeds: Mapping[str, int]) -> list[str]:
    """Return a note if an arm has at least twice the seeds of another."""
    several = sorted((n, arm) for arm, n in seeds.items() if n > 1)
    if not several or several[-1][0] < 2 * several[0][0]:
        return []
    (few, small), (many, large) = several[0], several[-1]
    low, high = false_positives(few, many)
    return [
        f"{counted(few, 'seed')} of {small} against {many} of {large}: {100 * low:.0f} to "
        f"{100 * high:.0f} % false positives instead of 5 % in simulations (more where the smaller "
        "side varies more); give both as many seeds"
    ]


@cache
def false_positives(few: int, many: int) -> tuple[float, float]:
    """Return Welch's false positives at 5 %, at equal SDs and twice the SD in the smaller arm."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((_STUDIES, n)) for n in (few, many))
    low, high = (float((estimates.welch(sd * a, b).p < 0.05).mean()) for sd in _RATIOS)
    return low, high
