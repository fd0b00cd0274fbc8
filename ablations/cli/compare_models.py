"""``harness compare`` of more than two runs: models x benchmarks, and each against a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.cli.exclude import exclusion_lines
from ablations.statistics.text.notes import note_lines
from harness.cli.output import json_text, print_result
from harness.cli.tables import aligned, percent
from harness.errors import UsageError

if TYPE_CHECKING:
    from ablations.statistics.comparison.models import ModelContrast, ModelsComparison
    from ablations.statistics.contrasts import Rules

WORST = 10  # categories of flips that are printed per model


def compare_models(runs: Sequence[Path], rules: Rules, given: Mapping[str, Any]) -> int:
    """Compare runs with a baseline and print the result; with ``--gate`` 1 where one loses."""
    from ablations.statistics.comparison.models import models
    from ablations.statistics.comparison.sides import broken, cannot_pass
    from ablations.statistics.exclusions import NOTHING, read_exclusions

    path = given["exclude"]
    exclude = NOTHING if path is None else read_exclusions(path)
    found = models(runs, given["baseline"], rules, exclude)
    if given["gate"] and (gaps := broken(found.gaps, given["max_errors"])):
        raise UsageError(gaps)
    print_result(json_text(found) if given["as_json"] else _text(found))
    if given["gate"] and not found.losing and found.untested:
        raise UsageError(cannot_pass(found.untested))
    return int(given["gate"] and bool(found.losing))


def _text(found: ModelsComparison) -> str:
    lines = [found.heading, "", *aligned(_scores(found)), "", *aligned(_contrasts(found))]
    for contrast in found.contrasts:
        lines += ["", *aligned(_benchmarks(contrast, found.alpha))]
        if contrast.flips:
            lines += ["", *aligned(_flips(contrast))]
    below = (
        f"differences in points; verdicts at alpha {found.alpha:g} after Holm over all models (and "
        f"benchmarks), margin {100 * found.margin:g} points"
    )
    notes = note_lines(found.notes)
    excluded = exclusion_lines(found.excluded, found.with_all)
    return "\n".join([*lines, "", below, *excluded, *notes])


def _scores(found: ModelsComparison) -> list[tuple[str, ...]]:
    from ablations.statistics.text.formatting import score_interval

    names = list(dict.fromkeys(row.name for row in found.models))
    cells: dict[str, list[str]] = {}
    for row in found.models:
        text = f"{percent(row.score)} {score_interval(row.low, row.high)}"
        cells.setdefault(row.benchmark, []).append(text)
    if len(cells) == 2:  # the mean of one benchmark is that benchmark
        cells.popitem()
    return [("score (%)", *names), *((name, *texts) for name, texts in cells.items())]


_CELLS = ("delta", "95 % interval", "p", "p (Holm)", "MDE", "verdict")


def _contrasts(found: ModelsComparison) -> list[tuple[str, ...]]:
    from ablations.statistics.text.formatting import cells, p_value

    rows = [
        (each.name, *cells(each.macro, p_value(each.p_holm), found.alpha))
        for each in found.contrasts
    ]
    return [("mean difference", *_CELLS), *rows]


def _benchmarks(contrast: ModelContrast, alpha: float) -> list[tuple[str, ...]]:
    from ablations.statistics.text.formatting import cells, p_value

    rows = [
        (line.benchmark, str(line.items), *cells(line, p_value(line.p_holm), alpha))
        for line in contrast.benchmarks
    ]
    return [(contrast.name, "items", *_CELLS), *rows]


def _flips(contrast: ModelContrast) -> list[tuple[str, ...]]:
    header = (f"{contrast.plus}: items that flip, worst first", "items", "gained", "lost")
    rows = [
        (f"{row.benchmark}: {row.category}", str(row.items), str(row.gained), str(row.lost))
        for row in islice(contrast.flips, WORST)
    ]
    return [header, *rows]
