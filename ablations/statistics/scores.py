"""From runs on disk to arrays of scores by item and seed; which runs may be compared.

Items without a score in some run are left out everywhere, and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any

import numpy as np

from ablations.statistics.contrasts import BASE
from ablations.statistics.estimates import Array, Items
from ablations.statistics.exclusions import NOTHING, Exclusions
from harness.errors import UsageError
from harness.files.hashing import json_hash
from harness.runs.store import read_manifest, read_samples, samples_size
from harness.runs.summary import notes_of

MAX_ERRORS = 0.01
"""The share of an arm's answers to a benchmark that may lack a score without a word."""


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores of several arms on the benchmarks and items that all their runs share.

    ``scores`` maps benchmark and arm to seeds x items (repeats averaged), ``items`` says how a
    benchmark's items are grouped.  ``single`` names the benchmarks that every run answered once
    per item.  ``notes`` belong next to any number made of the table: benchmarks and items that were
    left out, clusters that are few, data that are not what an id promises.  ``gaps`` are the
    answers without a score, ``backends`` the inference backends with their dtypes, by arm.
    ``sampled``: the answers were drawn at a temperature above 0.  ``excluded`` counts the items
    that were to be left out, by benchmark.
    """

    scores: Mapping[str, Mapping[str, Array]]
    items: Mapping[str, Items]
    single: frozenset[str]
    notes: tuple[str, ...]
    gaps: tuple[Gap, ...] = ()
    backends: Mapping[str, frozenset[str]] = field(default_factory=dict)
    sampled: bool = False
    excluded: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gap:
    """One benchmark of one arm: ``missing`` of its ``answers`` have no score.

    Both are 0 where a run of the arm does not hold the benchmark.
    """

    benchmark: str
    arm: str
    missing: int
    answers: int


@dataclass(frozen=True, slots=True)
class _Run:
    arm: str
    path: Path
    manifest: Mapping[str, Any]

    @property
    def model(self) -> str:
        return str(self.manifest["model"]["fingerprint"])

    @property
    def temperature(self) -> float:
        return float(self.manifest["sampling"]["temperature"])

    @property
    def backends(self) -> set[str]:
        """The inference backends that answered, with the dtype where it is known."""
        return {_backend(invocation) for invocation in self.manifest["invocations"]}

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
            "temperature": self.temperature,
            "top_p": self.manifest["sampling"]["top_p"],
        }


def _backend(invocation: Mapping[str, Any]) -> str:
    """Return the inference backend of an invocation, and its dtype: of auto that of the weights."""
    backend = invocation.get("backend") or {}
    dtype = (backend.get("options") or {}).get("dtype")
    if dtype == "auto":
        dtype = invocation.get("weights_dtype") or dtype
    return f"{backend.get('kind')} ({dtype})" if dtype else str(backend.get("kind"))


def read(groups: Mapping[str, Sequence[Path]], exclude: Exclusions = NOTHING) -> ScoreTable:
    """Read the runs of every arm, one run per training seed, without the items to ``exclude``.

    `UsageError` where a folder is not a run, a run or checkpoint counts as several seeds, no
    benchmark is in all runs, or two runs differ in protocol, data, sampling, scorer or items.
    """
    runs, names, lacking = _opened(groups)
    gaps = [Gap(*pair, 0, 0) for pair in dict.fromkeys((name, run.arm) for name, run in lacking)]
    first = {name: run.path for name, run in reversed(lacking)}
    notes = [f"{name}: left out, {first[name]} holds no answers to it" for name in reversed(first)]
    scores: dict[str, dict[str, Array]] = {}
    items: dict[str, Items] = {}
    single, excluded = set(), {}
    for name in names:
        answers = [_read_answers(run, name, exclude.get(name, frozenset())) for run in runs]
        asked_first = answers[0]
        _check_items(runs, answers, name)
        gaps += _gaps(runs, answers, name)
        if asked_first.excluded:
            excluded[name] = asked_first.excluded
        kept = sorted(set.intersection(*(set(of_run.values) for of_run in answers)))
        if not kept:
            notes.append(f"{name}: left out, no item has a score in every run")
            continue
        headline = runs[0].asked(name)["headline"]
        items[name] = _items([asked_first.kinds[item] for item in kept], headline, name)
        rows = [[of_run.values[item] for item in kept] for of_run in answers]
        scores[name] = {
            arm: np.array([row for run, row in zip(runs, rows, strict=True) if run.arm == arm])
            for arm in groups
        }
        if all(of_run.single for of_run in answers):
            single.add(name)
        notes += _remarks(name, len(asked_first.asked) - len(kept), items[name])
    if not scores:
        raise UsageError(f"nothing to compare: {notes[-1]}")
    notes += notes_of((name, run.note(name)) for name in scores for run in runs)
    backends = {
        arm: frozenset[str]().union(*(run.backends for run in runs if run.arm == arm))
        for arm in groups
    }
    return ScoreTable(
        scores,
        items,
        frozenset(single),
        tuple(notes),
        tuple(gaps),
        backends,
        sampled=runs[0].temperature > 0,
        excluded=excluded,
    )


def gap_notes(
    gaps: Sequence[Gap], allowed: float, names: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Return a note per benchmark of which more than a share of an arm's answers has no score.

    ``names`` are what arms are called, where that is not their name.
    """
    by_benchmark: dict[str, list[str]] = {}
    for gap in gaps:
        if gap.answers == 0 or gap.missing > allowed * gap.answers:
            name = names.get(gap.arm, gap.arm)
            count = f"{gap.missing} of {gap.answers} in {name}" if gap.answers else f"all of {name}"
            by_benchmark.setdefault(gap.benchmark, []).append(count)
    return [
        f"{name}: answers without a score: {', '.join(arms)}" for name, arms in by_benchmark.items()
    ]


def backend_notes(
    backends: Mapping[str, frozenset[str]], names: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Return a note where arms were run by other inference backends or in other dtypes."""
    if len(frozenset[str]().union(*backends.values())) < 2:
        return []
    arms: dict[str, list[str]] = {}
    for arm, used in backends.items():
        arms.setdefault(" and ".join(sorted(used)), []).append(names.get(arm, arm))
    listed = "; ".join(f"{', '.join(several)}: {used}" for used, several in arms.items())
    return [f"not run alike, which alone can make a difference ({listed})"]


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


def _opened(
    groups: Mapping[str, Sequence[Path]],
) -> tuple[list[_Run], list[str], list[tuple[str, _Run]]]:
    """Return the runs and what `_common` says of them, once they are comparable."""
    runs = [_Run(arm, path, read_manifest(path)) for arm, paths in groups.items() for path in paths]
    _check_distinct(runs)
    names, lacking = _common(runs)
    for name in names:
        _check_protocols(runs, name)
    return runs, names, lacking


@dataclass(frozen=True, slots=True)
class _Answers:
    """What one run says of one benchmark, without the texts, which may be gigabytes.

    ``asked`` are all items, ``values`` the mean over repeats of those with a score, ``kinds``
    their clusters and parts, ``scorers`` the versions that scored them; ``single``: no repeats.
    ``missing`` of all ``answers`` (items x repeats) have no score.  ``excluded`` items are in none
    of these.
    """

    asked: frozenset[str]
    values: Mapping[str, float]
    kinds: Mapping[str, tuple[str, tuple[str, ...]]]
    scorers: frozenset[str]
    single: bool
    missing: int
    answers: int
    excluded: int


def _read_answers(run: _Run, name: str, exclude: frozenset[str]) -> _Answers:
    every = read_samples(run.path, name)
    samples = {key: row for key, row in every.items() if row.id not in exclude}
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
        missing=sum(row.score.value is None for row in samples.values()),
        answers=len(samples),
        excluded=len({row.id for row in every.values()} & exclude),
    )


def _check_distinct(runs: Sequence[_Run]) -> None:
    """Refuse one run given twice, and one checkpoint given as several training seeds."""
    for other, run in combinations(runs, 2):
        if other.path.resolve() == run.path.resolve():
            raise UsageError(f"{run.path} is given twice: every run counts once")
        if other.arm == run.arm and other.model == run.model and not _resampled(other, run):
            differ = "training seed (behind an endpoint, tell them apart with --revision)"
            if run.arm == BASE:
                differ = "sampling seed (`harness run --seed`, with a --temperature above 0)"
            raise UsageError(
                f"{other.path} and {run.path} are runs of the same checkpoint "
                f"({run.manifest['model'].get('name')}): runs of a side must differ in their "
                f"{differ}"
            )


def _resampled(other: _Run, run: _Run) -> bool:
    """Whether two runs of the model before training are samples of their own: by their seeds."""
    if run.arm != BASE or run.temperature == 0:
        return False
    return bool(other.manifest["sampling"]["seed"] != run.manifest["sampling"]["seed"])


def _common(runs: Sequence[_Run]) -> tuple[list[str], list[tuple[str, _Run]]]:
    """Return the benchmarks that all runs hold, and each other one with the runs that lack it."""
    held = [[name for name in run.manifest["benchmarks"] if _holds(run, name)] for run in runs]
    lacking = [
        (name, run)
        for name in dict.fromkeys(name for benchmarks in held for name in benchmarks)
        for run, benchmarks in zip(runs, held, strict=True)
        if name not in benchmarks
    ]
    names = [name for name in held[0] if name not in dict(lacking)]
    if not names:
        listed = ", ".join(
            f"{run.path} ({', '.join(benchmarks) or 'empty'})"
            for run, benchmarks in zip(runs, held, strict=True)
        )
        raise UsageError(f"the runs have no benchmark in common: {listed}")
    return names, lacking


def _gaps(runs: Sequence[_Run], answers: Sequence[_Answers], name: str) -> list[Gap]:
    """Return how many answers have no score, of each arm that has such."""
    missing, total = Counter[str](), Counter[str]()
    for run, of_run in zip(runs, answers, strict=True):
        missing[run.arm] += of_run.missing
        total[run.arm] += of_run.answers
    return [Gap(name, arm, missing[arm], total[arm]) for arm in total if missing[arm]]


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
    if warning := items.profile.warning:
        notes.append(f"{name}: {warning}")
    return notes
