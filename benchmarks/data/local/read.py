"""Read a benchmark's tables: as one ``DatasetDict`` per config, as plain rows, or by cell.

Images stay undecoded. Cells are read with pyarrow alone. Raw release files are read as rows only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from benchmarks.data.local import json_rows
from benchmarks.data.local.images import inside
from benchmarks.data.local.layout import Found, files_hash, find, tables
from benchmarks.data.local.official import FORMATS, build
from harness.errors import UsageError, first_line
from harness.files.atomic import write_text
from harness.files.hashing import cache_dir

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, DatasetDict


# What datasets raises of files that are no data set, or whose dataset_info.json is corrupt.
_CORRUPT = (OSError, ValueError, AttributeError, LookupError, TypeError, RecursionError)


def load(
    benchmark_id: str, root: Path, *, images: bool = True, split: str = ""
) -> Mapping[str, DatasetDict]:
    """Return a benchmark's local data: for each config ("": without a name) the available splits.

    These are those of `tables`, and optional ones. Rows have the Hub's columns; images are decoded
    when a row is read. Without ``images`` those of a release need not be there. ``split`` is the
    required split, "" for all required ones.

    Raises `UsageError` if the data is missing (names the command that gets it) or does not open.
    """
    from datasets import DatasetDict

    tables(benchmark_id, root, images=images, split=split)  # raises if incomplete
    configs: dict[str, DatasetDict] = {}
    for item in find(benchmark_id, root / benchmark_id, images=images):
        splits = configs.setdefault(item.table.config, DatasetDict())
        splits[item.table.split] = read(item)
    return configs


def records(item: Found) -> Sequence[json_rows.Row]:
    """Return the rows of one table in any layout, read on demand.

    The exception is a ``.json`` list, which is read as a whole. Raises `UsageError` if a file does
    not open or is corrupt.
    """
    if item.form == "raw":
        return json_rows.read(item.files[0])
    return cast("Sequence[json_rows.Row]", read(item))


def read(item: Found) -> Dataset:
    """Read one table; UsageError if a file does not open."""
    import pyarrow as pa
    from datasets import Dataset
    from datasets.exceptions import DatasetGenerationError

    try:
        if item.release is not None:
            return build(item.release)
        saved = item.form == "saved"
        data = Dataset.load_from_disk(str(item.home)) if saved else _from_parquet(item)
        _check_files(data, item.home)
        return data
    except (pa.ArrowException, DatasetGenerationError, *_CORRUPT) as error:
        reason = first_line(error.__cause__ or error)
        raise UsageError(
            f"{item.table.label} in {item.home} does not open ({reason}): download it again"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the progress bars of datasets, which are many and short."""
    import datasets

    if datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()


def convert(benchmark_id: str, root: Path, *, images: bool = True) -> None:
    """Convert parquet files in advance, as a sandbox cannot; UsageError without data."""
    for item in find(benchmark_id, root / benchmark_id, images=images):
        if item.form == "parquet":
            arrow_files(item)


def _from_parquet(item: Found) -> Dataset:
    from datasets import Dataset, Image, concatenate_datasets

    if files := _converted(_note(item)):
        data = concatenate_datasets([Dataset.from_file(str(path)) for path in files])
    else:
        # Convert to Arrow in our cache: the data root may be read-only.
        with quiet():
            data = Dataset.from_parquet(
                [str(path) for path in item.files], cache_dir=str(cache_dir() / "arrow")
            )
    for column in item.table.images:
        feature = data.features.get(column)
        # Files by other tools lack the metadata that these two columns are an image.
        if isinstance(feature, dict) and set(feature) == {"bytes", "path"}:
            data = data.cast_column(column, Image())
    return data


def _check_files(data: Dataset, home: Path) -> None:
    """Raise ValueError for a cell, however nested, that names a file outside of the folder."""
    from pyarrow import compute

    for column in data.column_names:
        for content, paths in chain.from_iterable(map(_files, data.data.column(column).chunks)):
            for path in paths.filter(compute.and_(content.is_null(), paths.is_valid())).to_pylist():
                if not inside(home, path) or not Path(path).is_absolute():
                    raise ValueError(f"the file {path!r} in column {column} is not in {home}")


def _files(cells: pa.Array) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Yield the bytes and paths of a column's files: from structs that have both."""
    import pyarrow as pa

    cells = getattr(cells, "storage", cells)  # of an extension type
    if isinstance(cells, pa.StructArray):
        # Flattened: null where the struct is.
        parts = {field.name: part for field, part in zip(cells.type, cells.flatten(), strict=True)}
        if parts.keys() >= {"bytes", "path"}:
            yield parts["bytes"], parts["path"]
        else:
            yield from chain.from_iterable(map(_files, parts.values()))
    elif isinstance(cells, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        yield from _files(cells.flatten())


@dataclass(frozen=True)
class TableRows:
    """One table on disk; nothing is read before a cell is requested."""

    table: Found

    @property
    def folder(self) -> Path:
        """The folder of the data, which image files must be in."""
        return self.table.home

    @cached_property
    def columns(self) -> Sequence[str]:
        """The names of the columns; for a release, of its images."""
        if self.table.release is not None:
            return (FORMATS[self.table.release.benchmark_id].image_column,)
        return tuple(self._arrow.column_names)

    def cell(self, row: int, column: str) -> Any:
        """Return one cell, undecoded as by ``datasets``; UsageError if a file does not open."""
        if self.table.release is None:
            return self._arrow[column][row].as_py()
        image = self.table.release.images[row]
        return image and {"path": str(image), "bytes": None}

    @cached_property
    def _arrow(self) -> pa.Table:
        import pyarrow as pa

        try:
            return pa.concat_tables(
                pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
                for path in arrow_files(self.table)
            )
        except (pa.ArrowException, OSError) as error:
            raise UsageError(f"{self.table.home} does not open ({first_line(error)})") from error


def arrow_files(item: Found) -> Sequence[Path]:
    """Return a table's Arrow files: its own, or those it was converted to.

    ``datasets`` converts parquet files in our cache, as a single row of a parquet file cannot be
    read. A note lists those files, so that they are found without importing ``datasets``.
    """
    if item.form == "saved":
        return item.files
    note = _note(item)
    if files := _converted(note):
        return files
    files = [Path(entry["filename"]) for entry in read(item).cache_files]
    sizes = {str(path): path.stat().st_size for path in files}
    with suppress(OSError):
        write_text(note, msgspec.json.encode(sizes).decode())
    return files


def _note(item: Found) -> Path:
    return cache_dir() / "arrow" / f"{files_hash(item.home, [item])}.json"


def _converted(note: Path) -> list[Path]:
    """Return a note's Arrow files if they exist as described, else none."""
    with suppress(OSError, msgspec.DecodeError):
        sizes = msgspec.json.decode(note.read_bytes(), type=dict[str, int])
        if all(Path(name).stat().st_size == size for name, size in sizes.items()):
            return [Path(name) for name in sizes]
    return []
