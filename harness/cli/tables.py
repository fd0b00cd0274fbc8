"""Text output of the commands: the result table, and one sample with its episode in full."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.files.text import abridged, counted
from harness.records import Response
from harness.runs import sources
from harness.runs.lookup import ShownAnswer
from harness.runs.store import SecondaryScore, read_manifest
from harness.runs.summary import (
    BenchmarkSummary,
    flags_of,
    items_json,
    macro_average,
    notes_of,
    sources_of,
)


def percent(value: float | None) -> str:
    """Return a score in [0, 1] as a percentage with one decimal, or "-" for None."""
    return "-" if value is None else f"{100 * value:.1f}"


FEW = 12  # most subscores shown on one line
MOST = 2000  # characters shown per thought or output of an episode; `--json` has everything

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
            f"{counted(errors, 'response')} failed for infrastructure reasons and "
            f"{'is' if errors == 1 else 'are'} excluded from the scores; rerun the command to "
            f"retry {'it' if errors == 1 else 'them'}."
        )
    judged = any(row.judge is not None and row.judged_rules for row in rows)
    scores = ("strict", "native", "judged") if judged else ("strict", "native")
    header = ("benchmark", *scores, *_COUNTS, "stderr")
    table = [header, *(_cells(row, judged) for row in rows)]
    if len(rows) > 1 and all(row.strict is not None for row in rows):
        mean = percent(macro_average(rows))
        table.append((f"mean of {len(rows)}", mean, *[""] * (len(header) - 2)))
    lines += aligned(table)
    for row in rows:
        lines += _parts(row)
    lines += _footnotes(rows)
    manifest = read_manifest(run)
    lines += [
        f"{row.benchmark}: {row.n} of {total} items"
        for row in rows
        if row.n < (total := _in_data(manifest, row))
    ]
    lines += sources.described(manifest, sources_of(rows))
    listed = ", ".join(scores[:-1])
    lines.append(
        f"{listed} and {scores[-1]} in percent; stderr: standard error of strict over items; "
        f"run folder: {run}"
    )
    return "\n".join(lines)


def _in_data(manifest: Mapping[str, Any], row: BenchmarkSummary) -> int:
    """Return how many items a benchmark's data has, those of the run where that is not known."""
    return manifest["benchmarks"].get(row.benchmark, {}).get("n") or row.n


_CELL = re.compile(r"\d{1,9}/\d{1,9}")


def _parts(row: BenchmarkSummary) -> list[str]:
    """Return a benchmark's subscores: cells ``4096/50`` as a grid, others on one line if few."""
    grid = [tuple(map(int, name.split("/"))) for name in row.parts if _CELL.fullmatch(name)]
    if grid:
        depths = sorted({depth for _, depth in grid})
        lines = [f"{row.benchmark}: lengths in tokens, depths in percent"]
        lines.append(" " * 12 + "".join(f"{depth:>8}" for depth in depths))
        for length in sorted({length for length, _ in grid}):
            cells = (percent(row.parts.get(f"{length}/{depth}")) for depth in depths)
            lines.append(f"{length:>12}" + "".join(f"{cell:>8}" for cell in cells))
        return lines
    if 1 < len(row.parts) <= FEW:
        parts = ", ".join(f"{name} {percent(value)}" for name, value in row.parts.items())
        return [f"{row.benchmark}: {parts}"]
    return []


def _footnotes(rows: Sequence[BenchmarkSummary]) -> list[str]:
    notes = notes_of((row.benchmark, row.note) for row in rows)
    if any(_is_partial(row, row.native, row.native_n) for row in rows):
        notes.append("* over the responses that native scoring gave a value")
    if any(_is_partial(row, row.judged, row.judged_n) for row in rows):
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
    notes += flags_of(rows)
    notes += [
        f"{row.benchmark}: {counted(row.native_missing, 'response')} "
        f"{'has' if row.native_missing == 1 else 'have'} no native score yet (rerun the command to "
        "score them)"
        for row in rows
        if row.native is not None and row.native_missing
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
        return "native scoring is incomplete (rerun without --no-native to finish it)"
    if row.answers > row.errors and not row.native_n:
        return "native scoring returned no value"
    return ""


def _is_partial(row: BenchmarkSummary, score: float | None, n: int) -> bool:
    return score is not None and n < row.answers - row.errors


def _cells(row: BenchmarkSummary, judged: bool) -> tuple[str, ...]:
    native, verdict = row.native, row.judged
    scores = [percent(native) + ("*" if _is_partial(row, native, row.native_n) else "")]
    if judged:
        scores.append(percent(verdict) + ("+" if _is_partial(row, verdict, row.judged_n) else ""))
    counts = (row.n, row.unparsable, row.unscored, row.errors, row.truncated)
    error = percent(row.stderr)
    return (row.benchmark, percent(row.strict), *scores, *map(str, counts), error)


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


def below(path: Path, folder: Path) -> str:
    """Return how a list of what is in and below a folder names a path: without the folder."""
    return str(path if path == folder else path.relative_to(folder))


def result_json(rows: Sequence[BenchmarkSummary], run: Path, items: bool) -> str:
    """Return the JSON document of ``run`` and ``score``; scores are between 0 and 1."""
    fields = (
        "benchmark note n strict stderr native native_n native_missing judged judged_n parts "
        "unparsable unscored errors truncated prompts_truncated".split()
    )
    benchmarks: list[dict[str, Any]] = []
    manifest = read_manifest(run)
    for row in rows:
        benchmarks.append({name: getattr(row, name) for name in (*fields, *_ABSENT)})
        benchmarks[-1]["n_data"] = _in_data(manifest, row)
        if items:
            benchmarks[-1]["items"] = items_json(run, row)
    origin = sources.as_json(manifest, sources_of(rows))
    return json.dumps({"benchmarks": benchmarks, "run": str(run), "sources": origin})


def sample_text(answer: ShownAnswer) -> str:
    """Return one sample in full as text."""
    sample = answer.sample
    response, score = sample.response, sample.score
    lines = [
        f"{answer.benchmark}/{sample.id}  repeat {sample.repeat}  cluster {sample.cluster}",
        *([f"note: {answer.note}"] if answer.note else []),
        f"from {sources.text(answer.source)}, {sources.period(sample.time, sample.time)}",
        *_around(answer, "system_prompt"),
        *(f"--- message {number}\n{text}" for number, text in enumerate(sample.prompt, 1)),
        *_around(answer, "prompt_suffix"),
    ]
    if response is not None:
        if response.reasoning:
            lines.append(f"--- reasoning\n{response.reasoning}")
        if response.trajectory:
            # The first two messages (system and task) are the prompt.
            lines += episode(response.trajectory[2:])
        lines.append(f"--- response\n{response.text}")
        lines += [f"--- {text}" for text in [known(response)] if text]
    target = sample.target
    if isinstance(target, dict):
        target = {name: value for name, value in target.items() if value not in (None, [])}
    lines += [
        f"--- target: {json.dumps(target, ensure_ascii=False)}",
        f"strict {_number(score.value)} ({score.status}, {sample.scoring})",
        f"  prediction: {score.prediction}",
        f"  why: {score.why}",
        *_verdict_lines("native", answer.native),
        *_verdict_lines("judged", answer.judged),
    ]
    return "\n".join(lines)


def _around(answer: ShownAnswer, name: str) -> list[str]:
    """Return what a setting of the run put before the messages, or at the end of the question."""
    text = answer.around.get(name)
    return [] if text is None else [f"--- {name.replace('_', ' ')} (of the run)\n{text}"]


def known(response: Response) -> str:
    """Return what is known of how a response was made, in one line; "" of one from a file."""
    values = {
        f"{counted(response.completion_tokens or 0, 'token')}": response.completion_tokens,
        f"finish reason {response.finish_reason}": response.finish_reason,
        f"{response.seconds:.2f} s": response.seconds or None,
    }
    return ", ".join(text for text, value in values.items() if value is not None)


def _verdict_lines(kind: str, verdict: SecondaryScore | None) -> list[str]:
    if verdict is None:
        return []
    lines = [f"{kind} {_number(verdict.value)} ({verdict.by})"]
    if verdict.prediction is not None:
        lines.append(f"  prediction: {verdict.prediction}")
    return [*lines, f"  why: {verdict.why}"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def episode(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield an agent's episode as text, step by step: thought, command, output."""
    step = 0
    for message in messages:
        extra: Mapping[str, Any] = message.get("extra") or {}
        tokens = extra.get("completion_tokens")
        count = "" if tokens is None else f" ({counted(tokens, 'token')})"
        content = abridged(str(message["content"]), MOST)
        if "completion_tokens" in extra:  # a model response, well-formed or not
            step += 1
        if message["role"] == "assistant":
            yield f"--- step {step}{count}\n{content}"
        elif message["role"] == "exit":
            yield f"--- episode ended: {extra.get('exit_status', 'no status')}"
        elif extra.get("interrupt_type"):
            answer = abridged(str(extra.get("model_response", "")), MOST)
            yield f"--- step {step}{count}: {extra['interrupt_type']}\n{answer}"
            yield f"--- reply to the model\n{content}"
        else:
            yield f"--- output\n{content}"
