"""The cells of a table by row and column, read with pyarrow alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.data.local.layout import Found, files_hash
from benchmarks.data.local.official import FORMATS
from benchmarks.data.local.read import read
from harness.errors import UsageError
from harness.files.atomic import write_text
from harness.files.hashing import cache_dir

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TableRows:
    """One table on disk; nothing is read before a cell is asked for."""

    table: Found

    @cached_property
    def columns(self) -> Sequence[str]:
        """The names of the columns; of a release, of its images."""
        if self.table.release is not None:
            return (FORMATS[self.table.release.benchmark_id].image_column,)
        return tuple(self._arrow.column_names)

    def cell(self, row: int, column: str) -> Any:
        """Return one cell as ``datasets`` gives it undecoded; of a release, of its image column.

        Raises:
            UsageError: a file does not open.
        """
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
            reason = str(error).splitlines()[0]
            raise UsageError(f"{self.table.home} does not open ({reason})") from error


def arrow_files(found: Found) -> Sequence[Path]:
    """Return the Arrow files that hold a table: its own, or those it was converted to.

    ``datasets`` converts parquet files in our cache, as a row of a parquet file cannot be read
    alone.  Which files those are is noted, so that ``datasets`` is not loaded to find them.
    """
    if found.form == "saved":
        return found.files
    note = cache_dir() / "arrow" / f"{files_hash(found.home, [found])}.json"
    with suppress(OSError, msgspec.DecodeError):
        sizes = msgspec.json.decode(note.read_bytes(), type=dict[str, int])
        if all(Path(name).stat().st_size == size for name, size in sizes.items()):
            return [Path(name) for name in sizes]
    files = [Path(entry["filename"]) for entry in read(found).cache_files]
    sizes = {str(path): path.stat().st_size for path in files}
    with suppress(OSError):
        write_text(note, msgspec.json.encode(sizes).decode())
    return files
