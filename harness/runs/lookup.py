"""Finding one item in a run."""

from __future__ import annotations

import difflib
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.records import Sample
from harness.runs.sources import entry
from harness.runs.store import (
    SecondaryKind,
    SecondaryScore,
    answer_hash,
    read_manifest,
    read_samples,
    secondary_rows,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A stored answer with the latest verdicts on it, None where there is none.

    ``note`` is what the run says of the benchmark or its data, "" where nothing; ``source`` is the
    manifest's entry of what answered, None where it was not recorded.
    """

    benchmark: str
    sample: Sample
    native: SecondaryScore | None
    judged: SecondaryScore | None
    note: str
    source: dict[str, Any] | None


def find(run: Path, wanted: str) -> list[Found]:
    """Return every repeat of one item.

    ``wanted`` is an item id, or ``benchmark/id``.

    Raises:
        UsageError: the folder is not a run, no such item is stored (names the nearest), or several
            benchmarks have it.
    """
    manifest = read_manifest(run)
    entries = manifest["benchmarks"]
    names, asked = list(entries), wanted
    benchmark, _, rest = wanted.partition("/")
    if benchmark in names and rest:
        names, wanted = [benchmark], rest
    stored = {name: read_samples(run, name) for name in names}
    holders = [name for name, rows in stored.items() if any(i == wanted for i, _ in rows)]
    if not holders:
        ids = {(name, item_id) for name, rows in stored.items() for item_id, _ in rows}
        of = f" of {names[0]}" if wanted != asked else ""
        raise UsageError(
            f"{run} holds no item {wanted}{of} ({len(ids)} items{of} stored)"
            + _nearest(wanted, names, ids)
        )
    if len(holders) > 1:
        raise UsageError(
            f"{wanted} is an item of {', '.join(holders)}: choose one, e.g. {holders[0]}/{wanted}"
        )
    name = holders[0]
    return [
        Found(
            name,
            sample,
            _latest(run, "native", name, sample),
            _latest(run, "judged", name, sample),
            note=entries[name].get("note", ""),
            source=entry(manifest, sample.source),
        )
        for key, sample in sorted(stored[name].items())
        if key[0] == wanted
    ]


def _nearest(wanted: str, names: Sequence[str], ids: Set[tuple[str, str]]) -> str:
    """Return a hint: a benchmark that is spelled nearly so, else an item, with its benchmark."""
    benchmark, _, rest = wanted.partition("/")
    if rest and (near := difflib.get_close_matches(benchmark, names, n=1)):
        return f"; did you mean {near[0]}/{rest}?"
    holders = {item_id: name for name, item_id in sorted(ids)}
    close = difflib.get_close_matches(wanted, holders, n=1)
    return f"; the nearest is {holders[close[0]]}/{close[0]}" if close else ""


def _latest(
    run: Path, kind: SecondaryKind, benchmark: str, sample: Sample
) -> SecondaryScore | None:
    """Return the last stored score of a sample's present answer, whoever gave it."""
    if sample.response is None:
        return None
    key = (sample.id, sample.repeat, answer_hash(sample.response.answer))
    rows = secondary_rows(run, kind, benchmark)
    return next(
        (row for row in reversed(list(rows)) if (row.id, row.repeat, row.answer) == key), None
    )
