"""What runs and studies say, as records: the public way to comparisons and analyses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ablations.statistics.comparison import sides
from ablations.statistics.comparison.models import ModelsComparison, models
from ablations.statistics.comparison.sides import Comparison
from ablations.statistics.contrasts import Rules
from ablations.statistics.exclusions import Exclusions, read_exclusions
from ablations.study.study import Report, stored_report
from harness.errors import UsageError

__all__ = ["Comparison", "ModelsComparison", "Report", "analyse", "compare", "compare_models"]
RunPath = str | os.PathLike[str]
"""A run: its folder, or what `harness.read_run` returned."""
MARGIN = 0.009


def rules_for(margin: float) -> Rules:
    """Return the rules of a comparison with this equivalence margin, in units of the score."""
    if not margin > 0:
        raise UsageError(
            f"--margin {100 * margin:g}: must be positive: the largest difference you would ignore"
        )
    return Rules(effect_size=2 * margin, margin=margin)


def _exclusions(file: str | os.PathLike[str] | None) -> Exclusions:
    return read_exclusions(None if file is None else Path(file))


def compare(
    a: RunPath | Sequence[RunPath],
    b: RunPath | Sequence[RunPath],
    *,
    margin: float = MARGIN,
    exclude: str | os.PathLike[str] | None = None,
) -> Comparison:
    """Compare two runs, or two methods with a run per training seed each: B - A.

    Two runs are two fixed checkpoints, compared over items; two sequences of runs are two methods.
    ``margin`` is the equivalence margin in units of the score, ``exclude`` a file of items to leave
    out (`harness pairs check --tainted`). The record is what `harness compare --json` prints.
    Raises `UsageError` if the runs cannot be compared; says why.
    """
    rules = rules_for(margin)
    if isinstance(a, str | os.PathLike) and isinstance(b, str | os.PathLike):
        compared = partial(sides.checkpoints, Path(a), Path(b), rules)
    elif isinstance(a, str | os.PathLike) or isinstance(b, str | os.PathLike):
        raise UsageError("compare one run with one run, or a list of runs with a list of runs")
    else:
        compared = partial(sides.arms, list(map(Path, a)), list(map(Path, b)), rules)
    return sides.excluding(compared, _exclusions(exclude))


def compare_models(
    runs: Sequence[RunPath],
    *,
    baseline: RunPath | None = None,
    margin: float = MARGIN,
    exclude: str | os.PathLike[str] | None = None,
) -> ModelsComparison:
    """Compare any number of fixed checkpoints with one of them, the first by default.

    ``baseline`` is one of the runs, or its model's name; ``exclude`` as of `compare`. Raises
    `UsageError` if the runs cannot be compared, or the baseline is none of them.
    """
    named = None if baseline is None else os.fspath(baseline)
    return models(list(map(Path, runs)), named, rules_for(margin), _exclusions(exclude))


def analyse(study: str | os.PathLike[str]) -> Report:
    """Return what a study says: the record of its ``analysis.json``, which `harness ablate` writes.

    Raises `UsageError` if the folder is not an analysed study, or a file of it is corrupt.
    """
    return stored_report(Path(study))
