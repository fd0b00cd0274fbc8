"""The page of a comparison of several models: scores, contrasts with the baseline, flips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from ablations.statistics.comparison.models import ModelContrast, ModelsComparison
from ablations.statistics.contrasts import Rules
from ablations.statistics.text.notes import joined
from ablations.statistics.text.verdict import losses
from reports import shared, tables
from reports.comparison_page import run_of
from reports.pages import Collapsible, Page, Section, Step
from reports.read.runs import Run
from reports.tables import Column, Side, Table


def page(found: ModelsComparison, name: str) -> Page:
    """Return the page; differences are each model's minus the baseline's."""
    runs = {model: run_of(compared) for model, compared in found.runs.items()}
    opened = list(runs.values())
    sections = [
        Section("benchmarks", "Models and benchmarks", (_scores(found), _contrasts(found))),
        Section("details", "Benchmark by benchmark", tuple(_details(found, runs))),
        *_flips(found),
        *shared.needle_section({model: [run] for model, run in runs.items()}),
        shared.validity(opened, shared.left_out(found)),
        shared.provenance(opened, (_rules(found),)),
    ]
    unread = shared.unread(name, opened, all(run.at_hand for run in opened))
    if unread:
        sections.insert(0, Section("moved", "The runs have changed since", (
            "Some runs are no longer in their folders, or were continued: compare them again.",
        )))  # fmt: skip
    return Page(
        "comparison",
        name,
        f"Comparison: {found.heading}",
        _headline(found),
        sentence="; ".join(_sentence(each, found.alpha) for each in found.contrasts) + ".",
        steps=tuple(_step(each, found.alpha) for each in found.contrasts),
        warnings=shared.warnings(opened, [*unread, *joined(found.notes)]),
        sections=tuple(sections),
    )


def _headline(found: ModelsComparison) -> str:
    verdicts = {each.plus: each.macro.verdict for each in found.contrasts}
    better = [plus for plus, verdict in verdicts.items() if verdict and verdict.is_better]
    parts = [f"better than {found.baseline}: {', '.join(better)}"] if better else []
    if found.losing:
        parts.append(f"a loss to {found.baseline}: {', '.join(found.losing)}")
    text = "; ".join(parts) or f"no difference to {found.baseline} is shown"
    return text[:1].upper() + text[1:]


def _sentence(each: ModelContrast, alpha: float) -> str:
    numbers, verdict = tables.difference(each.macro, alpha, " points"), each.macro.verdict
    return f"{each.name}: {numbers}, {verdict or 'no verdict'}{losses(each.benchmarks)}"


def _step(each: ModelContrast, alpha: float) -> Step:
    verdict = each.macro.verdict
    assert verdict is not None
    numbers = ((each.name, tables.difference(each.macro, alpha)),)
    title = f"{each.plus} against {each.minus}"
    return Step(title, numbers, tables.signed(verdict), verdict.tone)


def _scores(found: ModelsComparison) -> Table:
    names = list(dict.fromkeys(row.name for row in found.models))
    columns = [Column("benchmark", "Benchmark")]
    for name in names:
        columns += [Column(name, name, "score"), Column(f"{name}|", "Interval", "bounds")]
    rows: dict[str, dict[str, object]] = {}
    for row in found.models:
        cells = rows.setdefault(row.benchmark, {"benchmark": row.benchmark})
        cells |= {row.name: row.score, f"{row.name}|_low": row.low, f"{row.name}|_high": row.high}
    caption = "Scores with their intervals over items, percent"
    return Table("scores", caption, tuple(columns), list(rows.values()), "models, {benchmark}",
                 foot=len(rows) - 1)  # fmt: skip


def _contrasts(found: ModelsComparison) -> Table:
    columns = (
        Column("name", "Mean difference"), Column("delta", "Δ", "delta"),
        Column("interval", f"{tables.level_of(1 - found.alpha)} interval", "interval"),
        Column("p", "p", "p"), Column("p_holm", "p (Holm)", "p", "Adjusted over the models"),
        Column("mde", "MDE", "width"), Column("verdict", "Verdict", "verdict"),
    )  # fmt: skip
    rows = [
        {**asdict(each.macro), "name": each.name, "p_holm": each.p_holm}
        | {"interval_low": each.macro.low, "interval_high": each.macro.high}
        for each in found.contrasts
    ]
    return Table("contrasts", f"Each model against {found.baseline}, in points", columns, rows,
                 "contrasts, {name}")  # fmt: skip


def _details(found: ModelsComparison, runs: Mapping[str, Run]) -> Sequence[Collapsible]:
    rules = Rules(found.alpha, effect_size=2 * found.margin, margin=found.margin)
    means: dict[str, dict[str, float | None]] = {}
    bounds: dict[str, dict[str, tuple[float | None, float | None]]] = {}
    for row in found.models:
        means.setdefault(row.name, {})[row.benchmark] = row.score
        bounds.setdefault(row.name, {})[row.benchmark] = (row.low, row.high)

    def side(name: str) -> Side:
        invalid = {n: shared.invalid(runs[name], n) for n in means[name]} if name in runs else {}
        return Side(name, 1, means[name], invalid, "items that are compared", bounds[name])

    made = []
    for number, each in enumerate(found.contrasts):
        plus, minus, id_ = side(each.plus), side(each.minus), f"delta-{number}"
        table = tables.benchmarks(id_, each.name, each.benchmarks, plus, minus, rules)
        made.append(Collapsible(each.name, (table,)))
    return made


def _flips(found: ModelsComparison) -> Sequence[Section]:
    rows = [
        {"model": each.plus, "net": count.gained - count.lost, **asdict(count)}
        for each in found.contrasts
        for count in each.flips
    ]
    if not rows:
        return ()
    columns = (
        Column("model", "Model", pick=True), Column("benchmark", "Benchmark", pick=True),
        Column("category", "Category"), Column("items", "Items", "count"),
        Column("gained", "Gained", "count"), Column("lost", "Lost", "count"),
    )  # fmt: skip
    caption = f"Items gained and lost against {found.baseline}, the worst category first"
    table = Table("flips-counts", caption, columns, rows, "samples of {model}, {benchmark}",
                  search=True)  # fmt: skip
    text = "`harness compare BASELINE MODEL` and its page show the items themselves."
    return (Section("flips", "Items gained and lost, by category", (text, table)),)


def _rules(found: ModelsComparison) -> Table:
    return tables.rules({
        "alpha": f"{found.alpha:g}",
        "margin": f"{100 * found.margin:g} points",
        "baseline": found.baseline,
        "adjusted": "Holm, over all models and benchmarks; means over the models",
    })  # fmt: skip
