"""Where contrastive pairs come from: the embedded world, a file, a data set.

The trainer comes in with the word of ``--pairs``; a sequence of `Pair`s leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from harness.errors import UsageError
from harness.fingerprint import file_hash, tree_hash
from harness.records import Pair

if TYPE_CHECKING:
    from benchmarks.micro.pairs import Domain

MICRO = "micro"
MICRO_PAIRS = 512
MICRO_TASKS = 2048
"""How many the embedded world gives where no number is asked for."""


def is_micro(source: str) -> bool:
    """Whether a source is the embedded world (``micro``, ``micro:image``, ``micro:trajectory``)."""
    return source.partition(":")[0] == MICRO


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
        return _micro(source, number or MICRO_PAIRS)
    path = Path(source)
    if path.is_file() and path.suffix != ".parquet":
        from benchmarks.pairfile import PairFile

        pairs: Sequence[Pair] = PairFile(path)
    else:
        from ablations.pairs.datasets import open_dataset

        pairs = open_dataset(source, columns).pairs
    if number is not None and number > len(pairs):
        raise UsageError(f"{source} holds {len(pairs)} pairs, not {number}")
    return pairs if number is None else pairs[:number]


def content_of(source: str) -> str | None:
    """Return the hash of a source's content; of the embedded world and of a hub id, its word.

    None where it is a path and nothing is there.
    """
    path = Path(source)
    if path.is_dir():
        return tree_hash(path, [file for file in path.rglob("*") if file.is_file()])
    if path.is_file():
        from benchmarks.pairfile import content_hash

        return file_hash(path) if path.suffix == ".parquet" else content_hash(path)
    return None if path.is_absolute() or path.suffix else source


def _micro(source: str, number: int) -> Sequence[Pair]:
    from benchmarks.micro import pairs

    return pairs.pairs("pairs", number, domains=micro_domains(source))


def micro_domains(source: str) -> tuple[Domain, ...]:
    """Return the domains that ``micro`` or ``micro:DOMAIN`` names.

    Raises:
        UsageError: there is no such domain.
    """
    from benchmarks.micro.pairs import DOMAINS

    _, sign, name = source.partition(":")
    if sign and name not in DOMAINS:
        raise UsageError(f"{source}: the embedded world has the domains {', '.join(DOMAINS)}")
    return cast("tuple[Domain, ...]", (name,)) if sign else DOMAINS
