"""Pairs by the name that a user gives: the micro world, a file, a folder, a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from benchmarks.micro.data.pairs import is_micro, micro_domains, version
from benchmarks.micro.data.pairs import pairs as micro_pairs
from benchmarks.pairs.file import content_hash, pair_of, preview_pair
from benchmarks.pairs.rows import Preview, Row
from benchmarks.pairs.selection import AnyPair
from benchmarks.pairs.tables import REQUIRED, LazyRows, Source, kind_of, open_source
from benchmarks.pairs.template import PairTemplate
from benchmarks.pairs.written import WrittenRows
from harness.errors import UsageError
from harness.files.hashing import file_hash, json_hash, tree_hash

MICRO_PAIRS = 512
"""Default number of pairs of the micro world."""
T = TypeVar("T")
NO_COLUMNS: Mapping[str, str] = MappingProxyType({})


def open_pairs(
    source: str,
    number: int | None = None,
    columns: Mapping[str, str] = NO_COLUMNS,
    *,
    image_root: Path | None = None,
    template: Path | None = None,
) -> Sequence[AnyPair]:
    """Return the first ``number`` pairs of a source, all by default.

    The source is ``micro``, ``micro:DOMAIN``, or what `open_source` reads; ``columns`` are its
    names for our fields that differ, ``image_root`` is the folder that image paths are relative to,
    where that is another one, ``template`` a file with a `PairTemplate`, which splits written
    prompts of text.

    Raises `UsageError` if there is no such source, it lacks a column, or it holds fewer pairs.
    """
    if is_micro(source):
        n = MICRO_PAIRS if number is None else number
        return micro_pairs("pairs", n, domains=micro_domains(source))
    rows = open_source(source, columns, image_root, "pairs")
    split = None if template is None else PairTemplate.load(template)
    return first(number, "pairs", source, pairs_of(rows, WrittenRows(split)))


def pairs_of(source: Source, written: WrittenRows) -> LazyRows[AnyPair]:
    """Return a source's pairs: rows with two contexts, and written prompts; UsageError for none."""

    def make(row: Row, folder: Path, where: str) -> AnyPair:
        if kind_of(row) == "selection":
            return written.pair(row, folder, where)
        return pair_of(row, folder, where)

    def peek(row: Row, folder: Path, where: str) -> Preview:
        if kind_of(row) == "selection":
            return written.preview(row, folder, where)
        return preview_pair(row, folder, where)

    chosen = source.chosen(("pairs", "selection"), make, peek)
    if not source.counts["selection"]:
        source.need(REQUIRED)
    if not chosen:
        raise UsageError(
            f"{source.name}: no row has two contexts, or several images and the answer A or B"
        )
    return chosen


def first(number: int | None, what: str, source: str, rows: Sequence[T]) -> Sequence[T]:
    """Return the first rows; `UsageError` if there are fewer."""
    if number is not None and number > len(rows):
        raise UsageError(f"{source} holds {len(rows)} {what}, not {number}")
    return rows if number is None else rows[:number]


def content_of(
    source: str, columns: Mapping[str, str] = NO_COLUMNS, image_root: Path | None = None
) -> str | None:
    """Return the hash of a source's content, None if it is a path and nothing is there.

    A hub id is returned as it is; the micro world is identified by its generator's version.
    """
    if is_micro(source):
        return f"{source} by {version()}"
    path = Path(source)
    if path.is_file() and path.suffix != ".parquet":
        return content_hash(path, columns, image_root)
    if not (path.is_file() or path.is_dir()):
        return None if path.is_absolute() or path.suffix else source
    content = _tree(path) if path.is_dir() else file_hash(path)
    return content if image_root is None else json_hash([content, _tree(image_root)])


def _tree(folder: Path) -> str:
    return tree_hash(folder, [file for file in folder.rglob("*") if file.is_file()])
