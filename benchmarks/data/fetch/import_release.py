"""Imports an official release folder: ``ROOT/<benchmark id>/`` as ``save_to_disk`` writes it.

Images are embedded.  Raw release files (`Table.file`) are copied unchanged.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data.catalog.sources import source
from benchmarks.data.fetch.pull import put
from benchmarks.data.local.layout import Found, columns, rows
from benchmarks.data.local.official import FORMATS, Release, build, release
from benchmarks.data.local.read import quiet
from benchmarks.data.local.receipt import Receipt, make_folder, recover
from harness.errors import UsageError


@dataclass(frozen=True, slots=True)
class Imported:
    """What `bring` did: the rows of each split written, and why other splits were not."""

    benchmark: str
    folder: Path
    splits: dict[str, int]
    skipped: tuple[str, ...]
    fingerprint: str


def bring(
    benchmark_id: str, folder: Path, root: Path, *, split: str | None = None, force: bool = False
) -> Imported:
    """Import an official release.

    Args:
        benchmark_id: one of `official.FORMATS`, or one with raw release files.
        folder: the release: annotation file and images.
        root: the data root; ``root/<benchmark id>`` is made.
        split: only this split; without it, every split whose images are all there.
        force: replace data that is there already.

    Raises:
        UsageError: not such a release, corrupt, no split is whole, or other data is there.
    """
    if any(table.file for table in source(benchmark_id).tables):
        return _bring_raw(benchmark_id, folder, root / benchmark_id, split, force)
    found = _splits(benchmark_id, folder, split)
    whole = [part for part in found if part.rows and not part.missing]
    skipped = tuple(_reason(part) for part in found if part not in whole)
    if not whole or (split is not None and skipped):
        raise UsageError(f"nothing to import for {benchmark_id}: {'; '.join(skipped)}")
    splits = {part.table.split: len(part.rows) for part in whole}

    def write(staging: Path) -> None:
        from datasets import DatasetDict

        with quiet():
            tables = DatasetDict({part.table.split: build(part) for part in whole})
            tables.save_to_disk(str(staging))

    receipt = _install(benchmark_id, root / benchmark_id, force, write)
    return Imported(benchmark_id, root / benchmark_id, splits, skipped, receipt.fingerprint)


def _raw(benchmark_id: str, folder: Path, split: str | None) -> list[Found]:
    """Return the raw release files that are in a folder; UsageError if there is none."""
    known = [table for table in source(benchmark_id).tables if table.file]
    names = ", ".join(table.split for table in known)
    wanted = [table for table in known if split in (None, table.split)]
    if not wanted:
        raise UsageError(f"{benchmark_id} has no split {split!r}: its splits are {names}")
    there = [
        Found(table, "raw", folder, (folder / table.file,))
        for table in wanted
        if (folder / table.file).is_file()
    ]
    if not there:
        files = " or ".join(table.file for table in wanted)
        raise UsageError(f"{folder} holds no {files}: give the folder of the official release")
    return there


def _bring_raw(
    benchmark_id: str, folder: Path, target: Path, split: str | None, force: bool
) -> Imported:
    """Copy the raw release files of a folder, once each has been read."""
    found = _raw(benchmark_id, folder, split)
    splits = {item.table.split: _checked(item) for item in found}

    def write(staging: Path) -> None:
        for item in found:
            shutil.copyfile(item.files[0], staging / item.table.file)

    receipt = _install(benchmark_id, target, force, write)
    return Imported(benchmark_id, target, splits, (), receipt.fingerprint)


def _checked(item: Found) -> int:
    """Return the number of rows of a raw file that has the columns which are read."""
    n = rows(item)
    gone = [name for name in item.table.columns if name not in columns(item)]
    if not n or gone:
        why = f"lacks {', '.join(gone)}" if n else "holds no items"
        raise UsageError(f"{item.files[0]} {why}: it is not the official release")
    return n


def _splits(benchmark_id: str, folder: Path, split: str | None) -> list[Release]:
    origin = source(benchmark_id)
    if benchmark_id not in FORMATS:
        raise UsageError(
            f"the official release of {benchmark_id} is not known here (those of "
            f"{', '.join(FORMATS)} are): use `harness data pull {benchmark_id}`"
        )
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}: give the folder of the official release")
    names = FORMATS[benchmark_id].annotations
    if split is not None and split not in names:
        raise UsageError(
            f"{benchmark_id} has no split {split!r}: its splits are {', '.join(names)}"
        )
    wanted = [table for table in origin.tables if split in (None, table.split)]
    found = [part for table in wanted if (part := release(benchmark_id, folder, table))]
    if not found:
        files = " or ".join(names[table.split][0] for table in wanted)
        raise UsageError(f"{folder} holds no {files}: give the folder of the official release")
    return found


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
        shutil.rmtree(staging, ignore_errors=True)  # where `put` moved it, none is there
