"""Nearest neighbours of 200,000 image embeddings: ``python -m tests.bench pairs``.

Vectors of 1,024 dimensions in 2,000 groups; one in a hundred has a planted neighbour.
"""

from __future__ import annotations

import resource
import time

import numpy as np

from ablations.pairs.similarity.neighbours import neighbours

NUMBER, DIMENSIONS, GROUPS, STEP = 200_000, 1024, 2000, 20_000


def vectors(number: int = NUMBER) -> np.ndarray:
    """Return unit vectors, shape (number, 1024), the last hundredth near the first."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((GROUPS, DIMENSIONS), dtype=np.float32)
    made = np.empty((number, DIMENSIONS), np.float32)
    for start in range(0, number, STEP):
        block = made[start : start + STEP]
        block[:] = rng.standard_normal(block.shape, dtype=np.float32)
        block += 0.8 * centres[rng.integers(0, GROUPS, len(block))]
    planted = number // 100
    made[-planted:] = made[:planted]
    made[-planted:] += 0.3 * rng.standard_normal((planted, DIMENSIONS), dtype=np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def main() -> None:
    """Print seconds, planted neighbours that were found, and the largest memory."""
    made = vectors()
    start = time.perf_counter()
    found = {row[:2] for row in neighbours(made, 0.85, 10, "approximate")}
    seconds = time.perf_counter() - start
    planted = NUMBER // 100
    right = sum((i, NUMBER - planted + i) in found for i in range(planted))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"approximate, {NUMBER:,} x {DIMENSIONS}: {seconds:.0f} s, {right} of {planted} planted "
          f"pairs found, {memory:.1f} GiB at most")  # fmt: skip
