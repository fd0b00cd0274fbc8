"""Check local data: row counts, columns, images and content against the official ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data.catalog.sources import GENERATED, source
from benchmarks.data.local.images import decode, is_empty
from benchmarks.data.local.layout import Found, chosen, columns, files_hash, find, rows
from benchmarks.data.local.read import read
from benchmarks.data.local.receipt import (
    PRETENDS,
    Content,
    Receipt,
    compare,
    pretends,
    read_receipt,
)
from harness.errors import ItemError, UsageError
from harness.files.text import counted

SAMPLE = 8  # rows per table whose images are decoded by default


@dataclass(frozen=True, slots=True)
class TableReport:
    """One table: its rows and official count, and the number of rows with images decoded."""

    config: str
    split: str
    form: str
    rows: int
    official: int
    decoded: int


@dataclass(frozen=True, slots=True)
class Report:
    """Result of `verify` for one benchmark; ``problems`` is empty if all is well.

    A benchmark that needs no data has neither folder nor fingerprint nor tables. ``content``:
    whether the files are those of the pinned commit, as far as known.
    """

    benchmark: str
    folder: str
    fingerprint: str | None
    revision: str | None
    tables: tuple[TableReport, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    content: Content = "not compared"


def verify(benchmark_id: str, root: Path, *, all_images: bool = False) -> Report:
    """Check a benchmark's data, ``all_images`` or a few; UsageError for an unknown benchmark."""
    if benchmark_id in GENERATED:
        note = "items are generated from a seed, no data needed"
        return Report(benchmark_id, "", None, None, (), (), (note,))
    folder = root / benchmark_id
    source(benchmark_id)  # raises for an unknown benchmark
    try:
        main = chosen(benchmark_id, folder)
        known = {item.table for item in main}
        others = [item for item in find(benchmark_id, folder) if item.table not in known]
        receipt = read_receipt(folder)
        digest = files_hash(folder, main)
    except UsageError as error:
        return Report(benchmark_id, str(folder), None, None, (), (str(error),), ())
    reports: list[TableReport] = []
    problems: list[str] = []
    for item in (*main, *others):
        try:
            report, wrong = _check(item, all_images)
        except UsageError as error:
            problems.append(str(error))
        else:
            reports.append(report)
            problems += wrong
    if receipt is not None and receipt.fingerprint != digest:
        problems.append(
            "the files are not those that were put there (source.json): download it again"
        )
    if receipt is not None and pretends(benchmark_id, folder, receipt.revision):
        problems.append(PRETENDS)
    return Report(
        benchmark=benchmark_id,
        folder=str(folder),
        fingerprint=digest,
        revision=receipt.revision if receipt else None,
        tables=tuple(reports),
        problems=tuple(f"{benchmark_id}: {problem}" for problem in problems),
        notes=tuple(_notes(benchmark_id, main, receipt)),
        content=compare(benchmark_id, folder),
    )


def _check(item: Found, all_images: bool) -> tuple[TableReport, list[str]]:
    table, n, decoded = item.table, rows(item), 0
    problems = []
    if table.count and n != table.count:  # 0: not known
        problems.append(
            f"{table.label} has {counted(n, 'row')}, the official number is {table.count}"
        )
    there = columns(item) if n else table.columns
    gone = [name for name in table.columns if name not in there]
    if gone:
        problems.append(f"{table.label} lacks the columns {', '.join(gone)}")
    images = [name for name in table.images if name in there]
    if images and n:
        decoded = n if all_images else min(SAMPLE, n)
        bad = _undecodable(item, images, [number * n // decoded for number in range(decoded)])
        if bad:
            row, reason = next(iter(bad.items()))
            problems.append(
                f"{table.label}: the images of {len(bad)} of {decoded} rows looked at do not "
                f"decode (row {row}: {reason})"
            )
    return TableReport(table.config, table.split, item.form, n, table.count, decoded), problems


def _undecodable(item: Found, images: Sequence[str], sample: Sequence[int]) -> dict[int, str]:
    from datasets import Image

    data = read(item)
    for name in images:
        if isinstance(data.features[name], Image):
            data = data.cast_column(name, Image(decode=False))
    data = data.select_columns(list(images))
    bad = {}
    for row in sample:
        cells = [cell for cell in data[row].values() if cell != "" and not is_empty(cell)]
        try:
            if not cells:
                raise ItemError("it has no image")
            for cell in cells:
                decode(cell, folder=item.home)
        except ItemError as error:
            bad[row] = str(error)
    return bad


def _notes(benchmark_id: str, main: Sequence[Found], receipt: Receipt | None) -> Iterator[str]:
    """Yield remarks that are not faults: stand-ins in use, and the data's commit."""
    origin = source(benchmark_id)
    required = ", ".join(table.label for table in origin.tables if table.role == "required")
    for item in main:
        if item.table.role == "stand-in":
            yield f"{item.table.split} stands in for {required}"
    if receipt is None or receipt.origin == "release" or receipt.revision == origin.revision:
        return
    if receipt.revision is None:
        yield "copied from a folder that does not tell its commit"
    elif origin.revision is None:
        yield f"no pin is published; held to the commit that was pulled, {receipt.revision}"
    else:
        yield f"at commit {receipt.revision}, not at the pinned {origin.revision}"
