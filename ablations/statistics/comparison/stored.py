"""Read the output of ``harness compare --json``."""

from __future__ import annotations

from pathlib import Path

from ablations.statistics.comparison.models import ModelsComparison
from ablations.statistics.comparison.sides import Comparison
from ablations.statistics.stored import current
from harness.errors import UsageError
from harness.files.plain import read_given
from harness.files.typed_json import parse, record


def read_comparison(path: Path) -> Comparison:
    """Read ``harness compare --json`` output for two runs or two sides.

    `UsageError` for any other file.
    """
    found = read_comparisons(path)
    if isinstance(found, Comparison):
        return found
    raise UsageError(f"{path} compares more than two models: compare two of them, or two sides")


def read_comparisons(path: Path) -> Comparison | ModelsComparison:
    """Read ``harness compare --json`` output; `UsageError` for any other file."""
    try:
        document = parse(read_given(path))
        if "contrasts" in document:
            return record(ModelsComparison, document)
        runs = document.pop("runs", [])  # manifests inside have their own key names
        return record(Comparison, {**current(document), "runs": runs})
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(
            f"{path} is not what `harness compare --json` prints ({type(error).__name__}: {error})"
        ) from error
