"""Import an official release folder to ``ROOT/<benchmark id>/``, as ``save_to_disk`` writes it.

Images are embedded. Raw release files (`Table.file`) are copied unchanged.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data.catalog.sources import Table, source
from benchmarks.data.fetch.pull import put
from benchmarks.data.local.layout import Found, columns, rows
from benchmarks.data.local.official import FORMATS, Release, build, release
from benchmarks.data.local.read import quiet
from benchmarks.data.local.receipt import Receipt, make_folder, recover
from harness.errors import UsageError


@dataclass(frozen=True, slots=True)
class Imported:
    """Result of `bring`: rows written per split, and why other splits were not."""

    folder: Path
    splits: dict[str, int]
    skipped: tuple[str, ...]
    fingerprint: str


def bring(
    benchmark_id: str, folder: Path, root: Path, *, split: str | None = None, force: bool = False
) -> Imported:
    """Import the official release in ``folder`` to ``root/<benchmark id>``.

    It holds an annotation file (of `official.FORMATS`) and images, or raw files.  Without a
    ``split`` every split with all of its images is imported; ``force`` replaces existing data.

    Raises `UsageError` if it is no such release, corrupt or without a complete split, or other data
    exists.
    """
    if any(table.file for table in source(benchmark_id).tables):
        splits, skipped, write = _raw(benchmark_id, folder, split)
    else:
        splits, skipped, write = _official(benchmark_id, folder, split)
    receipt = _install(benchmark_id, root / benchmark_id, force, write)
    return Imported(root / benchmark_id, splits, skipped, receipt.fingerprint)


# Rows per split, why other splits are left out, and a function that writes the data to a folder.
_Plan = tuple[dict[str, int], tuple[str, ...], Callable[[Path], None]]


def _raw(benchmark_id: str, folder: Path, split: str | None) -> _Plan:
    """Plan to copy the raw release files of a folder, after reading each."""
    known = [table for table in source(benchmark_id).tables if table.file]
    wanted = _wanted(benchmark_id, known, split)
    there = [
        Found(table, "raw", folder, (folder / table.file,))
        for table in wanted
        if (folder / table.file).is_file()
    ]
    if not there:
        raise _no_release(folder, [table.file for table in wanted])
    for item in there:
        gone = [name for name in item.table.columns if name not in columns(item)]
        if not rows(item) or gone:
            why = f"lacks {', '.join(gone)}" if rows(item) else "holds no items"
            raise UsageError(f"{item.files[0]} {why}: it is not the official release")

    def write(staging: Path) -> None:
        for item in there:
            shutil.copyfile(item.files[0], staging / item.table.file)

    return {item.table.split: rows(item) for item in there}, (), write


def _official(benchmark_id: str, folder: Path, split: str | None) -> _Plan:
    """Plan to write those splits of an official release with all of their images."""
    origin = source(benchmark_id)
    if benchmark_id not in FORMATS:
        raise UsageError(
            f"the official release of {benchmark_id} is not known here (those of "
            f"{', '.join(FORMATS)} are): use `harness data pull {benchmark_id}`"
        )
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}: give the folder of the official release")
    wanted = _wanted(benchmark_id, origin.tables, split)
    parts = [part for table in wanted if (part := release(benchmark_id, folder, table))]
    if not parts:
        names = FORMATS[benchmark_id].annotations
        raise _no_release(folder, [names[table.split][0] for table in wanted])
    whole = [part for part in parts if part.rows and not part.missing]
    skipped = tuple(_reason(part) for part in parts if part not in whole)
    if not whole or (split is not None and skipped):
        raise UsageError(f"nothing to import for {benchmark_id}: {'; '.join(skipped)}")

    def write(staging: Path) -> None:
        from datasets import DatasetDict

        with quiet():
            tables = DatasetDict({part.table.split: build(part) for part in whole})
            tables.save_to_disk(str(staging))

    return {part.table.split: len(part.rows) for part in whole}, skipped, write


def _wanted(benchmark_id: str, tables: Sequence[Table], split: str | None) -> list[Table]:
    wanted = [table for table in tables if split in (None, table.split)]
    if not wanted:
        names = ", ".join(table.split for table in tables)
        raise UsageError(f"{benchmark_id} has no split {split!r}: its splits are {names}")
    return wanted


def _no_release(folder: Path, names: Sequence[str]) -> UsageError:
    return UsageError(
        f"{folder} holds no {' or '.join(names)}: give the folder of the official release"
    )


def _reason(part: Release) -> str:
    if not part.rows:
        return f"{part.annotation.name} holds no items"
    return (
        f"split {part.table.split} is left out: {part.missing} of the {len(part.rows)} images "
        f"that {part.annotation.name} names are missing"
    )


def _install(
    benchmark_id: str, target: Path, force: bool, write: Callable[[Path], None]
) -> Receipt:
    """Let ``write`` fill an empty folder beside the target, and move it there."""
    recover(target)
    if target.exists() and not force:
        raise UsageError(f"{target} already exists: --force replaces it")
    staging = target.with_name(f".{benchmark_id}.import.part")
    shutil.rmtree(staging, ignore_errors=True)
    make_folder(staging)
    try:
        write(staging)
        return put(benchmark_id, staging, target, None, "release")
    except OSError as error:
        raise UsageError(f"cannot write {staging} ({error.strerror or error})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)  # already gone if `put` moved it
