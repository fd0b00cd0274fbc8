"""The page of a comparison: of two runs, or of a saved `compare --json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ablations.statistics.comparison.sides import ComparedRun, Comparison, SideScore
from ablations.statistics.contrasts import Rules
from ablations.statistics.estimates import Verdict
from ablations.statistics.lines import BenchmarkLine
from ablations.statistics.text.formatting import p_value
from ablations.statistics.text.notes import joined
from ablations.statistics.text.verdict import losses
from harness.files.text import counted
from harness.runs.summary import macro_average
from reports import figures, shared, tables
from reports.pages import Page, Section, Step
from reports.read.flips import flips
from reports.read.runs import Run, try_open
from reports.study_page import Pictures, flips_section, unnamed
from reports.tables import Side, Table


def page(comparison: Comparison, pictures: Pictures, name: str) -> Page:
    """Return the page of a comparison, B - A; ``pictures`` gives thumbnails of the flips shown."""
    sides = runs_of(comparison)
    names = [
        side + (f" ({runs[0].manifest['model']['name']})" if runs else "")
        for side, runs in zip("AB", sides, strict=True)
    ]
    title = f"{names[1]} - {names[0]}"
    runs = [*sides[0], *sides[1]]
    unread = shared.unread(name, runs, all(run.at_hand for run in runs))
    sections = [_benchmarks(comparison, sides, names)]
    if not unread and not unnamed(comparison):
        a, b = zip(names, sides, strict=True)
        compared = [line.benchmark for line in comparison.benchmarks]
        changed = flips(a, b, compared, comparison.left_out)
        sections.append(flips_section(changed, pictures(changed)))
    elif runs:
        sections.append(Section("flips", "Items gained and lost", (
            "The runs are no longer in their folders, were continued since, or were compared by an "
            "older version: compare them again for the items gained and lost.",
        )))  # fmt: skip
    if runs:
        sections += shared.needle_section(dict(zip(names, sides, strict=True)))
        sections.append(shared.validity(runs, shared.left_out(comparison)))
        sections.append(shared.provenance(runs, (_rules(comparison),)))
    else:
        sections.append(Section("provenance", "Provenance", (
            f"Read from {name}, which an older version wrote and which names no runs: compare them "
            "again for items gained and lost, validity and provenance.", _rules(comparison),
        )))  # fmt: skip
    return Page(
        "comparison",
        name,
        f"Comparison: {comparison.heading}",
        _headline(comparison, *names),
        sentence=_sentence(comparison, title),
        steps=_steps(comparison, title),
        warnings=shared.warnings(runs, [*unread, *joined(comparison.notes)]),
        sections=tuple(sections),
    )


def runs_of(comparison: Comparison) -> tuple[Sequence[Run], Sequence[Run]]:
    """Return the runs of A and of B as stored in the comparison; none in an older document."""
    a, b = comparison.runs or ((), ())
    return [run_of(compared) for compared in a], [run_of(compared) for compared in b]


def run_of(compared: ComparedRun) -> Run:
    """Return a run as stored in the comparison, opened if it is unchanged."""
    folder = Path(compared.folder)
    rows = {row.benchmark: row for row in compared.benchmarks}
    found = try_open(folder)
    if found is not None and found.manifest == compared.manifest:
        strict, now = ({name: row.strict for name, row in of.items()} for of in (rows, found.rows))
        if strict == now:
            return found
    return Run(folder.name, folder, compared.manifest, rows, stale=(), at_hand=False)


def _headline(comparison: Comparison, a: str, b: str) -> str:
    verdict = comparison.macro.verdict
    if verdict is None:
        return "Estimates only: one training seed per side supports no claim about the methods"
    if verdict is Verdict.INCONCLUSIVE:
        return f"No difference between {a} and {b} is shown{losses(comparison.benchmarks)}"
    if verdict is Verdict.EQUIVALENT:
        within = f"{100 * comparison.margin:g} points{losses(comparison.benchmarks)}"
        return f"{b} and {a} are equivalent within {within}"
    than = "compared with" if verdict.within_margin else "than"
    return f"{b} is {verdict} {than} {a}{losses(comparison.benchmarks) * verdict.is_better}"


def _sentence(comparison: Comparison, title: str) -> str:
    macro = comparison.macro
    test = f" ({macro.test})" if macro.test else ""
    p = "" if macro.p is None else f", p {p_value(macro.p)}"
    numbers, verdict = tables.difference(macro, comparison.alpha, " points"), macro.verdict
    said = f"{title}: {numbers}{test}{p}, {verdict or 'no verdict'}"
    return f"{said} ({comparison.heading})."


def _steps(comparison: Comparison, title: str) -> tuple[Step, ...]:
    macro = comparison.macro
    verdict = macro.verdict or Verdict.NOT_TESTED
    averaged = macro.averaged or len(comparison.benchmarks)  # missing in older documents
    numbers = [(f"mean of {averaged}: {title}", tables.difference(macro, comparison.alpha))]
    if macro.mde is not None:
        smallest = f"detectable with {tables.level_of(Rules().power)} power"
        numbers.append((smallest, tables.cell(macro.mde, "width")))
    return (Step("On average", tuple(numbers), tables.signed(verdict), verdict.tone),)


def _benchmarks(
    comparison: Comparison, sides: tuple[Sequence[Run], Sequence[Run]], names: Sequence[str]
) -> Section:
    lines, margin, title = comparison.benchmarks, comparison.margin, f"{names[1]} - {names[0]}"
    spread = comparison.spread or (None, None)
    minus, plus = (
        _side(name, runs, lines, seeds.seeds if seeds else None)
        for name, runs, seeds in zip(names, sides, spread, strict=True)
    )
    if rows := comparison.scores:
        minus = _on_shared_items(minus, [row for row in rows if row.side == "A"])
        plus = _on_shared_items(plus, [row for row in rows if row.side == "B"])
    figure = figures.by_benchmark("benchmarks-figure", title, lines, margin)
    rules = Rules(comparison.alpha, effect_size=2 * margin, margin=margin)
    table = tables.benchmarks("delta-0", title, lines, plus, minus, rules)
    return Section("benchmarks", "Benchmark by benchmark", (figure, table))


def _on_shared_items(side: Side, rows: Sequence[SideScore]) -> Side:
    return replace(
        side,
        means={row.benchmark: row.score for row in rows},
        bounds={row.benchmark: (row.low, row.high) for row in rows},
        over="seeds, on the items that are compared",
    )


def _side(
    name: str, runs: Sequence[Run], lines: Sequence[BenchmarkLine], seeds: int | None
) -> Side:
    """Return one side from its runs' summaries, if there are runs; else its seeds, if known."""
    names = [line.benchmark for line in lines]
    means = {n: macro_average(run.rows[n] for run in runs if n in run.rows) for n in names}
    counts = {n: sum(shared.invalid(run, n) for run in runs) for n in names if runs}
    over = "runs, each over all of its items with a score"
    return Side(name, len(runs) or seeds, means, counts, over)


def _rules(comparison: Comparison) -> Table:
    rules = {
        "alpha": f"{comparison.alpha:g}",
        "margin": f"{100 * comparison.margin:g} points",
        "tests": ", ".join(sorted({line.test for line in comparison.benchmarks})),
    }
    if comparison.pooled is not None:
        rules["mean, one variance for both sides"] = tables.interval(*comparison.pooled)
    if comparison.bootstrap is not None:
        bounds = tables.interval(*comparison.bootstrap)
        text = f"{bounds}; {comparison.bootstrap_errors}"
        rules["mean, items resampled (hierarchical bootstrap)"] = text
    for side, spread in zip("AB", comparison.spread or (), strict=False):
        rules[f"side {side}"] = (
            f"{counted(spread.seeds, 'seed')}; sd of a seed's mean "
            f"{100 * spread.training_sd:.2f} points from "
            f"training, {100 * spread.decoding_sd:.2f} from items"
        )
    return tables.rules(rules)
