"""Read the output of ``harness compare --json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ablations.statistics.agreement import check_holm, check_line, close
from ablations.statistics.comparison import sides
from ablations.statistics.comparison.models import ModelsComparison, heading_of
from ablations.statistics.comparison.sides import ComparedRun, Comparison
from ablations.statistics.contrasts import Rules
from ablations.statistics.lines import MEAN, BenchmarkLine, Macro
from ablations.statistics.stored import current
from harness.errors import UsageError
from harness.files.plain import read_given
from harness.files.typed_json import parse, record


def read_comparison(path: Path) -> Comparison:
    """Read ``harness compare --json`` of two runs or two sides; else `UsageError`."""
    found = read_comparisons(path)
    if isinstance(found, Comparison):
        return found
    raise UsageError(f"{path} compares more than two models: compare two of them, or two sides")


def read_comparisons(path: Path) -> Comparison | ModelsComparison:
    """Read ``harness compare --json`` output; `UsageError` for any other, or if numbers disagree.

    A saved comparison does not hold its items, so its numbers are checked against each other only.
    """
    try:
        document = parse(read_given(path))
        if "contrasts" in document:
            models = record(ModelsComparison, document)
            _check_models(models)
            return replace(models, heading=heading_of(len(models.contrasts) + 1))
        runs = document.pop("runs", [])  # manifests inside have their own key names
        comparison = record(Comparison, {**current(document), "runs": runs})
        _check_sides(comparison)
        return replace(comparison, heading=sides.heading_of(comparison))
    except (OSError, ValueError, AttributeError, TypeError, LookupError) as error:
        raise UsageError(
            f"{path} is not what `harness compare --json` prints ({type(error).__name__}: {error})"
        ) from error


def _check_sides(found: Comparison) -> None:
    rules = Rules(found.alpha, effect_size=2 * found.margin, margin=found.margin)
    check_holm("the benchmarks", ((line.p, line.p_holm) for line in found.benchmarks))
    _check_lines("B - A", found.macro, found.macro.p, found.benchmarks, rules)
    _check_seeds(found)
    scores = {(row.side, row.benchmark): row.score for row in found.scores}
    a, b = ({of: y for (side, of), y in scores.items() if side == each} for each in "AB")
    _check_scores("B - A", found.macro, found.benchmarks, b, a)
    for side, runs in zip((a, b), found.runs, strict=False):
        for line in found.benchmarks:
            _check_runs(line, side.get(line.benchmark), runs)


def _check_seeds(found: Comparison) -> None:
    seeds = [len(runs) for runs in found.runs]
    if found.spread is not None:
        if seeds and seeds != [side.seeds for side in found.spread]:
            raise ValueError("it has another number of runs than of seeds")
    elif found.kind == "arms" and found.macro.verdict is not None:
        raise ValueError("one seed of a method has no verdict")
    elif found.kind == "checkpoints" and seeds not in ([], [1, 1]):
        raise ValueError("checkpoints are compared by one run each")


def _check_models(found: ModelsComparison) -> None:
    rules = Rules(found.alpha, effect_size=2 * found.margin, margin=found.margin)
    lines = [line for each in found.contrasts for line in each.benchmarks]
    check_holm("the benchmarks", ((line.p, line.p_holm) for line in lines))
    if len(lines) > len(found.contrasts):
        check_holm("the means", ((each.macro.p, each.p_holm) for each in found.contrasts))
    scores: dict[str, dict[str, float]] = {}
    for row in found.models:
        scores.setdefault(row.name, {})[row.benchmark] = row.score
    for each in found.contrasts:
        _check_lines(each.name, each.macro, each.p_holm, each.benchmarks, rules)
        plus, minus = (scores.get(name, {}) for name in (each.plus, each.minus))
        _check_scores(each.name, each.macro, each.benchmarks, plus, minus)
    for line in lines:
        for name, run in found.runs.items():
            _check_runs(line, scores.get(name, {}).get(line.benchmark), [run])


def _check_lines(
    name: str, macro: Macro, p: float | None, lines: Sequence[BenchmarkLine], rules: Rules
) -> None:
    if not lines:
        raise ValueError(f"{name} is of no benchmark")
    for line in lines:
        check_line(f"{name} on {line.benchmark}", line, line.p_holm, rules, line.items)
    check_line(name, macro, p, rules, lines[0].items if len(lines) == 1 else 0)
    # A benchmark without a standard error over items is not in the mean, and has no MDE.
    whole = macro.averaged == len(lines)
    deltas = [line.delta for line in lines if whole or line.mde is not None]
    counts = len(deltas) == (macro.averaged or len(lines))
    if counts and not close(macro.delta, float(np.mean(deltas))):
        raise ValueError(f"the mean of {name} is not that of its benchmarks")


def _check_scores(
    name: str,
    macro: Macro,
    lines: Sequence[BenchmarkLine],
    plus: Mapping[str, float],
    minus: Mapping[str, float],
) -> None:
    """Check that differences are those of the scores, where a document has scores."""
    deltas = {line.benchmark: line.delta for line in lines}
    if macro.averaged == len(lines):
        deltas[MEAN] = macro.delta
    for benchmark in deltas.keys() & plus.keys() & minus.keys():
        if not close(deltas[benchmark], plus[benchmark] - minus[benchmark]):
            raise ValueError(f"{name} on {benchmark} is not the difference of the scores")


def _check_runs(line: BenchmarkLine, score: float | None, runs: Sequence[ComparedRun]) -> None:
    """Check that a score is the mean of its runs' summaries, where these are of the same items."""
    rows = [row for run in runs for row in run.benchmarks if row.benchmark == line.benchmark]
    strict = [row.strict for row in rows if row.strict is not None]
    if score is None or len(strict) < len(runs) or not strict:
        return
    if any(row.n != line.items or row.errors or row.unscored for row in rows):
        return  # items without a score in one run are left out of all
    if not close(score, float(np.mean(strict))):
        raise ValueError(f"a score on {line.benchmark} is not that of its runs")
