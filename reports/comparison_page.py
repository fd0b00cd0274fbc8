"""A comparison as a page: of two runs, or what `compare --json` printed."""

from __future__ import annotations

from collections.abc import Sequence
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

Sides = tuple[Sequence[Run], Sequence[Run]]


def load(path: Path) -> Comparison:
    """Read what ``harness compare --json`` printed; `UsageError` if the file is something else."""
    try:
        return record(Comparison, current(parse(path.read_bytes())))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} is not what `harness compare --json` prints ({type(error).__name__}: {error})"
        ) from error


def page(comparison: Comparison, sides: Sides, pictures: Pictures, name: str) -> Page:
    """Return the page of a comparison; differences are B - A.

    ``sides`` are the runs of A and of B, empty for a saved comparison.
    """
    runs = [*sides[0], *sides[1]]
    names = [
        side + (f" ({of[0].manifest['model']['name']})" if of else "")
        for side, of in zip("AB", sides, strict=True)
    ]
    a, b = zip(names, sides, strict=True)
    title = f"{names[1]} - {names[0]}"
    sections = [_benchmarks(comparison, a, b, title)]
    if runs:
        changed = flips(a, b, [line.benchmark for line in comparison.benchmarks])
        sections.append(flips_section(changed, pictures(changed)))
        sections += shared.needle_section(dict([a, b]))
        sections += [shared.validity(runs), shared.provenance(runs, (_rules(comparison),))]
    else:
        text = (
            f"Read from {name}, which names no runs: give `harness report` the runs themselves for "
            "items gained and lost, validity and provenance."
        )
        sections.append(Section("provenance", "Provenance", (text, _rules(comparison))))
    return Page(
        "comparison",
        name,
        f"Comparison: {comparison.heading}",
        _headline(comparison, *names),
        sentence=_sentence(comparison, title),
        steps=_steps(comparison, title),
        warnings=shared.warnings(runs, shared.joined(comparison.notes)),
        sections=tuple(sections),
    )


def _headline(comparison: Comparison, a: str, b: str) -> str:
    verdict = comparison.macro.verdict
    if verdict is None:
        return "Estimates only: one training seed per side supports no claim about the methods"
    if verdict is Verdict.INCONCLUSIVE:
        return f"No difference between {a} and {b} is shown"
    if verdict is Verdict.EQUIVALENT:
        return f"{b} and {a} are equivalent within {100 * comparison.margin:g} points"
    return f"{b} is {verdict} {'compared with' if verdict.within_margin else 'than'} {a}"


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
    a: tuple[str, Sequence[Run]],
    b: tuple[str, Sequence[Run]],
    title: str,
) -> Section:
    lines, margin = comparison.benchmarks, comparison.margin
    figure = figures.by_benchmark("benchmarks-figure", title, lines, margin)
    rules = Rules(comparison.alpha, effect_size=2 * margin, margin=margin)
    table = tables.benchmarks("delta-0", title, lines, _side(*b, lines), _side(*a, lines), rules)
    return Section("benchmarks", "Benchmark by benchmark", (figure, table))


def _side(name: str, runs: Sequence[Run], lines: Sequence[BenchmarkLine]) -> Side:
    means: dict[str, float | None] = {}
    for benchmark in (line.benchmark for line in lines):
        strict = [run.rows[benchmark].strict for run in runs if benchmark in run.rows]
        known = [score for score in strict if score is not None]
        means[benchmark] = fmean(known) if known else None
    counts = {name: sum(shared.invalid(run, name) for run in runs) for name in means}
    # The difference is over the items that all runs have a score of.
    return Side(name, len(runs), means, counts, "runs, each over all of its items with a score")


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
