"""How long a text takes to score, beside a fixed load on the same core at the same time."""

from __future__ import annotations

import inspect
import io
import textwrap
import time
import tokenize
from collections.abc import Callable

from benchmarks.scoring import Target, score
from benchmarks.scoring.mathematics.notation import prepare
from benchmarks.scoring.mathematics.parser import _parsed

LIMIT_SECONDS = 0.05
# On the idle machine of docs/performance.md the load takes 2.8 ms, so that this is the same limit.
LIMIT_LOADS = 18
SOURCE = inspect.getsource(textwrap)


def takes_long(text: str, target: Target) -> bool:
    """Whether scoring takes over 50 ms; nothing of an earlier time is remembered."""

    def scored() -> None:
        for cached in (_parsed, prepare):
            cached.cache_clear()
        score(text, target)

    return is_slow(scored)


def is_slow(work: Callable[[], object]) -> bool:
    """Whether work takes over 50 ms: where it seems so, as often as asked beside the load."""
    if _seconds(work) < LIMIT_SECONDS:
        return False
    _seconds(load)
    ratios = (_seconds(work) / _seconds(load) for _ in range(6))
    return all(ratio > LIMIT_LOADS for ratio in ratios)


def load() -> None:
    """Do what takes 2.8 ms on the machine of docs/performance.md."""
    for _ in tokenize.generate_tokens(io.StringIO(SOURCE).readline):
        pass


def _seconds(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start
