"""Data sets on disk: the files of each table, row counts and content hashes.

Four layouts are read: ``save_to_disk`` folders, parquet files named as on the Hub, raw release
files, and official release folders. Imports neither torch nor datasets.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.data.catalog.parquet_names import table_files
from benchmarks.data.catalog.sources import Source, Table, source
from benchmarks.data.local import json_rows
from benchmarks.data.local.official import FORMATS, Release, release
from harness.errors import UsageError, first_line
from harness.files import plain
from harness.files.hashing import cache_dir, tree_hash
from harness.files.typed_json import fits

Form = Literal["saved", "parquet", "raw", "official"]
_DAMAGED = ": the data set is damaged, download it again"
NOTE = "note.txt"
"""The file in a benchmark's folder whose text is shown with every score on its data."""


@dataclass(frozen=True, slots=True)
class Found:
    """A table on disk: its folder, and the files that hold its rows."""

    table: Table
    form: Form
    home: Path
    files: tuple[Path, ...]
    release: Release | None = None


def data_root(given: Path | None = None) -> Path:
    """Return the data root given, else ``$HARNESS_DATA``, else ``~/.cache/harness/data``."""
    if given is not None:
        return given
    named = os.environ.get("HARNESS_DATA")
    return Path(named) if named else cache_dir() / "data"


def note(benchmark_id: str, root: Path) -> str:
    """Return the note shown with every score on a benchmark's data, or "".

    It is not part of the data: fingerprint and run key exclude it. Raises `UsageError` if the file
    is not readable, or a link, which could reveal any file of the user.
    """
    path = root / benchmark_id / NOTE
    try:
        return " ".join(plain.read_bytes(path).decode().split())
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not readable ({error}): delete it, or get the data") from error


def find(benchmark_id: str, folder: Path, *, images: bool = True) -> tuple[Found, ...]:
    """Return every complete table in a benchmark's folder, in the source's order.

    An official release's split with missing images is left out, unless ``images`` is false: scoring
    existing responses needs none. Raises `UsageError` for an unknown benchmark, or damaged files.
    """
    origin = source(benchmark_id)
    if not folder.is_dir():
        return ()
    there = (_find_table(benchmark_id, folder, origin, table, images) for table in origin.tables)
    return tuple(item for item in there if item is not None)


def tables(
    benchmark_id: str, root: Path, *, images: bool = True, split: str = ""
) -> tuple[Found, ...]:
    """Return the tables under ``root`` that make up the benchmark.

    These are all required ones; if none of them exists, the stand-ins; with a ``split``, that
    split's alone, which may be optional. Without ``images`` a table needs none of its images.
    Raises `UsageError` if they are missing or incomplete; names the command that gets them.
    """
    return chosen(benchmark_id, root / benchmark_id, images=images, split=split)


def chosen(
    benchmark_id: str, folder: Path, *, images: bool = True, split: str = ""
) -> tuple[Found, ...]:
    """Return the tables in the benchmark's own folder that make it up; see `tables`."""
    origin = source(benchmark_id)
    whole = find(benchmark_id, folder, images=images)
    wanted = [
        table
        for table in origin.tables
        if (table.split == split if split else table.role == "required")
    ]
    there = {item.table: item for item in whole if item.table in wanted}
    stand_ins = tuple(item for item in whole if item.table.role == "stand-in")
    if stand_ins and not there and not split:
        return stand_ins
    gone = [table for table in wanted if table not in there]
    if gone:
        raise UsageError(_missing(benchmark_id, folder, gone, empty=not whole))
    return tuple(there.values())


def fingerprint(benchmark_id: str, root: Path, *, images: bool = True, split: str = "") -> str:
    """Return the sha256 (hex) over the relative names and contents of the benchmark's data files.

    With a ``split``, only that split's. Raises `UsageError` if the data is missing; names the
    command that gets it.
    """
    items = tables(benchmark_id, root, images=images, split=split)
    return files_hash(root / benchmark_id, items)


def files_hash(folder: Path, items: Sequence[Found]) -> str:
    """Return the sha256 (hex) over the files of some tables, named relative to ``folder``."""
    try:
        return tree_hash(folder, sorted({path for item in items for path in item.files}))
    except OSError as error:
        raise UsageError(f"{folder} is not readable: {error}") from error


def count(benchmark_id: str, root: Path, *, images: bool = True, split: str = "") -> int:
    """Return the number of rows of the benchmark's tables, or of one split; decodes no image."""
    return sum(map(rows, tables(benchmark_id, root, images=images, split=split)))


def rows(item: Found) -> int:
    """Return the number of rows of one table on disk; UsageError if a file does not open."""
    if item.release is not None:
        return len(item.release.rows)
    if item.form == "raw":
        return sum(map(json_rows.count, item.files))
    return sum(_shape(item, path)[0] for path in item.files)


def columns(item: Found) -> tuple[str, ...]:
    """Return the names of a table's columns; UsageError if a file does not open."""
    if item.release is not None:
        return (*item.release.rows[0], *item.table.images)
    if not item.files:
        return ()
    if item.form == "raw":
        return tuple(next(iter(json_rows.read(item.files[0])), ()))
    return _shape(item, item.files[0])[1]


def _missing(benchmark_id: str, folder: Path, gone: Sequence[Table], *, empty: bool) -> str:
    get = f"get it with `harness data pull {benchmark_id} --data-root {folder.parent}`"
    if benchmark_id in FORMATS or any(table.file for table in gone):
        get += ", or import an official release with `harness data import`"
    for table in gone:
        part = release(benchmark_id, folder, table) if folder.is_dir() else None
        if part is not None and part.missing:
            images = f"{part.missing} of the {len(part.rows)} images"
            return f"{part.annotation} is there, but {images} that it names are not: {get}"
    if empty:
        return f"no data for {benchmark_id} in {folder}: {get}"
    return f"{benchmark_id} in {folder} lacks {', '.join(table.label for table in gone)}: {get}"


def _find_table(
    benchmark_id: str, folder: Path, origin: Source, table: Table, images: bool
) -> Found | None:
    homes = [folder / table.config] if table.config else []
    if len(origin.configs) == 1:
        homes.append(folder)
    for home in homes:
        if saved := _saved(home, table):
            return saved
    if table.file and (folder / table.file).is_file():
        return Found(table, "raw", folder, (folder / table.file,))
    return _parquet(folder, origin, table) or _official(benchmark_id, folder, table, images)


def _saved(home: Path, table: Table) -> Found | None:
    index = home / "dataset_dict.json"
    lone = not index.is_file()
    if not lone:
        splits = _json(index).get("splits")
        if not isinstance(splits, list):
            raise UsageError(f"{index} lists no splits{_DAMAGED}")
        if table.split not in splits:
            return None
        home = home / table.split
    path = home / "state.json"
    if not path.is_file():
        if lone:
            return None
        raise UsageError(f"{home} lacks state.json{_DAMAGED}")
    state = _json(path)
    # A lone Dataset without a split name is the required table.
    split = state.get("_split") or (table.split if table.role == "required" else None)
    if lone and split != table.split:
        return None
    entries: Any = state.get("_data_files")
    if not fits(entries, list[dict[str, Any]]) or not all("filename" in each for each in entries):
        raise UsageError(f"{path} names no data files: download it again")
    files = tuple(home / str(entry["filename"]) for entry in entries)
    for path in files:
        if not path.is_file():
            raise UsageError(f"{path} is missing{_DAMAGED}")
    return Found(table, "saved", home, files)


def _parquet(folder: Path, origin: Source, table: Table) -> Found | None:
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")]
    if not names:
        return None
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else None
    files = tuple(folder / name for name in table_files(names, text, origin, table))
    return Found(table, "parquet", folder, files) if files else None


def _official(benchmark_id: str, folder: Path, table: Table, images: bool) -> Found | None:
    part = release(benchmark_id, folder, table)
    if part is None or (part.missing and images) or not part.rows:
        return None
    return Found(table, "official", folder, part.files, part)


def _json(path: Path) -> dict[str, Any]:
    value = json_rows.document(path)
    if not isinstance(value, dict):
        raise UsageError(f"{path} is not a JSON object: download it again")
    return value


def _shape(item: Found, path: Path) -> tuple[int, tuple[str, ...]]:
    """Return a file's number of rows and columns; it is mapped, so no image is read."""
    import pyarrow as pa

    try:
        if item.form == "parquet":
            import pyarrow.parquet as pq

            with pq.ParquetFile(path) as file:
                return file.metadata.num_rows, tuple(file.schema_arrow.names)
        with pa.memory_map(str(path)) as stream, pa.ipc.open_stream(stream) as reader:
            return sum(batch.num_rows for batch in reader), tuple(reader.schema.names)
    except (pa.ArrowException, OSError) as error:
        reason = first_line(error)
        raise UsageError(f"{path} is damaged ({reason}): download it again") from error
