"""Pairs and RL items by the name that a user gives: the embedded world, a file, a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

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
"""How many the embedded world gives where no number is asked for."""


def open_pairs(
    source: str, number: int | None = None, columns: Mapping[str, str] = MappingProxyType({})
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
    path = Path(source)
    if path.is_file() and path.suffix != ".parquet":
        pairs: Sequence[Pair] = read_pairs(path)
    else:
        from ablations.data.hub import open_dataset

        pairs = open_dataset(source, columns).pairs
    if number is not None and number > len(pairs):
        raise UsageError(f"{source} holds {len(pairs)} pairs, not {number}")
    return pairs if number is None else pairs[:number]


def content_of(source: str) -> str | None:
    """Return the hash of a source's content; of a hub id the id.

    Of the embedded world it is the word and the version of the generator.

    None where it is a path and nothing is there.
    """
    if is_micro(source):
        return f"{source} by {version()}"
    path = Path(source)
    if path.is_dir():
        return tree_hash(path, [file for file in path.rglob("*") if file.is_file()])
    if path.is_file():
        return file_hash(path) if path.suffix == ".parquet" else content_hash(path)
    return None if path.is_absolute() or path.suffix else source


def open_items(
    source: str, number: int | None = None, columns: Mapping[str, str] = MappingProxyType({})
) -> Sequence[Item]:
    """Return the first ``number`` RL items of a source, all by default.

    ``source`` and ``columns`` are as in `ablations.data.sources.open_pairs`.

    Raises:
        UsageError: there is no such source, it lacks a column, or it holds fewer items.
    """
    if is_micro(source):
        n = MICRO_TASKS if number is None else number
        return micro_items("rl", n, domains=micro_domains(source))
    path = Path(source)
    if path.is_file() and path.suffix != ".parquet":
        items: Sequence[Item] = read_items(path)
    else:
        from ablations.data.hub import open_dataset

        items = open_dataset(source, columns).items
    if number is not None and number > len(items):
        raise UsageError(f"{source} holds {len(items)} RL items, not {number}")
    return items if number is None else items[:number]
