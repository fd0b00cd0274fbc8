"""A million item rows, six contrasts, ten thousand resamples: seconds and peak memory.

Five arms with five seeds on twelve benchmarks, 42,954 items; `analyse` as a whole:
tests, hierarchical bootstrap at seed and item level, per-benchmark lines, verdict.
"""

from __future__ import annotations

import resource
import time

import numpy as np

from ablations.statistics.analysis import analyse
from ablations.statistics.contrasts import BASELINE, METHOD, PLACEBOS, Rules
from ablations.statistics.design.roles import STANDARD
from ablations.statistics.estimates import Array, Items
from ablations.statistics.simulation.bootstrap import hierarchical

SIZES = (2000, 7880, 6080, 3460, 1800, 382, 3000, 3802, 4240, 6000, 472, 3838)
ARMS = (BASELINE, "da-rl", "da-sft", *PLACEBOS, METHOD)
SEEDS = 5


def study() -> tuple[dict[str, dict[str, Array]], dict[str, Items]]:
    """Return right and wrong answers, and items that come in clusters of five in one benchmark."""
    rng = np.random.default_rng(0)
    scores: dict[str, dict[str, Array]] = {}
    items: dict[str, Items] = {}
    for number, n in enumerate(SIZES):
        chance, name = rng.beta(1, 0.8, n), f"benchmark-{number}"
        scores[name] = {arm: (rng.random((SEEDS, n)) < chance).astype(float) for arm in ARMS}
        items[name] = Items(np.arange(n) // (5 if number == 1 else 1), np.ones((n, 1), dtype=bool))
    return scores, items


def peak() -> float:
    """Return the peak resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print seconds and memory of the bootstrap alone and of the whole analysis."""
    scores, items = study()
    rows = sum(y.size for arms in scores.values() for y in arms.values())
    made = STANDARD.contrasts(ARMS)
    analyse({n: {a: y[:, :9] for a, y in arms.items()} for n, arms in scores.items()},
            {n: Items.plain(9) for n in items}, Rules(resamples=10))  # imports  # fmt: skip
    before, began = peak(), time.perf_counter()
    drawn = hierarchical(scores, items)
    for one in made:
        drawn.interval(one.plus, one.minus)
    alone = time.perf_counter() - began
    began = time.perf_counter()
    analyse(scores, items, Rules())
    whole = time.perf_counter() - began
    print(f"{rows} item rows, {len(made)} contrasts, 10000 resamples:")
    print(f"  hierarchical bootstrap   {alone:6.2f} s")
    print(f"  the whole analysis       {whole:6.2f} s")
    print(f"  peak memory              {peak():6.0f} MiB, {before:.0f} of it the data and imports")
