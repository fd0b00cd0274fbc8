"""Checks local data: row counts, columns, images and content against the official ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data.catalog.sources import GENERATED, Table, source
from benchmarks.data.local.images import decode, is_empty
from benchmarks.data.local.layout import Found, chosen, columns, files_hash, find, rows
from benchmarks.data.local.read import read
from benchmarks.data.local.receipt import Receipt, read_receipt
from harness.errors import ItemError, UsageError

SAMPLE = 8  # rows of a table whose images are decoded unless all are asked for


@dataclass(frozen=True, slots=True)
class TableReport:
    """One table: its rows and official count, and of how many rows the images were decoded."""

    config: str
    split: str
    form: str
    rows: int
    official: int
    decoded: int


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found of one benchmark; ``problems`` is empty where all is well.

    A benchmark that needs no data has neither folder nor fingerprint nor tables.
    """

    benchmark: str
    folder: str
    fingerprint: str | None
    revision: str | None
    tables: tuple[TableReport, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def verify(benchmark_id: str, root: Path, *, all_images: bool = False) -> Report:
    """Check one benchmark's local data.

    Args:
        benchmark_id: one with a `source`.
        root: the data root.
        all_images: decode the images of every row, not of a few.

    Raises:
        UsageError: unknown benchmark.
    """
    if benchmark_id in GENERATED:
        note = "items are generated from a seed, no data needed"
        return Report(benchmark_id, "", None, None, (), (), (note,))
    pinned = source(benchmark_id).revision
    folder = root / benchmark_id
    try:
        main = chosen(benchmark_id, folder)
        extra = [item for item in find(benchmark_id, folder) if item.table not in _tables(main)]
        receipt = read_receipt(folder)
        digest = files_hash(folder, main)
    except UsageError as error:
        return Report(benchmark_id, str(folder), None, None, (), (str(error),), ())
    reports, problems = _check_all([*main, *extra], all_images)
    notes = list(_stand_ins(benchmark_id, main))
    if receipt is not None:
        problems += _changed(receipt, digest)
        notes += _revision(receipt, pinned)
    return Report(
        benchmark=benchmark_id,
        folder=str(folder),
        fingerprint=digest,
        revision=receipt.revision if receipt else None,
        tables=tuple(reports),
        problems=tuple(f"{benchmark_id}: {problem}" for problem in problems),
        notes=tuple(notes),
    )


def _tables(found: Sequence[Found]) -> tuple[Table, ...]:
    return tuple(item.table for item in found)


def _check_all(found: Sequence[Found], all_images: bool) -> tuple[list[TableReport], list[str]]:
    reports: list[TableReport] = []
    problems: list[str] = []
    for item in found:
        try:
            report, wrong = _check(item, all_images)
        except UsageError as error:
            problems.append(str(error))
        else:
            reports.append(report)
            problems += wrong
    return reports, problems


def _check(item: Found, all_images: bool) -> tuple[TableReport, list[str]]:
    table = item.table
    n = rows(item)
    problems = []
    if n != table.count:
        problems.append(f"{table.label} has {n} rows, the official number is {table.count}")
    there = columns(item) if n else table.columns
    gone = [name for name in table.columns if name not in there]
    if gone:
        problems.append(f"{table.label} lacks the columns {', '.join(gone)}")
    images = [name for name in table.images if name in there]
    decoded = 0
    if images and n:
        bad, decoded = _images(item, images, n if all_images else SAMPLE)
        problems += _said(bad, decoded, table.label)
    report = TableReport(table.config, table.split, item.form, n, table.count, decoded)
    return report, problems


def _images(item: Found, images: Sequence[str], sample: int) -> tuple[dict[int, str], int]:
    """Decode the images of evenly spaced rows; return what is wrong by row, and how many rows."""
    from datasets import Image

    data = read(item)
    for name in images:
        if isinstance(data.features[name], Image):
            data = data.cast_column(name, Image(decode=False))
    data = data.select_columns(list(images))
    n = len(data)
    few = min(sample, n)
    bad: dict[int, str] = {}
    for number in (place * n // few for place in range(few)):
        reason = _undecodable(data[number])
        if reason:
            bad[number] = reason
    return bad, few


def _undecodable(row: Mapping[str, Any]) -> str:
    """Say what is wrong with a row's images; "" where each decodes and there is one at least."""
    cells = [cell for cell in row.values() if cell != "" and not is_empty(cell)]
    if not cells:
        return "it has no image"
    try:
        for cell in cells:
            decode(cell)
    except ItemError as error:
        return str(error)
    return ""


def _said(bad: Mapping[int, str], decoded: int, label: str) -> Iterator[str]:
    if bad:
        first = next(iter(bad))
        yield (
            f"{label}: the images of {len(bad)} of {decoded} rows looked at do not decode "
            f"(row {first}: {bad[first]})"
        )


def _stand_ins(benchmark_id: str, found: Sequence[Found]) -> Iterator[str]:
    for item in found:
        if item.table.role == "stand-in":
            required = [t for t in source(benchmark_id).tables if t.role == "required"]
            yield f"{item.table.split} stands in for {', '.join(t.label for t in required)}"


def _changed(receipt: Receipt, digest: str) -> Iterator[str]:
    if receipt.fingerprint != digest:
        yield "the files are not those that were put there (source.json): download it again"


def _revision(receipt: Receipt, pinned: str | None) -> Iterator[str]:
    if receipt.origin == "release" or receipt.revision == pinned:
        return
    if receipt.revision is None:
        yield "copied from a folder that does not tell its commit"
    elif pinned is None:
        yield f"no pin is published; held to the commit that was pulled, {receipt.revision}"
    else:
        yield f"at commit {receipt.revision}, not at the pinned {pinned}"
