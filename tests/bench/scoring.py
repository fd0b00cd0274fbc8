"""Scored responses per second and core, by benchmark: ``python -m tests.bench scoring``.

The responses are the tests' own, so that every machine times the same work; where real graded
responses lie beside the repository, those are timed too: they are longer.
"""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.conformance.graded import Graded, read, target_of
from benchmarks.scoring import Target, score
from tests.benchmarks.scoring.test_tables import TABLES

_SECONDS = 1.0
Load = list[tuple[str, Target]]


def real() -> dict[str, Load]:
    """Return the real responses with their targets by benchmark; {} where there are none."""
    folder = Path(__file__).parents[3] / "shared" / "data" / "conformance"
    return {
        path.stem: [(row.response, target_of(row)) for row in read(path) if isinstance(row, Graded)]
        for path in sorted(folder.glob("*.jsonl"))
    }


def rate(load: Load) -> float:
    """Return scored responses per second of one core, over at least one second of work."""
    scored, start = 0, time.thread_time()
    while (spent := time.thread_time() - start) < _SECONDS:
        for text, target in load:
            score(text, target)
        scored += len(load)
    return scored / spent


def main() -> None:
    """Print one line a benchmark."""
    published = real()
    print("scored responses per second and core    the tests'   published")
    for name, rows in sorted(TABLES.items()):
        own = f"{rate([(text, target) for target, text, _ in rows]):10.0f}"
        longer = f"{rate(published[name]):10.0f}" if name in published else f"{'-':>10}"
        print(f"  {name:36} {own}  {longer}")
