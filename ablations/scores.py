"""From runs on disk to arrays: which runs may be compared, and their scores by item and seed.

Folders of runs come in, grouped by arm; a `ScoreTable` leaves.  What cannot be compared is refused
in one line; items without a score in some run are left out everywhere, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from ablations.statistics import Array, Items, cluster_warning
from harness.errors import UsageError
from harness.records import Sample
from harness.store import read_manifest, read_samples


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores of several arms on the benchmarks and items that all their runs share.

    ``scores`` maps benchmark and arm to seeds x items (repeats averaged), ``items`` says how a
    benchmark's items hang together.  ``single`` names the benchmarks that every run answered once
    an item.  ``notes`` are sentences that belong beside any number made of the table: benchmarks
    and items that were left out, clusters that are few.
    """

    scores: Mapping[str, Mapping[str, Array]]
    items: Mapping[str, Items]
    single: frozenset[str]
    notes: tuple[str, ...]

    def only(self, arms: Iterable[str]) -> ScoreTable:
        """Return the table of some of the arms, on the same items."""
        wanted = list(arms)
        scores = {name: {arm: found[arm] for arm in wanted} for name, found in self.scores.items()}
        return ScoreTable(scores, self.items, self.single, self.notes)


@dataclass(frozen=True, slots=True)
class _Run:
    arm: str
    path: Path
    manifest: Mapping[str, Any]

    @property
    def model(self) -> str:
        return str(self.manifest["model"]["fingerprint"])

    def asked(self, benchmark: str) -> dict[str, Any]:
        """What decides whether two runs were asked the same in the same way, by its name."""
        entry = self.manifest["benchmarks"].get(benchmark, {})
        sampling = self.manifest["sampling"]
        names = {
            "protocol_hash": "protocol",
            "data_fingerprint": "data",
            "max_tokens": "max_tokens",
        }
        return {
            **{word: entry.get(name) for name, word in names.items()},
            "headline": tuple(entry.get("headline", ())),
            "temperature": sampling["temperature"],
            "top_p": sampling["top_p"],
        }


def read(groups: Mapping[str, Sequence[Path]]) -> ScoreTable:
    """Read the runs of every arm, one run a training seed.

    Raises:
        UsageError: a folder is no run, one run or checkpoint counts as several seeds, no benchmark
            is in all runs, or two runs differ in protocol, data, sampling, scorer or items.
    """
    runs = [_open(arm, path) for arm, paths in groups.items() for path in paths]
    _check_distinct(runs)
    names, notes = _common(runs)
    scores: dict[str, dict[str, Array]] = {}
    items: dict[str, Items] = {}
    single = set()
    for name in names:
        _check_protocols(runs, name)
        samples = [read_samples(run.path, name) for run in runs]
        values = [_by_item(rows.values()) for rows in samples]
        _check_items(runs, samples, name)
        kept = sorted(item for item in values[0] if all(item in found for found in values))
        if not kept:
            notes.append(f"{name}: left out, no item has a score in every run")
            continue
        first = {row.id: row for row in samples[0].values() if row.score.value is not None}
        items[name] = _items([first[item] for item in kept], runs[0].asked(name)["headline"], name)
        scores[name] = {
            arm: np.array(
                [[found[i] for i in kept] for run, found in zip(runs, values, strict=True)
                 if run.arm == arm]
            )
            for arm in groups
        }  # fmt: skip
        if all(len(rows) == len({item for item, _ in rows}) for rows in samples):
            single.add(name)
        notes += _remarks(name, len({i for i, _ in samples[0]}) - len(kept), items[name])
    if not scores:
        raise UsageError(f"nothing to compare: {notes[-1]}")
    return ScoreTable(scores, items, frozenset(single), tuple(notes))


def _open(arm: str, path: Path) -> _Run:
    manifest = read_manifest(path)
    for name, wanted in {"model": ("fingerprint",), "sampling": ("temperature", "top_p")}.items():
        if not set(wanted) <= set(manifest.get(name) or ()):
            raise UsageError(f"{path / 'manifest.json'} is garbled (its {name}): run again")
    return _Run(arm, path, manifest)


def _check_distinct(runs: Sequence[_Run]) -> None:
    """Refuse one run given twice, and one checkpoint given as several training seeds."""
    for number, run in enumerate(runs):
        for other in runs[:number]:
            if other.path.resolve() == run.path.resolve():
                raise UsageError(f"{run.path} is given twice: every run counts once")
            if other.arm == run.arm and other.model == run.model:
                raise UsageError(
                    f"{other.path} and {run.path} are of one and the same checkpoint "
                    f"({run.manifest['model'].get('name')}): each run of a side must be of another "
                    "training seed (behind an endpoint, tell them apart with --revision)"
                )


def _common(runs: Sequence[_Run]) -> tuple[list[str], list[str]]:
    """Return the benchmarks that all runs hold, and a note on each that only some hold."""
    held = [[n for n in run.manifest["benchmarks"] if _holds(run, n)] for run in runs]
    names = [name for name in held[0] if all(name in other for other in held)]
    notes = []
    for name in dict.fromkeys(name for found in held for name in found if name not in names):
        lacking = next(run.path for run, found in zip(runs, held, strict=True) if name not in found)
        notes.append(f"{name}: left out, {lacking} holds no answers to it")
    if not names:
        listed = ", ".join(
            f"{run.path} ({', '.join(n) or 'empty'})" for run, n in zip(runs, held, strict=True)
        )
        raise UsageError(f"the runs have no benchmark in common: {listed}")
    return names, notes


def _holds(run: _Run, benchmark: str) -> bool:
    path = run.path / "samples" / f"{benchmark}.jsonl"
    return path.exists() and path.stat().st_size > 0


def _check_protocols(runs: Sequence[_Run], name: str) -> None:
    expected = runs[0].asked(name)
    for run in runs[1:]:
        for word, value in run.asked(name).items():
            if value != expected[word]:
                raise UsageError(
                    f"{name}: {runs[0].path} and {run.path} differ in {word} "
                    f"({_short(expected[word])} and {_short(value)}): "
                    "only runs of one protocol on the same data can be compared"
                )


def _short(value: Any) -> str:
    return str(value)[:12]


def _check_items(
    runs: Sequence[_Run], samples: Sequence[Mapping[tuple[str, int], Sample]], name: str
) -> None:
    """Refuse runs that were asked different items or scored by different scorers."""
    asked = [{item for item, _ in rows} for rows in samples]
    scorers = [
        {row.scoring for row in rows.values() if row.score.value is not None} for rows in samples
    ]
    for run, found, by in zip(runs[1:], asked[1:], scorers[1:], strict=True):
        if found != asked[0]:
            raise UsageError(
                f"{name}: {runs[0].path} holds {len(asked[0])} items and {run.path} {len(found)}, "
                f"{len(found & asked[0])} of them in common: fill both with the same "
                "`harness run` (and --limit)"
            )
        if by and scorers[0] and by != scorers[0]:
            raise UsageError(
                f"{name}: {runs[0].path} and {run.path} were scored by different versions of the "
                "scorer: run the same `harness run` again, which only scores the stored answers"
            )


def _by_item(rows: Iterable[Sample]) -> dict[str, float]:
    """Return the mean over repeats of every item that has a score."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.score.value is not None:
            found.setdefault(row.id, []).append(row.score.value)
    return {item: fmean(values) for item, values in found.items()}


def _items(rows: Sequence[Sample], headline: Sequence[str], name: str) -> Items:
    clusters = np.unique([row.cluster for row in rows], return_inverse=True)[1]
    if not headline:
        return Items(clusters, np.ones((len(rows), 1), dtype=bool))
    parts = np.array([[part in row.parts for part in headline] for row in rows])
    for part, members in zip(headline, parts.T, strict=True):
        if not members.any():
            raise UsageError(
                f"{name}: no item of its part {part} has a score in every run, so there is no "
                "score to compare: fill the runs further"
            )
    return Items(clusters, parts)


def _remarks(name: str, dropped: int, items: Items) -> list[str]:
    notes = []
    if dropped:
        plural = "items" if dropped > 1 else "item"
        notes.append(f"{name}: {dropped} {plural} without a score in some run left out of all")
    warning = cluster_warning(items)
    if warning:
        notes.append(f"{name}: {warning}, so inference over items is not to be trusted")
    return notes
