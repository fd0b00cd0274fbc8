"""The page of a release gate: decision, each benchmark against its limits, what would decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ablations.statistics.design.needs import needs_text
from ablations.statistics.release.gate import Gate, GatedBenchmark
from ablations.statistics.release.rule import Decision, Status
from ablations.statistics.text.notes import joined
from reports import shared, tables
from reports.pages import Block, Page, Section, Step
from reports.read.runs import try_open
from reports.tables import Column, Table

_TONES: Mapping[Decision, str] = {
    Decision.GO: "gain",
    Decision.NO_GO: "loss",
    Decision.INCONCLUSIVE: "flat",
}


def page(found: Gate, name: str) -> Page:
    """Return the page; differences are candidate - baseline."""
    baseline, candidate = (_models(found, side) for side in ("baseline", "candidate"))
    entries = [entry for side in found.runs.values() for entry in side]
    runs = [run for entry in entries if (run := try_open(Path(entry["folder"])))]
    unread = shared.unread(name, runs, len(runs) == len(entries))
    sections = [
        Section("benchmarks", "Benchmark by benchmark", (_benchmarks(found),)),
        *_deciding(found),
        shared.validity(runs, _left_out(found)),
        shared.provenance(runs, (_runs(found), _rules(found))),
    ]
    return Page(
        "gate",
        name,
        f"Release gate: {candidate} against {baseline} ({found.heading})",
        f"{found.verdict}: {_why(found)}",
        sentence=f"{found.verdict} for {candidate} against {baseline}: "
        f"{'; '.join(found.reasons)} ({found.heading}).",
        steps=(_step(found),),
        warnings=shared.warnings(runs, [*unread, *joined(found.notes)]),
        sections=tuple(sections),
    )


def _models(found: Gate, side: str) -> str:
    return ", ".join(dict.fromkeys(entry["model"] for entry in found.runs.get(side, ()))) or side


def _gated(found: Gate, status: Status) -> list[str]:
    lines = [line for line in found.benchmarks if line.limits.is_gated]
    return [line.benchmark for line in lines if line.status is status]


def _why(found: Gate) -> str:
    if found.verdict is Decision.GO:
        return "no gated benchmark loses more than the policy allows"
    if found.verdict is Decision.NO_GO:
        lost = ", ".join(_gated(found, Status.INFERIOR))
        return f"more is lost than the policy allows on {lost}"
    return f"not enough data on {', '.join(_gated(found, Status.UNDECIDED))}"


def _step(found: Gate) -> Step:
    counts = [(str(status), str(len(_gated(found, status)))) for status in Status]
    advisory = sum(not line.limits.is_gated for line in found.benchmarks)
    numbers = (*counts, *((("advisory, not counted", str(advisory)),) if advisory else ()))
    return Step("May it be released?", numbers, str(found.verdict), _TONES[found.verdict])


def _benchmarks(found: Gate) -> Table:
    lines = found.benchmarks
    columns: tuple[Column, ...] = (
        Column("benchmark", "Benchmark"), Column("tier", "Tier", pick=True),
        Column("status", "Status", pick=True),
        Column("items", "Items", "count", "Items that both sides have a score on"),
        Column("repeats", "Repeats", "count"),
        Column("baseline", "Baseline", "score"), Column("candidate", "Candidate", "score"),
        Column("delta", "Change", "delta", "Candidate - baseline, points"),
        Column("interval", f"{tables.level_of(1 - found.alpha)} interval", "interval"),
        Column("limit", "Limit", "delta", "The change that the policy allows, points"),
    )  # fmt: skip
    if any(line.max_relative_drop is not None for line in lines):
        columns += (
            Column("relative", "Relative", "delta", "Change in percent of the baseline's score"),
            Column("relatives", "Its interval", "interval", "Fieller"),
            Column("relative_limit", "Its limit", "delta", "Percent of the baseline's score"),
        )  # fmt: skip
    columns += (
        Column("p", "p (Holm)", "p", "One-sided, of a limit being exceeded"),
        Column("test", "Test"),
        Column("without", "Without score", "text", "Answers of the baseline, of the candidate"),
    )
    caption = "Each benchmark against its limits; scores in percent, changes in points"
    return Table("gate", caption, columns, list(map(_row, lines)), "benchmarks, {benchmark}")


def _row(line: GatedBenchmark) -> dict[str, Any]:
    limits, drop = line.limits, line.max_relative_drop
    return {
        **asdict(line),
        "tier": limits.tier,
        "status": str(line.status),
        "interval_low": line.low,
        "interval_high": line.high,
        "limit": -limits.sign * limits.max_drop,
        "relatives_low": line.relative_low,
        "relatives_high": line.relative_high,
        "relative_limit": None if drop is None else -limits.sign * drop,
        "without": ", ".join(str(side.without_score) for side in line.missing.values()),
    }


def _deciding(found: Gate) -> tuple[Section, ...]:
    rows = [
        {
            "benchmark": line.benchmark,
            "unchanged": needs_text(line.undecided.if_unchanged, line.items),
            "measured": needs_text(line.undecided.as_measured, line.items),
            "available": line.available,
        }
        for line in found.benchmarks
        if line.undecided is not None
    ]
    if not rows:
        return ()
    columns = (
        Column("benchmark", "Benchmark"),
        Column("unchanged", "If nothing changed", "text", "To show that it is non-inferior"),
        Column("measured", "If the change is as measured", "text",
               "To show on which side of the limit the change is"),
        Column("available", "Items there are", "count"),
    )  # fmt: skip
    caption = f"What is needed for {tables.level_of(found.power)} power, each number alone"
    table = Table("needs", caption, columns, rows, "benchmarks, {benchmark}, undecided")
    return (Section("needs", "What would decide it", (table,)),)


def _left_out(found: Gate) -> tuple[Block, ...]:
    if not found.excluded:
        return ()
    counts = ", ".join(f"{name} {number}" for name, number in found.excluded.items())
    return (f"Items left out (--exclude): {counts}. With them: {found.with_all}.",)


def _runs(found: Gate) -> Table:
    rows = [{"side": side, **entry} for side, runs in found.runs.items() for entry in runs]
    columns = (Column("side", "Side"), Column("model", "Model"), Column("folder", "Run"))
    return Table("gated-runs", "What was judged", columns, rows)


def _rules(found: Gate) -> Table:
    return tables.rules({
        "family-wise error": f"{found.alpha:g}, two-sided, over the gated limits (Holm)",
        "power of what would decide": f"{found.power:g}",
        "scope": found.heading,
    })  # fmt: skip
