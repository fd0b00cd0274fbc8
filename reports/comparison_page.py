"""A comparison as a page: of two runs, or what `compare --json` printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from ablations.statistics.calibration import bootstrap_errors
from ablations.statistics.compare import Comparison
from ablations.statistics.contrasts import Rules
from ablations.statistics.estimates import Verdict
from ablations.statistics.formatting import p_value
from ablations.statistics.lines import BenchmarkLine
from ablations.statistics.stored import current
from harness.errors import UsageError
from harness.files.typed_json import parse, record
from reports import figures, shared, tables
from reports.pages import Page, Section, Step
from reports.read.flips import flips
from reports.read.runs import Run
from reports.study_page import Pictures, flips_section
from reports.tables import Column, Side, Table


def load(path: Path) -> Comparison:
    """Read what ``harness compare --json`` printed; `UsageError` if the file is something else."""
    try:
        return record(Comparison, current(parse(path.read_bytes())))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} is not what `harness compare --json` prints ({type(error).__name__}: {error})"
        ) from error


def page(
    comparison: Comparison,
    sides: tuple[Sequence[Run], Sequence[Run]] | None,
    pictures: Pictures,
    name: str,
) -> Page:
    """Return the page of a comparison; differences are B - A.

    ``sides`` are the runs of A and of B, None for a saved comparison.
    """
    names = _names(sides)
    title = f"{names[1]} - {names[0]}"
    runs = [run for side in sides or () for run in side]
    sections = [_benchmarks(comparison, sides, names, title)]
    if sides is not None:
        moved = flips(
            (names[0], sides[0]), (names[1], sides[1]), [b.benchmark for b in comparison.benchmarks]
        )
        sections.append(flips_section(moved, pictures(moved)))
        sections += shared.needle_section({names[0]: sides[0], names[1]: sides[1]})
        sections += [shared.validity(runs), shared.provenance(runs, (_rules(comparison),))]
    else:
        sections.append(Section("provenance", "Provenance", (
            f"Read from {name}, which names no runs: give `harness report` the runs themselves for "
            "items gained and lost, validity and provenance.", _rules(comparison),
        )))  # fmt: skip
    return Page(
        "comparison",
        name,
        f"Comparison: {comparison.heading}",
        _headline(comparison, names),
        sentence=_sentence(comparison, title),
        steps=_steps(comparison, title),
        warnings=shared.warnings(runs, shared.joined(comparison.notes)),
        sections=tuple(sections),
    )


def _names(sides: tuple[Sequence[Run], Sequence[Run]] | None) -> tuple[str, str]:
    if sides is None:
        return "A", "B"
    a, b = (side[0].manifest["model"]["name"] for side in sides)
    return (f"A ({a})", f"B ({b})")


def _headline(comparison: Comparison, names: tuple[str, str]) -> str:
    verdict = comparison.macro.verdict
    if verdict is None:
        return "Estimates only: one training seed per side supports no claim about the methods"
    if verdict is Verdict.INCONCLUSIVE:
        return f"No difference between {names[0]} and {names[1]} is shown"
    if verdict is Verdict.EQUIVALENT:
        return f"{names[1]} and {names[0]} are equivalent within {100 * comparison.margin:g} points"
    return (
        f"{names[1]} is {verdict} {'compared with' if verdict.within_margin else 'than'} {names[0]}"
    )


def _sentence(comparison: Comparison, title: str) -> str:
    macro = comparison.macro
    p = "" if macro.p is None else f", p {p_value(macro.p)}"
    return (
        f"{title}: {tables.points(macro.delta)} points "
        f"{tables.interval(macro.low, macro.high)}{p}, {macro.verdict or 'no verdict'} "
        f"({comparison.heading})."
    )


def _steps(comparison: Comparison, title: str) -> tuple[Step, ...]:
    macro = comparison.macro
    verdict = macro.verdict or Verdict.NOT_TESTED
    difference = f"{tables.points(macro.delta)} {tables.interval(macro.low, macro.high)}"
    numbers = [(f"mean of {len(comparison.benchmarks)}: {title}", difference)]
    if macro.mde is not None:
        smallest = f"detectable with {tables.level_of(Rules().power)} power"
        numbers.append((smallest, tables.cell(macro.mde, "width")))
    return (Step("On average", tuple(numbers), tables.signed(verdict), verdict.tone),)


def _benchmarks(
    comparison: Comparison,
    sides: tuple[Sequence[Run], Sequence[Run]] | None,
    names: tuple[str, str],
    title: str,
) -> Section:
    lines = comparison.benchmarks
    minus, plus = (_side(names[number], sides[number] if sides else (), lines) for number in (0, 1))
    figure = figures.by_benchmark("benchmarks-figure", title, lines, comparison.margin)
    rules = Rules(comparison.alpha, effect_size=2 * comparison.margin, margin=comparison.margin)
    table = tables.benchmarks("delta-0", title, lines, plus, minus, rules)
    return Section("benchmarks", "Benchmark by benchmark", (figure, table))


def _side(name: str, runs: Sequence[Run], lines: Sequence[BenchmarkLine]) -> Side:
    means: Mapping[str, float | None] = {
        line.benchmark: _mean([run.rows[line.benchmark].strict for run in runs
                               if line.benchmark in run.rows])
        for line in lines
    }  # fmt: skip
    counts = {
        line.benchmark: sum(shared.invalid(run, line.benchmark) for run in runs) for line in lines
    }
    # The difference is over the items that all runs have a score of.
    return Side(name, len(runs), means, counts, "runs, each over all of its items with a score")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _rules(comparison: Comparison) -> Table:
    rules = {
        "alpha": f"{comparison.alpha:g}",
        "margin": f"{100 * comparison.margin:g} points",
        "tests": ", ".join(sorted({line.test for line in comparison.benchmarks})),
    }
    if comparison.pooled is not None:
        rules["mean, one variance for both sides"] = tables.interval(*comparison.pooled)
    if comparison.bootstrap is not None and comparison.spread is not None:
        errors = bootstrap_errors(spread.seeds for spread in comparison.spread)
        bounds = tables.interval(*comparison.bootstrap)
        rules["mean, items resampled (hierarchical bootstrap)"] = f"{bounds}; {errors}"
    for side, spread in zip("AB", comparison.spread or (), strict=False):
        rules[f"side {side}"] = (
            f"{spread.seeds} seeds; sd of a seed's mean {100 * spread.training_sd:.2f} points from "
            f"training, {100 * spread.decoding_sd:.2f} from items"
        )
    columns = (Column("what", "Rule"), Column("value", "Value"))
    rows = [{"what": what, "value": value} for what, value in rules.items()]
    return Table("rules", "How it was judged", columns, rows)
