"""Find the parquet files of each table in a Hub repository, from file names and card."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.data.catalog.sources import Source, Table
from harness.errors import UsageError
from harness.files.typed_yaml import parse_yaml

_SHARD = re.compile(r"-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?\.parquet$")


def table_files(
    names: Iterable[str], card: str | None, origin: Source, table: Table
) -> tuple[str, ...]:
    """Return the parquet files of one table among a repository's ``names``, sorted.

    The ``data_files`` of the card (README.md) decide; without them, the Hub's naming does:
    ``<config>/<split>-00000-of-00001.parquet``, ``data/<split>-...``, ``<split>.parquet``. A source
    with a single table and no configs may also be one parquet file of any name.

    Raises `UsageError` if files of a numbered set are missing.
    """
    parquet = sorted(name for name in names if name.endswith(".parquet"))
    files = _matching(parquet, card_patterns(card, table) if card else ())
    for pattern in _conventions(origin, table):
        files = files or _matching(parquet, [pattern])
    if not files and not table.config and len(origin.tables) == 1:
        loose = _matching(parquet, ["*.parquet"])
        files = loose if len(loose) == 1 else ()
    numbered = [match for name in files if (match := _SHARD.search(name))]
    if numbered and len(files) != int(numbered[0][2]):
        raise UsageError(
            f"only {len(files)} of {int(numbered[0][2])} parquet files {files[0]} ... are there: "
            "download it again"
        )
    return files


def card_patterns(card: str, table: Table) -> tuple[str, ...]:
    """Return the patterns that a data set card's YAML head gives for one table's files.

    A table without a config is the card's default config, or its only one. Source: the Hub's
    "Manual configuration" of data files.
    """
    parts = card.split("---", 2)
    try:
        head = parse_yaml(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    except ValueError:
        head = None
    listed = head.get("configs") if isinstance(head, Mapping) else None
    entries = listed if isinstance(listed, list) else []
    configs = [entry for entry in entries if isinstance(entry, Mapping)]
    if table.config:
        chosen = [entry for entry in configs if entry.get("config_name") == table.config]
    else:
        chosen = [entry for entry in configs if entry.get("default") is True]
        chosen += [entry for entry in configs if entry.get("config_name") == "default"]
        if not chosen and len(configs) == 1:
            chosen = configs
    return tuple(
        pattern for entry in chosen for pattern in _patterns(entry.get("data_files"), table.split)
    )


def _patterns(data_files: Any, split: str) -> Iterator[str]:
    for entry in data_files if isinstance(data_files, list) else [data_files]:
        if isinstance(entry, Mapping) and entry.get("split") == split:
            paths = entry.get("path")
            listed = paths if isinstance(paths, list) else [paths]
            yield from (path for path in listed if isinstance(path, str))
        elif isinstance(entry, str) and split == "train":  # the Hub's name for files without one
            yield entry


def _conventions(origin: Source, table: Table) -> tuple[str, ...]:
    folders = [f"{table.config}/"] if table.config else []
    if len(origin.configs) == 1:
        folders.append("")
    return tuple(
        f"{folder}{data}{table.split}{ending}"
        for folder in folders
        for data in ("", "data/")
        for ending in ("-*.parquet", ".parquet")
    )


def _matching(names: Sequence[str], patterns: Iterable[str]) -> tuple[str, ...]:
    globs = [re.split(r"(\*\*/?|\*|\?)", pattern.removeprefix("./")) for pattern in patterns]
    return tuple(name for name in names if any(_fits(name, pieces) for pieces in globs))


def _fits(name: str, glob: Iterable[str]) -> bool:
    """Whether a name matches a glob in pieces; ``*`` stays within a folder, ``**`` does not.

    It tracks where the pieces so far can end, so it takes at most name x pattern steps.
    """
    ends = {0}
    for piece in glob:
        if piece == "**":
            ends = set(range(min(ends), len(name) + 1))
        elif piece == "**/":
            first = min(ends)
            ends |= {n + 1 for n, letter in enumerate(name) if letter == "/" and n >= first}
        elif piece == "*":
            starts, ends = sorted(ends), set()
            for n in starts:
                if n not in ends:
                    ends.update(range(n, (name + "/").index("/", n) + 1))
        elif piece == "?":
            ends = {n + 1 for n in ends if name[n : n + 1] not in ("", "/")}
        else:
            ends = {n + len(piece) for n in ends if name.startswith(piece, n)}
        if not ends:
            return False
    return len(name) in ends
