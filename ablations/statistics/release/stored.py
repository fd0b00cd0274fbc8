"""Read the output of ``harness gate --json`` or ``harness compare --json``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ablations.statistics.agreement import close
from ablations.statistics.comparison.models import ModelsComparison
from ablations.statistics.comparison.sides import Comparison
from ablations.statistics.comparison.stored import read_comparisons
from ablations.statistics.release.gate import SCORE, Gate, GatedBenchmark, heading_of, verdict_of
from ablations.statistics.release.rule import ALPHA, Status
from harness.errors import UsageError
from harness.files.plain import read_given
from harness.files.typed_json import parse, record


def read_saved(path: Path) -> Comparison | ModelsComparison | Gate:
    """Return a saved gate or comparison; `UsageError` for any other file."""
    try:
        document = parse(read_given(path))
        if not isinstance(document, dict) or "reasons" not in document:
            return read_comparisons(path)
        gate = record(Gate, document)
        for line in gate.benchmarks:
            _check(line)
        verdict, reasons = verdict_of(gate.benchmarks)
        if gate.verdict != verdict:
            raise ValueError(f"its benchmarks do not say {gate.verdict}")
        heading = heading_of([len(gate.runs[side]) for side in ("baseline", "candidate")])
        # An older version may have other words for them.
        return replace(gate, reasons=reasons, heading=heading)
    except (OSError, ValueError, LookupError) as error:
        raise UsageError(
            f"{path} is not what `harness gate --json` or `harness compare --json` prints "
            f"({type(error).__name__}: {error})"
        ) from error


def _check(line: GatedBenchmark) -> None:
    """Check a benchmark's numbers against each other and its limits; else `ValueError`."""
    name, p = line.benchmark, line.p
    # Means of ones may be a rounding error above 1.
    if not all(-1e-9 <= score <= 1 + 1e-9 for score in (line.baseline, line.candidate)):
        raise ValueError(f"a score on {name} is not in [0, 1]")
    if not close(line.delta, line.candidate - line.baseline):
        raise ValueError(f"the difference on {name} is not that of its scores")
    half = np.inf
    if line.low is not None and line.high is not None:
        half = (line.high - line.low) / 2
        # The score test's interval has one item added to either kind of discordance.
        center = line.delta * (line.items / (line.items + 2) if line.test == SCORE else 1)
        if line.low > line.high or not close((line.low + line.high) / 2, center):
            raise ValueError(f"the interval on {name} is not that of its difference")
    if line.max_relative_drop != line.limits.relative_drop(line.baseline):
        raise ValueError(f"{name} is not judged by its limits")
    # The test's error is at least the interval's.
    kept = line.limits.sign * line.delta + line.limits.max_drop - half >= -1e-9
    allowed = {
        Status.INFERIOR: p is not None and 0 <= p <= ALPHA / 2,
        Status.NON_INFERIOR: p is not None and 1 - ALPHA / 2 - 1e-9 <= p <= 1 and kept,
        Status.UNDECIDED: p is None or ALPHA / 2 < p <= 1,
    }
    if not allowed[line.status]:
        raise ValueError(f"the numbers on {name} do not say {line.status}")
