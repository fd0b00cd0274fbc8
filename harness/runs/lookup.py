"""Find an item in a run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.files.text import counted
from harness.reasoning import extra_tags
from harness.records import Sample
from harness.runs.sources import entry
from harness.runs.store import (
    SampleKey,
    SecondaryKind,
    SecondaryScore,
    answer_hash,
    read_manifest,
    read_samples,
    secondary_rows,
)

# By kind, then by item id, repeat and `answer_hash`.
Verdicts = Mapping[SecondaryKind, Mapping[tuple[str, int, str], SecondaryScore]]


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """A stored answer with its latest verdicts, None if there is none.

    ``note`` is the run's caveat on the benchmark or its data, "" if none; ``source`` is the
    manifest's entry for the responding model, None if not recorded. ``around`` holds the settings
    around the stored prompt, ``system_prompt`` and ``prompt_suffix``.
    """

    benchmark: str
    sample: Sample
    native: SecondaryScore | None
    judged: SecondaryScore | None
    note: str
    source: dict[str, Any] | None
    around: Mapping[str, str | None] = field(default_factory=dict)


def find(run: Path, wanted: str) -> list[ShownAnswer]:
    """Return every repeat of one item.

    ``wanted`` is an item id, or ``benchmark/id``.

    Raises:
        UsageError: the folder is not a run, no such item is stored (names the nearest), or several
            benchmarks have it.
    """
    manifest = read_manifest(run)
    names, item_id = list(manifest["benchmarks"]), wanted
    benchmark, _, rest = wanted.partition("/")
    if benchmark in names and rest:
        names, item_id = [benchmark], rest
    stored = {name: read_samples(run, name) for name in names}
    name = _holder(run, stored, item_id, within=item_id != wanted)
    samples = [sample for key, sample in sorted(stored[name].items()) if key[0] == item_id]
    return shown(run, manifest, name, samples)


def shown(
    run: Path,
    manifest: Mapping[str, Any],
    benchmark: str,
    samples: Iterable[Sample],
    known: Verdicts | None = None,
) -> list[ShownAnswer]:
    """Return samples of one benchmark with everything else the run stores about them.

    ``known`` are its `verdicts`, if already read.
    """
    known = verdicts(run, benchmark) if known is None else known
    settings = manifest.get("settings") or {}
    around = {each: settings.get(each) for each in ("system_prompt", "prompt_suffix")}
    with extra_tags(manifest.get("reasoning_tags", [])):
        return [
            ShownAnswer(
                benchmark,
                sample,
                _latest(known["native"], sample),
                _latest(known["judged"], sample),
                note=manifest["benchmarks"][benchmark].get("note", ""),
                source=entry(manifest, sample.source),
                around=around,
            )
            for sample in samples
        ]


def _holder(
    run: Path, stored: Mapping[str, Mapping[SampleKey, Sample]], wanted: str, *, within: bool
) -> str:
    """Return the one benchmark with this item; ``within``: the user named the benchmark."""
    ids = {(name, item_id) for name, rows in stored.items() for item_id, _ in rows}
    holders = [name for name in stored if (name, wanted) in ids]
    if not holders:
        of = f" of {next(iter(stored))}" if within else ""
        raise UsageError(
            f"{run} holds no item {wanted}{of} ({counted(len(ids), 'item')}{of} stored)"
            + _nearest(wanted, list(stored), ids)
        )
    if len(holders) > 1:
        raise UsageError(
            f"{wanted} is an item of {', '.join(holders)}: choose one, e.g. {holders[0]}/{wanted}"
        )
    return holders[0]


def _nearest(wanted: str, names: Sequence[str], ids: Set[tuple[str, str]]) -> str:
    """Return a hint: a benchmark with a similar name, else an item, with its benchmark."""
    benchmark, _, rest = wanted.partition("/")
    if rest and (near := difflib.get_close_matches(benchmark, names, n=1)):
        return f"; did you mean {near[0]}/{rest}?"
    holders = {item_id: name for name, item_id in sorted(ids)}
    close = difflib.get_close_matches(wanted, holders, n=1)
    return f"; did you mean {holders[close[0]]}/{close[0]}?" if close else ""


def verdicts(run: Path, benchmark: str) -> Verdicts:
    """Return the last stored native and judged score per answer, from any judge."""
    kinds: tuple[SecondaryKind, ...] = ("native", "judged")
    return {
        kind: {
            (row.id, row.repeat, row.answer): row for row in secondary_rows(run, kind, benchmark)
        }
        for kind in kinds
    }


def _latest(
    known: Mapping[tuple[str, int, str], SecondaryScore], sample: Sample
) -> SecondaryScore | None:
    if sample.response is None or not known:
        return None
    return known.get((sample.id, sample.repeat, answer_hash(sample.response.answer)))
