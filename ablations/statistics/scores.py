"""From runs on disk to arrays of scores by item and seed; which runs may be compared.

Items without a score in some run are left out everywhere, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from ablations.statistics.estimates import Array, Items, cluster_warning
from harness.errors import UsageError
from harness.files.hashing import json_hash
from harness.runs.store import read_manifest, read_samples, samples_size
from harness.runs.summary import notes_of


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores of several arms on the benchmarks and items that all their runs share.

    ``scores`` maps benchmark and arm to seeds x items (repeats averaged), ``items`` says how a
    benchmark's items are grouped.  ``single`` names the benchmarks that every run answered once
    per item.  ``notes`` belong next to any number made of the table: benchmarks and items that were
    left out, clusters that are few, data that are not what an id promises.
    """

    scores: Mapping[str, Mapping[str, Array]]
    items: Mapping[str, Items]
    single: frozenset[str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    arm: str
    path: Path
    manifest: Mapping[str, Any]

    @property
    def model(self) -> str:
        return str(self.manifest["model"]["fingerprint"])

    def note(self, benchmark: str) -> str:
        """The caveat on its scores of a benchmark."""
        return str(self.manifest["benchmarks"].get(benchmark, {}).get("note", ""))

    def asked(self, benchmark: str) -> dict[str, Any]:
        """What decides whether two runs were asked the same in the same way, by its name."""
        entry = self.manifest["benchmarks"].get(benchmark, {})
        return {
            "protocol": entry.get("protocol_hash"),
            "data": entry.get("data_fingerprint"),
            "max_tokens": entry.get("max_tokens"),
            "headline": tuple(entry.get("headline", ())),
            "temperature": self.manifest["sampling"]["temperature"],
            "top_p": self.manifest["sampling"]["top_p"],
        }


def read(groups: Mapping[str, Sequence[Path]]) -> ScoreTable:
    """Read the runs of every arm, one run per training seed.

    `UsageError` where a folder is not a run, a run or checkpoint counts as several seeds, no
    benchmark is in all runs, or two runs differ in protocol, data, sampling, scorer or items.
    """
    runs, names, notes = _opened(groups)
    scores: dict[str, dict[str, Array]] = {}
    items: dict[str, Items] = {}
    single = set()
    for name in names:
        answers = [_read_answers(run, name) for run in runs]
        first = answers[0]
        _check_items(runs, answers, name)
        kept = sorted(set.intersection(*(set(of_run.values) for of_run in answers)))
        if not kept:
            notes.append(f"{name}: left out, no item has a score in every run")
            continue
        headline = runs[0].asked(name)["headline"]
        items[name] = _items([first.kinds[item] for item in kept], headline, name)
        rows = [[of_run.values[item] for item in kept] for of_run in answers]
        scores[name] = {
            arm: np.array([row for run, row in zip(runs, rows, strict=True) if run.arm == arm])
            for arm in groups
        }
        if all(of_run.single for of_run in answers):
            single.add(name)
        notes += _remarks(name, len(first.asked) - len(kept), items[name])
    if not scores:
        raise UsageError(f"nothing to compare: {notes[-1]}")
    notes += notes_of((name, run.note(name)) for name in scores for run in runs)
    return ScoreTable(scores, items, frozenset(single), tuple(notes))


def identity(path: Path, benchmarks: Sequence[str]) -> tuple[str, str]:
    """Return the fingerprint of a run's model, and a hash of the run without its answers.

    The hash is of the model, of what was asked of these benchmarks and how, and of when the run was
    begun: a moved run keeps it, a repeated one has another.  `UsageError` if it is not a run.
    """
    run = _Run("", path, read_manifest(path))
    begun = [invocation.get("started") for invocation in run.manifest["invocations"][:1]]
    return run.model, json_hash([run.model, begun, {name: run.asked(name) for name in benchmarks}])


def check(groups: Mapping[str, Sequence[Path]]) -> None:
    """Refuse what `read` refuses of runs that cannot be compared, before an answer is read."""
    _opened(groups)


def _opened(groups: Mapping[str, Sequence[Path]]) -> tuple[list[_Run], list[str], list[str]]:
    """Return the runs, the benchmarks that all of them hold, and notes on the others."""
    runs = [_Run(arm, path, read_manifest(path)) for arm, paths in groups.items() for path in paths]
    _check_distinct(runs)
    names, notes = _common(runs)
    for name in names:
        _check_protocols(runs, name)
    return runs, names, notes


@dataclass(frozen=True, slots=True)
class _Answers:
    """What one run says of one benchmark, without the texts, which may be gigabytes.

    ``asked`` are all items, ``values`` the mean over repeats of those with a score, ``kinds``
    their clusters and parts, ``scorers`` the versions that scored them; ``single``: no repeats.
    """

    asked: frozenset[str]
    values: Mapping[str, float]
    kinds: Mapping[str, tuple[str, tuple[str, ...]]]
    scorers: frozenset[str]
    single: bool


def _read_answers(run: _Run, name: str) -> _Answers:
    samples = read_samples(run.path, name)
    values: dict[str, list[float]] = {}
    kinds, scorers = {}, set()
    for row in samples.values():
        if row.score.value is not None:
            values.setdefault(row.id, []).append(row.score.value)
            kinds[row.id] = (row.cluster, row.parts)
            scorers.add(row.scoring)
    asked = frozenset(item for item, _ in samples)
    return _Answers(
        asked,
        {item: fmean(repeats) for item, repeats in values.items()},
        kinds,
        frozenset(scorers),
        len(asked) == len(samples),
    )


def _check_distinct(runs: Sequence[_Run]) -> None:
    """Refuse one run given twice, and one checkpoint given as several training seeds."""
    for other, run in combinations(runs, 2):
        if other.path.resolve() == run.path.resolve():
            raise UsageError(f"{run.path} is given twice: every run counts once")
        if other.arm == run.arm and other.model == run.model:
            raise UsageError(
                f"{other.path} and {run.path} are runs of the same checkpoint "
                f"({run.manifest['model'].get('name')}): runs of a side must differ in their "
                "training seed (behind an endpoint, tell them apart with --revision)"
            )


def _common(runs: Sequence[_Run]) -> tuple[list[str], list[str]]:
    """Return the benchmarks that all runs hold, and a note on each that only some hold."""
    held = [(run.path, [n for n in run.manifest["benchmarks"] if _holds(run, n)]) for run in runs]
    names = [name for name in held[0][1] if all(name in benchmarks for _, benchmarks in held)]
    notes = []
    for name in dict.fromkeys(name for _, benchmarks in held for name in benchmarks):
        if name not in names:
            lacking = next(path for path, benchmarks in held if name not in benchmarks)
            notes.append(f"{name}: left out, {lacking} holds no answers to it")
    if not names:
        listed = ", ".join(f"{path} ({', '.join(names_) or 'empty'})" for path, names_ in held)
        raise UsageError(f"the runs have no benchmark in common: {listed}")
    return names, notes


def _holds(run: _Run, benchmark: str) -> bool:
    return samples_size(run.path, benchmark) > 0


def _check_protocols(runs: Sequence[_Run], name: str) -> None:
    expected = runs[0].asked(name)
    for run in runs[1:]:
        for setting, value in run.asked(name).items():
            if value != expected[setting]:
                raise UsageError(
                    f"{name}: {runs[0].path} and {run.path} differ in {setting} "
                    f"({str(expected[setting])[:12]} and {str(value)[:12]}): "
                    "only runs of one protocol on the same data can be compared"
                )


def _check_items(runs: Sequence[_Run], answers: Sequence[_Answers], name: str) -> None:
    """Refuse runs that were asked different items or scored by different scorers."""
    first = answers[0]
    for run, other in zip(runs[1:], answers[1:], strict=True):
        if other.asked != first.asked:
            raise UsageError(
                f"{name}: {runs[0].path} holds {len(first.asked)} items and {run.path} "
                f"{len(other.asked)}, {len(other.asked & first.asked)} of them in common: fill "
                "both with the same `harness run` (and --limit)"
            )
        if other.scorers and first.scorers and other.scorers != first.scorers:
            raise UsageError(
                f"{name}: {runs[0].path} and {run.path} were scored by different versions of the "
                "scorer: run the same `harness run` again, which only scores the stored answers"
            )


def _items(
    kinds: Sequence[tuple[str, tuple[str, ...]]], headline: Sequence[str], name: str
) -> Items:
    clusters = np.unique([cluster for cluster, _ in kinds], return_inverse=True)[1]
    if not headline:
        return Items(clusters, np.ones((len(kinds), 1), dtype=bool))
    members = np.array([[part in parts for part in headline] for _, parts in kinds])
    for part, column in zip(headline, members.T, strict=True):
        if not column.any():
            raise UsageError(
                f"{name}: no item of its part {part} has a score in every run, so there is no "
                "score to compare: fill the runs further"
            )
    return Items(clusters, members)


def _remarks(name: str, dropped: int, items: Items) -> list[str]:
    notes = []
    if dropped:
        plural = "items" if dropped > 1 else "item"
        notes.append(f"{name}: {dropped} {plural} without a score in some run left out of all")
    warning = cluster_warning(items)
    if warning:
        notes.append(f"{name}: {warning}, so inference over items is not to be trusted")
    return notes
