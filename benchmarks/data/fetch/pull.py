"""Download a data set at one commit, from the Hub or a local mirror: all or nothing.

The next call resumes an interrupted download.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data.catalog.parquet_names import table_files
from benchmarks.data.catalog.sources import Source, source
from benchmarks.data.fetch.repository import Hub, Repository, mirror
from benchmarks.data.local.layout import chosen, files_hash, find, rows
from benchmarks.data.local.receipt import (
    Content,
    Origin,
    Receipt,
    compare,
    install,
    make_folder,
    read_receipt,
    recover,
)
from harness.errors import UsageError


@dataclass(frozen=True, slots=True)
class Pulled:
    """Result of `pull`: the data set, its source, its number of rows, and whether it is new.

    ``content``: whether the files are those of the pinned commit, as far as known.
    """

    folder: Path
    receipt: Receipt
    rows: int
    new: bool
    content: Content


def pull(
    benchmark_id: str,
    root: Path,
    *,
    revision: str | None = None,
    local: Path | None = None,
    alone: bool = True,
    force: bool = False,
) -> Pulled:
    """Get one benchmark's data into ``root/<benchmark id>``; ``force`` replaces existing data.

    ``revision`` is a commit, branch or tag; without it the pinned commit counts, else the one that
    an earlier pull recorded, else the head of the main branch.  ``local`` is a folder of copies to
    use instead of the Hub (`mirror`), and maybe itself the copy if ``alone``.

    Raises `UsageError` for an unknown benchmark, or if other data exists, or the repository is
    unavailable or does not have the tables.
    """
    origin = source(benchmark_id)
    target = root / benchmark_id
    recover(target)
    receipt = read_receipt(target)
    known = receipt.revision if receipt and receipt.origin != "release" else None
    wanted = revision or origin.revision or known
    if target.exists() and not force:
        if receipt is None or receipt.origin == "release" or (wanted and known != wanted):
            raise UsageError(
                f"{target} already exists ({receipt or 'not pulled'}): --force replaces it"
            )
        return _pulled(benchmark_id, target, receipt, new=False)
    if local is None:
        return _fetch(benchmark_id, Hub(origin.repository, wanted or "main"), target)
    copy = mirror(local, benchmark_id, origin.repository, wanted, alone=alone)
    # A copy with an unknown commit is accepted; one with another commit is not.
    if wanted and copy.commit and copy.commit != wanted:
        raise UsageError(
            f"the local copy is at commit {copy.commit}, not {wanted}: "
            f"give --revision {copy.commit} to take it"
        )
    return _fetch(benchmark_id, copy, target)


def _fetch(benchmark_id: str, repository: Repository, target: Path) -> Pulled:
    commit, card = repository.commit, repository.card()
    names = _tables(repository, card, source(benchmark_id))
    staging = target.with_name(f".{benchmark_id}.{(commit or 'copy')[:12]}.part")
    make_folder(staging)
    repository.fetch(names + (["README.md"] if card is not None else []), staging)
    shutil.rmtree(staging / ".cache", ignore_errors=True)  # the Hub client's metadata
    try:
        chosen(benchmark_id, staging)
        for item in find(benchmark_id, staging):
            rows(item)
    except UsageError:
        shutil.rmtree(staging, ignore_errors=True)  # nothing to resume
        raise
    receipt = put(benchmark_id, staging, target, commit, repository.origin)
    return _pulled(benchmark_id, target, receipt, new=True)


def put(
    benchmark_id: str, staging: Path, target: Path, revision: str | None, origin: Origin
) -> Receipt:
    """Move a finished data set to its folder, with a receipt; UsageError if it is incomplete."""
    digest = files_hash(staging, chosen(benchmark_id, staging))
    receipt = Receipt(source(benchmark_id).repository, revision, origin, digest)
    install(staging, target, receipt)
    return receipt


def _tables(repository: Repository, card: str | None, origin: Source) -> list[str]:
    there, files, gone = repository.names, set[str](), []
    for table in origin.tables:
        if table.role == "apart":
            continue
        raw = (table.file,) if table.file in there else ()
        names = raw or table_files(there, card, origin, table)
        files.update(names)
        if table.role == "required" and not names:
            gone.append(table.label)
    if gone:
        raise UsageError(
            f"{origin.repository} holds no files for {', '.join(gone)}: load it with "
            "datasets yourself and save_to_disk it into the benchmark's folder"
        )
    return sorted(files)


def _pulled(benchmark_id: str, folder: Path, receipt: Receipt, *, new: bool) -> Pulled:
    n = sum(rows(item) for item in chosen(benchmark_id, folder))
    return Pulled(folder, receipt, n, new, compare(benchmark_id, folder))
