"""The page of a single run: scores, a sample of items, validity and provenance."""

from __future__ import annotations

from dataclasses import asdict

from ablations.statistics.intervals import LEVEL, ScoreInterval, run_intervals
from ablations.statistics.lines import MEAN
from benchmarks.suites import SUITES
from harness.errors import UsageError
from harness.files.text import abridged, counted
from harness.runs.summary import macro_average
from reports import shared
from reports.pages import Block, Page, Section, Step
from reports.read.flips import target
from reports.read.runs import Run, answers, line_at
from reports.tables import Column, Table, cell, level_of

ITEMS = 600  # rows on the page, over all benchmarks
LONGEST = 160  # characters of a text in a row


def page(run: Run) -> Page:
    """Return the page of a run; `UsageError` if it has no scores."""
    average = macro_average(run.rows.values())
    if average is None:
        raise UsageError(f"{run.path} has no scores yet: run its `harness run` to the end")
    name = run.manifest["model"]["name"]
    scored = sum(row.strict is not None for row in run.rows.values())
    headline = f"{name} scores {cell(average, 'score')} on {_covered(run, scored)}"
    count = f"the plain mean of {scored} benchmarks" if scored > 1 else "one benchmark"
    said = counted(sum(row.n for row in run.rows.values()), "item", ",")
    sections: list[Section] = [Section("scores-section", "Scores", _scores(run, average))]
    sections += shared.needle_section({name: [run]})
    sections += [_items(run), shared.validity([run]), shared.provenance([run])]
    return Page(
        "run",
        run.path.name,
        f"Run of {name}",
        headline,
        sentence=f"{headline} ({count}, {said}, strict scoring).",
        steps=(Step("Strict score", ((count, said),), cell(average, "score"), "flat"),),
        warnings=shared.warnings([run], _partial(run)),
        sections=tuple(sections),
    )


def _partial(run: Run) -> tuple[str, ...]:
    """Return the benchmarks that were run on part of their data, according to the samples."""
    wholes = {name: run.manifest["benchmarks"].get(name, {}).get("n") for name in run.rows}
    parts = [
        f"{name} ({row.n:,} of {wholes[name]:,} items)"
        for name, row in run.rows.items()
        if wholes[name] is not None and row.n < wholes[name]
    ]
    return (f"Not the whole data set: {', '.join(parts)}.",) if parts else ()


def _covered(run: Run, scored: int) -> str:
    """Return the suite, or how many of its benchmarks have a score if not all have."""
    suite = str(run.manifest["suite"])
    members = len(SUITES.get(suite, ()))
    return suite if scored >= members else f"{scored} of the {members} benchmarks of {suite}"


def _scores(run: Run, average: float) -> tuple[Block, ...]:
    columns = (
        Column("benchmark", "Benchmark"),
        Column("n", "Items", "count"),
        Column("strict", "Strict", "score", "Our scorer: the headline"),
        Column("strict_interval", f"{level_of(LEVEL)} interval", "bounds",
               "Of the strict score, over items by cluster"),
        Column("native", "Native", "score", "The wrapped library's own scoring"),
        Column("judged", "Judged", "score", "By the official protocol's judge"),
        Column("invalid", "Invalid", "count", "Unparsable, unscored or failed"),
    )  # fmt: skip
    intervals = run_intervals(run.path)
    rows = [
        {**asdict(row), "folder": run.path.name, "invalid": shared.invalid(run, row.benchmark)}
        | _ends(intervals.get(row.benchmark))
        for row in run.rows.values()
    ]
    mean = {"benchmark": "average", "folder": run.path.name, "strict": average}
    rows.append(mean | _ends(intervals.get(MEAN)))
    table = Table("scores", "Scores, in percent", columns, rows, "{folder}/summary.json",
                  foot=len(rows) - 1)  # fmt: skip
    parts = shared.parts_table({"strict": run})
    return (table,) if parts is None else (table, parts)


def _ends(interval: ScoreInterval | None) -> dict[str, float | None]:
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    return {"strict_interval_low": low, "strict_interval_high": high}


def _items(run: Run) -> Section:
    columns = (
        Column("benchmark", "Benchmark", pick=True), Column("id", "Item"),
        Column("value", "Score", "number"), Column("status", "Status", pick=True),
        Column("prediction", "Prediction"), Column("target", "Target"), Column("answer", "Answer"),
    )  # fmt: skip
    each = max(1, ITEMS // max(len(run.rows), 1))
    rows, total = [], 0
    for name in run.rows:
        # Lowest scores first, as readers look for failures; then in the data's order.
        found = answers(run.path, name)
        found.sort(key=lambda answer: -1.0 if answer.value is None else answer.value)
        total += len(found)
        rows += [_item(run, name, answer.offset) for answer in found[:each]]
    text = (
        f"Shown are {len(rows):,} of {total:,} answers, at most {each} per benchmark, the "
        "wrong ones first. `harness show RUN BENCHMARK/ITEM` shows any item in full."
    )
    source = "{folder}/samples/{benchmark}.jsonl"
    table = Table("items", "Answers", columns, rows, source, search=True)
    return Section("items-section", "Items", (text, table))


def _item(run: Run, name: str, offset: int) -> dict[str, object]:
    row = line_at(run.path, name, offset)
    response, score = row["response"] or {}, row["score"]
    return {
        "folder": run.path.name,
        "benchmark": name,
        "id": row["id"],
        "value": score["value"],
        "status": score["status"],
        "prediction": _short(score["prediction"]),
        "target": _short(target(row["target"])),
        "answer": _short(response.get("text")),
    }


def _short(text: str | None) -> str | None:
    return None if text is None else abridged(text, LONGEST).replace("\n", " ")
