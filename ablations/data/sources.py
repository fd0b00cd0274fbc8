"""RL items by the name that a user gives, and what the rows of a source are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablations.data.items import COLUMNS, item_of, preview_item, preview_software, software_item
from ablations.settings import SelectionRows
from benchmarks.micro.data.pairs import is_micro, micro_domains
from benchmarks.micro.data.pairs import tasks as micro_items
from benchmarks.pair_sources import NO_COLUMNS, first
from benchmarks.pairs.rows import LazyRows
from benchmarks.pairs.tables import PUBLISHED, Kind, Source, open_source
from harness.errors import UsageError
from harness.files.text import counted
from harness.records import Item

MICRO_TASKS = 2048
"""Default number of RL items of the micro world."""


def open_items(
    source: str,
    number: int | None = None,
    columns: Mapping[str, str] = NO_COLUMNS,
    *,
    image_root: Path | None = None,
    selection_rows: SelectionRows = "leave-out",
) -> Sequence[Item]:
    """Return the first ``number`` RL items of a source, all by default.

    Written selection prompts would put contrastive data into every arm: they are left out unless
    they are to be kept as ordinary questions.

    Args:
        source: ``micro``, ``micro:DOMAIN``, or what `open_source` reads.
        number: how many.
        columns: our field -> the source's column, where that differs.
        image_root: the folder that image paths are relative to, where that is another one.
        selection_rows: what is done with rows with several images and the answer A or B.

    Raises:
        UsageError: there is no such source, it lacks a column, or it holds fewer items.
    """
    if is_micro(source):
        n = MICRO_TASKS if number is None else number
        return micro_items("rl", n, domains=micro_domains(source))
    rows = open_source(source, columns, image_root, "RL items")
    return first(number, "RL items", source, items_of(rows, selection_rows))


def items_of(source: Source, selection_rows: SelectionRows = "leave-out") -> Sequence[Item]:
    """Return the RL rows of a source as items, or as software tasks.

    Raises `UsageError` if there are none, or a column of RL items is missing.
    """
    kinds: tuple[Kind, ...] = ("rl", "selection") if selection_rows == "keep" else ("rl",)
    counts = source.counts
    if not sum(counts[kind] for kind in kinds):
        source.need(COLUMNS)
        raise UsageError(
            f"{source.name} has no RL item: {counted(counts['pairs'], 'row')} with two contexts, "
            f"{counted(counts['selection'], 'selection prompt')} (several images, answer A or B)"
        )
    if source.software:
        return replace(source, whole=True).chosen(kinds, software_item, preview_software)
    return source.chosen(kinds, item_of, preview_item)


def earlier_selection_rows(source: str, columns: Mapping[str, str]) -> SelectionRows:
    """Return what versions without the setting did with the selection rows of a source.

    They left out those of the published data sets, and kept all others as ordinary questions.
    """
    published = Path(source).name in {Path(name).name for name in PUBLISHED}
    if published or is_micro(source):
        return "leave-out"
    return "keep" if open_source(source, columns).counts["selection"] else "leave-out"


def row_counts(rows: Sequence[Any]) -> dict[str, int]:
    """Return the number of RL rows, selection rows, pairs and others of what rows were taken from.

    ``other_letters`` are rows with several images and a letter after B.  Of the micro world,
    nothing.
    """
    source = rows.source if isinstance(rows, LazyRows) else None
    if not isinstance(source, Source):
        return {}
    return {str(kind): n for kind, n in source.counts.items()} | {
        "other_letters": source.other_letters
    }


def count_lines(name: str, counts: Mapping[str, int], selection_rows: str) -> list[str]:
    """Return the counts of a source's rows for people, and what may be wrong with them."""
    if not counts:
        return []
    kinds = {"pairs": "pairs", "rl": "RL rows", "selection": "selection rows", "others": "others"}
    there = [f"{counts[kind]} {shown}" for kind, shown in kinds.items() if counts[kind]]
    lines = [f"{name}: {', '.join(there) or 'no rows'}"]
    if counts["selection"] and counts["other_letters"] and selection_rows == "leave-out":
        lines.append(
            f"  {counted(counts['other_letters'], 'further row')} with several images and a letter "
            "after B: if all these are ordinary choice questions, give --selection-rows keep"
        )
    return lines
