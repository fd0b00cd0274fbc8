"""A million mutated responses: no crash, none over 50 ms.

The first fifth is a slow test, the rest is for `make fuzz`.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from benchmarks.scoring import Target, score
from tests.benchmarks.scoring.pace import LIMIT_SECONDS, takes_long
from tests.benchmarks.scoring.test_properties import FRAGMENTS, TARGETS
from tests.benchmarks.scoring.test_tables import TABLES

SEEDS = [(target, response) for rows in TABLES.values() for target, response, _ in rows]


def mutated(text: str, chance: random.Random) -> str:
    """Return a text after a few random edits: cut, doubled, shuffled, with fragments put in."""
    for _ in range(chance.randrange(1, 5)):
        low, high = sorted(chance.randrange(len(text) + 1) for _ in range(2))
        piece = chance.choice(FRAGMENTS) * chance.choice((1, 1, 1, 2, 20))
        text = chance.choice(
            (
                text[:low] + text[high:],
                text[:high] + text[low:],
                text[:low] + piece + text[low:],
                text[:low] + piece + text[high:],
                text[:low] + text[low:high][::-1] + text[high:],
                text + " " + chance.choice(SEEDS)[1],
            )
        )
    return text[:5000]


# In parts: a test that hangs is ended after ten minutes, which a million take on busy cores.
@pytest.mark.parametrize(
    "first",
    [
        pytest.param(seed, marks=pytest.mark.slow if seed == 20240 else pytest.mark.fuzz)
        for seed in range(20240, 20250, 2)
    ],
)
def test_a_million_mutated_responses(first: int) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(_slow_ones, (first, first + 1))) == [[], []]


def _slow_ones(seed: int) -> list[tuple[str, Target]]:
    """Score a hundred thousand mutations, and return those that take long."""
    chance = random.Random(seed)
    slow: list[tuple[str, Target]] = []
    for _ in range(100_000):
        target, response = chance.choice(SEEDS)
        if chance.random() < 0.2:
            target = chance.choice(TARGETS)
        text = mutated(response, chance)
        start = time.thread_time()
        given = score(text, target)
        seconds = time.thread_time() - start
        assert given.status in {"scored", "unparsable"}
        if seconds > LIMIT_SECONDS and takes_long(text, target):
            slow.append((text, target))
    return slow
