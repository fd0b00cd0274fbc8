"""Row groups of parquet files as plain rows, within a bound on what a small file expands to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import UsageError

LEAST = 2 << 30  # bytes that the rows of a group may take, however small the file is
_RATIO = 100  # by how much more than that may shrink; texts of ordinary data shrink to a tenth
_OBJECT = 60  # bytes of a Python object, about
_BATCH = 64


def rows_of_group(file: Any, path: Path, group: int, least: int = LEAST) -> list[dict[str, Any]]:
    """Return the rows of one row group of a ``ParquetFile``; errors of pyarrow pass.

    Raises `UsageError` if they take far more memory than the file, which stores once what many rows
    share, or are fewer than it says.
    """
    most = max(least, _RATIO * path.stat().st_size)
    rows: list[dict[str, Any]] = []
    size = 0
    for batch in file.iter_batches(batch_size=_BATCH, row_groups=[group]):
        made = batch.to_pylist()
        size += _size(made)
        if size > most:
            raise UsageError(
                f"{path}: its row group {group + 1} takes more than {most >> 20} MiB: write the "
                "file again with fewer rows in a row group"
            )
        rows += made
    if len(rows) != file.metadata.row_group(group).num_rows:
        raise UsageError(f"{path}: its row group {group + 1} lacks rows: write the file again")
    return rows


def _size(value: Any) -> int:
    """Return about how many bytes a value takes, unpacked (Arrow counts it packed)."""
    if isinstance(value, dict):
        return _OBJECT + sum(map(_size, value.values()))
    if isinstance(value, list):
        return _OBJECT + sum(map(_size, value))
    return _OBJECT + (len(value) if isinstance(value, str | bytes) else 0)
