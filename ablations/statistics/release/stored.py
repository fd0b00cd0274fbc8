"""Read the output of ``harness gate --json`` or ``harness compare --json``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ablations.statistics.comparison.models import ModelsComparison
from ablations.statistics.comparison.sides import Comparison
from ablations.statistics.comparison.stored import read_comparisons
from ablations.statistics.release.gate import Gate, verdict_of
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
        verdict, reasons = verdict_of(gate.benchmarks)
        if gate.verdict != verdict:
            raise ValueError(f"its benchmarks do not say {gate.verdict}")
        return replace(gate, reasons=reasons)  # an older version may have other words for them
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} is not what `harness gate --json` or `harness compare --json` prints "
            f"({type(error).__name__}: {error})"
        ) from error
