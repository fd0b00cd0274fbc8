"""Text output of the commands: the result table and one sample in full."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.cli.trajectories import trajectory_text
from harness.runs.lookup import Found
from harness.runs.store import Verdict
from harness.runs.summary import BenchmarkSummary, notes_of


def percent(value: float | None) -> str:
    """Return a score in [0, 1] as a percentage with one decimal, or "-" for None."""
    return "-" if value is None else f"{100 * value:.1f}"


FEW = 12  # most subscores shown on one line

_COUNTS = ("items", "unparsable", "unscored", "errors", "truncated")
_ABSENT = {
    "empty": "empty responses",
    "reasoning_only": "responses that are all reasoning",
    "filtered": "responses withheld by a content filter",
}


def result_table(rows: Sequence[BenchmarkSummary], run: Path) -> str:
    """Return the result table of a run as text, starting with a warning if there are errors."""
    lines = []
    errors = sum(row.errors for row in rows)
    if errors:
        lines.append(
            f"{errors} responses failed for infrastructure reasons and are excluded from the "
            "scores; rerun the command to retry them."
        )
    judged = any(row.judge is not None and row.judged_rules for row in rows)
    scores = ("strict", "native", "judged") if judged else ("strict", "native")
    header = ("benchmark", *scores, *_COUNTS)
    table = [header, *(_cells(row, judged) for row in rows)]
    known = [row.strict for row in rows if row.strict is not None]
    if len(rows) > 1 and len(known) == len(rows):
        mean = percent(sum(known) / len(known))
        table.append((f"mean of {len(rows)}", mean, *[""] * (len(header) - 2)))
    lines += aligned(table)
    for row in rows:
        lines += _parts(row)
    lines += _footnotes(rows)
    lines.append(f"{', '.join(scores[:-1])} and {scores[-1]} in percent; run folder: {run}")
    return "\n".join(lines)


_CELL = re.compile(r"\d+/\d+")


def _parts(row: BenchmarkSummary) -> list[str]:
    """Return a benchmark's subscores: cells ``4096/50`` as a grid, others on one line if few."""
    grid = [tuple(map(int, name.split("/"))) for name in row.parts if _CELL.fullmatch(name)]
    if grid:
        heads = sorted({across for _, across in grid})
        lines = [f"{row.benchmark}: lengths in tokens, depths in percent"]
        lines.append(" " * 12 + "".join(f"{head:>8}" for head in heads))
        for down in sorted({down for down, _ in grid}):
            cells = (percent(row.parts.get(f"{down}/{head}")) for head in heads)
            lines.append(f"{down:>12}" + "".join(f"{cell:>8}" for cell in cells))
        return lines
    if 1 < len(row.parts) <= FEW:
        parts = ", ".join(f"{name} {percent(value)}" for name, value in row.parts.items())
        return [f"{row.benchmark}: {parts}"]
    return []


def _footnotes(rows: Sequence[BenchmarkSummary]) -> list[str]:
    notes = notes_of((row.benchmark, row.note) for row in rows)
    if any(map(_partly_native, rows)):
        notes.append("* over the responses that native scoring gave a value")
    if any(map(_partly_judged, rows)):
        notes.append("+ over the responses that the judge gave a verdict")
    notes += [
        f"{row.benchmark}: {row.prompts_truncated} of {row.answers} prompts were truncated to "
        "the protocol's limit"
        for row in rows
        if row.prompts_truncated
    ]
    notes += [
        f"{row.benchmark}: {count} {text}"
        for row in rows
        for name, text in _ABSENT.items()
        if (count := getattr(row, name))
    ]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        reasons.setdefault(_why_not_native(row), []).append(row.benchmark)
    notes += [f"{reason}: {', '.join(names)}" for reason, names in reasons.items() if reason]
    return notes


def _why_not_native(row: BenchmarkSummary) -> str:
    """Return why there is no native score; "" if there is one or nothing to score."""
    if row.native is not None or not row.native_rules:
        return ""
    if row.native_needs_judge and row.judge is None:
        return "no native score without a judge (--judge)"
    if row.native_missing:
        return "native scoring is incomplete (rerun the command to finish it)"
    if row.answers > row.errors and not row.native_n:
        return "native scoring returned no value"
    return ""


def _partly_native(row: BenchmarkSummary) -> bool:
    return row.native is not None and row.native_n < row.answers - row.errors


def _partly_judged(row: BenchmarkSummary) -> bool:
    return row.judged is not None and row.judged_n < row.answers - row.errors


def _cells(row: BenchmarkSummary, judged: bool) -> tuple[str, ...]:
    verdicts = [percent(row.native) + ("*" if _partly_native(row) else "")]
    if judged:
        verdicts.append(percent(row.judged) + ("+" if _partly_judged(row) else ""))
    return (
        row.benchmark,
        percent(row.strict),
        *verdicts,
        str(row.n),
        str(row.unparsable),
        str(row.unscored),
        str(row.errors),
        str(row.truncated),
    )


def aligned(table: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    """Return the rows as lines: columns in ``left`` left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def result_json(rows: Sequence[BenchmarkSummary], run: Path, items: bool) -> str:
    """Return the JSON document of ``run`` and ``score``; scores are between 0 and 1."""
    from harness.runs.summary import items_json

    fields = (
        "benchmark",
        "note",
        "n",
        "strict",
        "native",
        "native_n",
        "judged",
        "judged_n",
        "parts",
    )
    counts = ("unparsable", "unscored", "errors", "truncated", "prompts_truncated", *_ABSENT)
    benchmarks: list[dict[str, Any]] = []
    for row in rows:
        entry: dict[str, Any] = {name: getattr(row, name) for name in (*fields, *counts)}
        if items:
            entry["items"] = items_json(run, row)
        benchmarks.append(entry)
    return json.dumps({"benchmarks": benchmarks, "run": str(run)})


def sample_text(found: Found) -> str:
    """Return one sample in full as text."""
    sample = found.sample
    response, score = sample.response, sample.score
    lines = [
        f"{found.benchmark}/{sample.id}  repeat {sample.repeat}  cluster {sample.cluster}",
        *([f"note: {found.note}"] if found.note else []),
        *(f"--- message {number}\n{text}" for number, text in enumerate(sample.prompt, 1)),
    ]
    if response is not None:
        if response.reasoning:
            lines.append(f"--- reasoning\n{response.reasoning}")
        if response.trajectory:
            lines.append(trajectory_text(response.trajectory))
        lines.append(f"--- response\n{response.text}")
        lines.append(
            f"--- {response.completion_tokens} tokens, finish reason {response.finish_reason}, "
            f"{response.seconds:.2f} s"
        )
    lines += [
        f"--- target: {json.dumps(sample.target, ensure_ascii=False)}",
        f"strict {_number(score.value)} ({score.status}, {sample.scoring})",
        f"  prediction: {score.prediction}",
        f"  why: {score.why}",
        *_verdict_lines("native", found.native),
        *_verdict_lines("judged", found.judged),
    ]
    return "\n".join(lines)


def _verdict_lines(kind: str, verdict: Verdict | None) -> list[str]:
    if verdict is None:
        return [f"{kind} -"]
    lines = [f"{kind} {_number(verdict.value)} ({verdict.by})"]
    if verdict.prediction is not None:
        lines.append(f"  prediction: {verdict.prediction}")
    return [*lines, f"  why: {verdict.why}"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
