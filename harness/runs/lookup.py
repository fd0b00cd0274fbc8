"""Find the runs below a folder, with state and scores, and an item in a run; changes nothing."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from harness.errors import UsageError
from harness.files.locking import is_held
from harness.files.text import counted
from harness.reasoning import extra_tags
from harness.records import Sample
from harness.runs.sources import entry
from harness.runs.store import (
    SampleKey,
    SecondaryKind,
    SecondaryScore,
    answer_hash,
    read_json,
    read_manifest,
    read_samples,
    secondary_rows,
)
from harness.runs.summary import BenchmarkSummary, macro_average, read_summaries

_DEEPEST = 5  # levels below the folder: a study's runs are three below `studies`

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

    ``wanted`` is an item id, or ``benchmark/id``. Raises `UsageError` if the folder is not a run,
    no such item is stored (names the nearest), or several benchmarks have it.
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
    return {
        kind: {
            (row.id, row.repeat, row.answer): row for row in secondary_rows(run, kind, benchmark)
        }
        for kind in get_args(SecondaryKind)
    }


def _latest(
    known: Mapping[tuple[str, int, str], SecondaryScore], sample: Sample
) -> SecondaryScore | None:
    if sample.response is None or not known:
        return None
    return known.get((sample.id, sample.repeat, answer_hash(sample.response.answer)))


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run: its model, state, and scores in [0, 1].

    ``state`` is "running" while a process holds it, "stopped" if it lacks answers that its last
    command requested, "errors" if responses failed, else "finished"; or "unreadable" with the
    ``reason``. ``worked`` is when the last command ended or, without an end, began (UTC, ISO
    format).
    """

    folder: Path
    state: str
    model: str = ""
    suite: str = ""
    worked: str = ""
    rows: tuple[BenchmarkSummary, ...] = ()
    reason: str = ""

    @property
    def mean(self) -> float | None:
        """The mean over benchmarks, None if one has no score."""
        scored = self.rows and all(row.strict is not None for row in self.rows)
        return macro_average(self.rows) if scored else None

    @property
    def answers(self) -> int:
        """The number of stored answers."""
        return sum(row.answers for row in self.rows)

    @property
    def errors(self) -> int:
        """The number of infrastructure failures among them."""
        return sum(row.errors for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Return the run's entry in ``harness runs --json``."""
        own = ("state", "reason", "model", "suite", "worked", "mean", "answers", "errors")
        names = ("benchmark", "n", "strict", "stderr", "native", "errors")
        benchmarks = [{name: getattr(row, name) for name in names} for row in self.rows]
        entry = {name: getattr(self, name) for name in own}
        return {"run": str(self.folder), **entry, "benchmarks": benchmarks}


def runs(folder: Path) -> Iterator[RunLine]:
    """Yield the runs in and below a folder, by path."""
    return filter(None, map(_line, holders(folder, "manifest.json")))


def holders(folder: Path, name: str) -> Iterator[Path]:
    """Yield the folders in and below one that contain a file of this name; links are not followed.

    Raises `UsageError` if there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}: name the one to search")
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        folders.sort()
        if name in files:
            yield here
        if name in files or len(here.relative_to(folder).parts) >= _DEEPEST:
            folders.clear()


def _holds_pairs(folder: Path) -> bool:
    """Whether a folder is a build of pairs, whose manifest has the same file name."""
    try:
        plan = read_json(folder / "manifest.json").get("plan")
    except UsageError:
        return False
    return isinstance(plan, dict) and "command" in plan


def _line(run: Path) -> RunLine | None:
    """Return the line of a run; None for a build of pairs."""
    try:
        manifest, rows = read_manifest(run), read_summaries(run)
    except UsageError as error:
        if _holds_pairs(run):
            return None
        return RunLine(run, "unreadable", reason=str(error))
    last: dict[str, Any] = {"benchmarks": list(rows), "repeats": 1}  # not recorded
    last |= manifest["invocations"][-1] if manifest["invocations"] else {}
    line = RunLine(
        run,
        "finished",
        manifest["model"]["name"],
        manifest["suite"],
        str(last.get("ended") or last.get("started") or ""),
        tuple(rows[name] for name in manifest["benchmarks"] if name in rows),
    )
    if is_held(run):
        return replace(line, state="running")
    if not all(_was_filled(manifest, last, rows.get(name), name) for name in last["benchmarks"]):
        return replace(line, state="stopped")
    return replace(line, state="errors") if line.errors else line


def _was_filled(
    manifest: Mapping[str, Any], last: Mapping[str, Any], row: BenchmarkSummary | None, name: str
) -> bool:
    """Whether a benchmark has all that the last command requested."""
    if row is None:
        return False
    if last.get("ids"):
        return bool(row.answers >= last["ids"].get(name, 0) * last["repeats"])
    n = manifest["benchmarks"][name].get("n") or row.n
    wanted = min(n, last.get("limit") or n)
    return len(row.covered) >= last["repeats"] and all(
        items >= wanted for items in row.covered[: last["repeats"]]
    )
