"""The score of guessing, printed next to results on the embedded data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any


def chance(targets: Sequence[Mapping[str, Any]]) -> float:
    """Return the expected score of guessing, from stored targets (`benchmarks.scoring.Target`).

    With options: one of them at random.  Without: the answer that is right most often among the
    items without options, the best that a constant answer can do.
    """
    free = Counter(target["answer"] for target in targets if not target["choices"])
    constant = max(free.values(), default=0) / max(free.total(), 1)
    return fmean(1 / len(t["choices"]) if t["choices"] else constant for t in targets)
