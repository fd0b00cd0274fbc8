"""Downloads a data set at one commit, from the Hub or a local mirror: complete or not at all.

The next call resumes an interrupted download.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data.catalog.parquet_names import table_files
from benchmarks.data.catalog.sources import Source, Table, source
from benchmarks.data.fetch.repository import Hub, Repository, mirror
from benchmarks.data.local.layout import chosen, files_hash, find, rows
from benchmarks.data.local.receipt import Receipt, install, make_folder, read_receipt, recover
from harness.errors import UsageError


@dataclass(frozen=True, slots=True)
class Pulled:
    """What `pull` did: the data set, where it is from, how many rows, and whether it is new."""

    benchmark: str
    folder: Path
    receipt: Receipt
    rows: int
    new: bool


def pull(
    benchmark_id: str,
    root: Path,
    *,
    revision: str | None = None,
    local: Path | None = None,
    alone: bool = True,
    force: bool = False,
) -> Pulled:
    """Get one benchmark's data.

    Args:
        benchmark_id: one with a `source`.
        root: the data root; ``root/<benchmark id>`` is made.
        revision: commit, branch or tag; without it the pinned commit, else the one that an
            earlier pull recorded, else the head of the main branch.
        local: a folder of local copies instead of the hub; see `mirror`.
        alone: whether ``local`` itself may be the copy.
        force: replace data that is there already.

    Raises:
        UsageError: unknown benchmark, other data is there already, the repository cannot be had
            or does not hold the tables.
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
    repository: Repository
    if local is None:
        repository = Hub(origin.repository, wanted or "main")
    else:
        repository = mirror(local, benchmark_id, origin.repository, wanted, alone=alone)
        _same_commit(repository, wanted)
    return _fetch(benchmark_id, origin, repository, target)


def _same_commit(repository: Repository, wanted: str | None) -> None:
    """A copy that does not know its commit is taken as it is; one that knows another is not."""
    if wanted and repository.commit and repository.commit != wanted:
        raise UsageError(
            f"the local copy is at commit {repository.commit}, not {wanted}: "
            f"give --revision {repository.commit} to take it"
        )


def _fetch(benchmark_id: str, origin: Source, repository: Repository, target: Path) -> Pulled:
    commit = repository.commit
    card = repository.card()
    names = _tables(repository, card, origin)
    staging = target.with_name(f".{benchmark_id}.{(commit or 'copy')[:12]}.part")
    make_folder(staging)
    files = sorted({name for group in names.values() for name in group})
    repository.fetch(files + (["README.md"] if card is not None else []), staging)
    shutil.rmtree(staging / ".cache", ignore_errors=True)  # the hub client's notes
    try:
        found = chosen(benchmark_id, staging)
        for item in find(benchmark_id, staging):
            rows(item)
        digest = files_hash(staging, found)
    except UsageError:
        shutil.rmtree(staging, ignore_errors=True)  # nothing to take up again here
        raise
    receipt = Receipt(origin.repository, commit, repository.origin, digest)
    install(staging, target, receipt)
    return _pulled(benchmark_id, target, receipt, new=True)


def _tables(
    repository: Repository, card: str | None, origin: Source
) -> Mapping[Table, tuple[str, ...]]:
    names = {
        table: _raw_file(repository, table) or table_files(repository.names, card, origin, table)
        for table in origin.tables
        if table.role != "apart"
    }
    gone = [table.label for table, files in names.items() if table.role == "required" and not files]
    if gone:
        raise UsageError(
            f"{origin.repository} holds no files for {', '.join(gone)}: load it with "
            "datasets yourself and save_to_disk it into the benchmark's folder"
        )
    return names


def _raw_file(repository: Repository, table: Table) -> tuple[str, ...]:
    return (table.file,) if table.file and table.file in repository.names else ()


def _pulled(benchmark_id: str, folder: Path, receipt: Receipt, *, new: bool) -> Pulled:
    n = sum(rows(item) for item in chosen(benchmark_id, folder))
    return Pulled(benchmark_id, folder, receipt, n, new)
