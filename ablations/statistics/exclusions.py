"""Items excluded from a comparison because they are in the training data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ablations.statistics.estimates import Verdict
from benchmarks.data.local.json_rows import JsonLines
from harness.errors import UsageError

Exclusions = Mapping[str, frozenset[str]]
"""Ids of items by benchmark."""
NOT_HELD = "--exclude: the runs hold none of its items"
NOTHING: Exclusions = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class WithAllItems:
    """A difference with no item excluded, in units of the score."""

    name: str
    delta: float
    low: float | None
    high: float | None
    verdict: Verdict | None


def read_exclusions(path: Path | None) -> Exclusions:
    """Return the items to exclude, from a file that ``harness pairs check --tainted`` wrote.

    JSON lines with ``benchmark`` and ``item``; None: nothing. `UsageError` if the file cannot be
    read, or a line lacks one of the two.
    """
    if path is None:
        return NOTHING
    lines = JsonLines(path, remedy="")
    items: dict[str, set[str]] = defaultdict(set)
    for index, row in enumerate(lines):
        benchmark, item = row.get("benchmark"), row.get("item")
        if not isinstance(benchmark, str) or not isinstance(item, str):
            raise UsageError(f"{lines.where(index)}: benchmark and item must be given as text")
        items[benchmark].add(item)
    return {benchmark: frozenset(names) for benchmark, names in items.items()}
