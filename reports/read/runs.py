"""Runs as a report reads them: manifest, summaries, and answers by file offset.

Answers are read without their texts, so that a million fit in memory; texts to be shown are read
again from their offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.files import plain
from harness.files.jsonl import read_lines
from harness.files.typed_json import parse, record
from harness.records import Repeat, Sample, Score, Value
from harness.runs.store import read_manifest, samples_size, stored_file
from harness.runs.summary import BenchmarkSummary, checked_summaries


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its label in the report, its manifest, and its summary by benchmark.

    ``stale`` names benchmarks with answers that the summary lacks (a run that was killed). Not
    ``at_hand``: only a comparison that names it was read, as its folder is gone or has changed.
    """

    label: str
    path: Path
    manifest: Mapping[str, Any]
    rows: Mapping[str, BenchmarkSummary]
    stale: tuple[str, ...]
    at_hand: bool = True

    @property
    def anchor(self) -> str:
        """The run's anchor on the page."""
        letters = (c if c.isalnum() else "-" for c in self.label.lower())
        return "run-" + "".join(letters).strip("-")

    @property
    def last(self) -> Mapping[str, Any]:
        """The manifest's latest invocation."""
        last: Mapping[str, Any] = (self.manifest["invocations"] or [{}])[-1]
        return last


def open_run(path: Path, label: str) -> Run:
    """Read a run's manifest and summary; `UsageError` if it is not one, or they are corrupt."""
    manifest = read_manifest(path)
    rows = checked_summaries(path, manifest)
    sizes = {name: samples_size(path, name) for name in manifest["benchmarks"]}
    stale = tuple(
        name for name, size in sizes.items()
        if size != (rows[name].samples_bytes if name in rows else 0)
    )  # fmt: skip
    return Run(label, path, manifest, rows, stale)


def try_open(path: Path) -> Run | None:
    """Return the run in a folder that a document names, None if it is not there any more."""
    try:
        return open_run(path, path.name)
    except UsageError:
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    """One stored answer without its texts: item, score, and where its line begins."""

    id: str
    repeat: Repeat
    cluster: str
    value: Value | None
    status: str
    offset: int


def answers(run: Path, benchmark: str) -> list[Answer]:
    """Return a benchmark's answers, the last per item and repeat; `UsageError` if corrupt."""
    path = stored_file(run, "samples", benchmark)
    by_key: dict[tuple[str, int], Answer] = {}
    for line in read_lines(path):
        try:
            row = parse(line.text)
            fields = {name: row[name] for name in ("id", "repeat", "cluster")}
            score = record(Score, row["score"])
            fields |= {"value": score.value, "status": score.status}
            answer = record(Answer, {**fields, "offset": line.offset})
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path} is corrupt at line {line.number} ({error})") from error
        by_key[answer.id, answer.repeat] = answer
    return list(by_key.values())


def line_at(run: Path, benchmark: str, offset: int) -> dict[str, Any]:
    """Return the stored line at the offset of an `Answer`. `UsageError` if it is not a sample."""
    path = stored_file(run, "samples", benchmark)
    with open(path, "rb", opener=plain.opener) as stream:
        stream.seek(offset)
        row: dict[str, Any] = parse(stream.readline())
    try:
        record(Sample, row)
    except ValueError as error:
        raise UsageError(f"{path} is corrupt ({error})") from error
    return row
