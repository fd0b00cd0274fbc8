"""Pairs and RL items by the name that a user gives: the micro world, a file, a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeVar

from ablations.data.items import read_items
from benchmarks.micro.data.pairs import is_micro, micro_domains, version
from benchmarks.micro.data.pairs import pairs as micro_pairs
from benchmarks.micro.data.pairs import tasks as micro_items
from benchmarks.pairs.file import content_hash, read_pairs
from harness.errors import UsageError
from harness.files.hashing import file_hash, tree_hash
from harness.records import Item, Pair

MICRO_PAIRS = 512
MICRO_TASKS = 2048
"""Default numbers of pairs and RL items of the micro world."""

_NO_COLUMNS: Mapping[str, str] = MappingProxyType({})
T = TypeVar("T")


def open_pairs(
    source: str, number: int | None = None, columns: Mapping[str, str] = _NO_COLUMNS
) -> Sequence[Pair]:
    """Return the first ``number`` pairs of a source, all by default.

    Args:
        source: ``micro``, ``micro:DOMAIN``, a JSON-lines or parquet file, a folder that
            ``save_to_disk`` wrote or one with parquet files, or a data set's id on the hub.
        number: how many.
        columns: our field -> the data set's column, where that differs.

    Raises:
        UsageError: there is no such source, it lacks a column, or it holds fewer pairs.
    """
    if is_micro(source):
        n = MICRO_PAIRS if number is None else number
        return micro_pairs("pairs", n, domains=micro_domains(source))
    return _first(number, "pairs", source, _open(source, columns, read_pairs, "pairs"))


def open_items(
    source: str, number: int | None = None, columns: Mapping[str, str] = _NO_COLUMNS
) -> Sequence[Item]:
    """Return the first ``number`` RL items of a source, all by default.

    ``source`` and ``columns`` are as for `open_pairs`.

    Raises:
        UsageError: there is no such source, it lacks a column, or it holds fewer items.
    """
    if is_micro(source):
        n = MICRO_TASKS if number is None else number
        return micro_items("rl", n, domains=micro_domains(source))
    return _first(number, "RL items", source, _open(source, columns, read_items, "items"))


def _open(
    source: str,
    columns: Mapping[str, str],
    read: Callable[[Path], Sequence[T]],
    rows: Literal["pairs", "items"],
) -> Sequence[T]:
    path = Path(source)
    if path.is_file() and path.suffix != ".parquet":
        return read(path)
    from ablations.data.hub import open_dataset

    opened: Sequence[T] = getattr(open_dataset(source, columns), rows)
    return opened


def _first(number: int | None, what: str, source: str, rows: Sequence[T]) -> Sequence[T]:
    if number is not None and number > len(rows):
        raise UsageError(f"{source} holds {len(rows)} {what}, not {number}")
    return rows if number is None else rows[:number]


def content_of(source: str) -> str | None:
    """Return the hash of a source's content, None if it is a path and nothing is there.

    A hub id is returned as it is; the micro world is identified by its generator's version.
    """
    if is_micro(source):
        return f"{source} by {version()}"
    path = Path(source)
    if path.is_dir():
        return tree_hash(path, [file for file in path.rglob("*") if file.is_file()])
    if path.is_file():
        return file_hash(path) if path.suffix == ".parquet" else content_hash(path)
    return None if path.is_absolute() or path.suffix else source
