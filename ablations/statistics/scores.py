"""Read runs into arrays of scores by item and seed, and check that they are comparable.

Items without a score in some run, or that not every log holds, are left out everywhere, and
counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any

import numpy as np

from ablations.statistics.design.roles import STANDARD
from ablations.statistics.estimates import Array, Items
from ablations.statistics.exclusions import NOTHING, Exclusions
from harness.backends.models.settings import decisive
from harness.errors import UsageError
from harness.files.hashing import json_hash
from harness.files.text import counted, is_abridged
from harness.runs.store import UNKNOWN, read_manifest, read_marks, read_prompts, samples_size
from harness.runs.summary import notes_of

MAX_ERRORS = 0.01
"""The share of an arm's answers to a benchmark that may lack a score without a word."""

_CONTENT = {"prompts": "prompts", "documents": "data"}  # what a manifest hashes per item


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores of several arms on the benchmarks and items shared by all their runs.

    ``scores`` maps benchmark and arm to seeds x items (repeats averaged), ``items`` gives each
    benchmark's grouping. ``single`` names the benchmarks that every run answered once per item.
    ``notes`` go with any number from the table: omitted benchmarks and items, few clusters, data
    that differ from what an id promises. ``gaps`` are unscored answers, ``backends`` the inference
    backends with their dtypes, by arm. ``sampled``: answers were drawn at a temperature above 0.
    ``excluded`` counts excluded items by benchmark, ``left_out`` names these and the items
    unscored or not held in some run. ``parts`` names the parts of each item.
    """

    scores: Mapping[str, Mapping[str, Array]]
    items: Mapping[str, Items]
    single: frozenset[str]
    notes: tuple[str, ...]
    gaps: tuple[Gap, ...] = ()
    backends: Mapping[str, Set[str]] = field(default_factory=dict)
    sampled: bool = False
    excluded: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parts: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gap:
    """One benchmark of one arm: ``missing`` of its ``answers`` are unscored.

    Both are 0 where a run of the arm does not hold the benchmark.  ``left_out`` of its items are
    not in every run; neither they nor their answers count.
    """

    benchmark: str
    arm: str
    missing: int
    answers: int
    left_out: int = 0


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
        return temperature_of(self.manifest)

    @property
    def is_given(self) -> bool:
        """Whether its responses were imported, so that unrecorded settings are unknown."""
        kinds = {
            str((each.get("backend") or {}).get("kind")) for each in self.manifest["invocations"]
        }
        return self.manifest.get("origin") == "imported" or kinds == {"responses"}

    @property
    def backends(self) -> set[str]:
        """The kinds of backends that answered, with the dtype of the weights where it is known."""
        used = set()
        for invocation in self.manifest["invocations"]:
            backend = invocation.get("backend") or {}
            dtype = (backend.get("options") or {}).get("dtype")
            if dtype == "auto":
                dtype = invocation.get("weights_dtype") or dtype
            used.add(f"{backend.get('kind')} ({dtype})" if dtype else str(backend.get("kind")))
        return used

    def note(self, benchmark: str) -> str:
        return str(self.manifest["benchmarks"].get(benchmark, {}).get("note", ""))

    def asked(self, benchmark: str) -> dict[str, Any]:
        """The prompt and sampling settings that must match between runs, by name."""
        return decisive(self.recorded(benchmark))

    def recorded(self, benchmark: str) -> dict[str, Any]:
        entry = self.manifest["benchmarks"].get(benchmark, {})
        asked = {
            "protocol": entry.get("protocol_hash"),
            "data": entry.get("data_fingerprint"),
            "headline": tuple(entry.get("headline", ())),
        }
        drawn = {"max_tokens": entry.get("max_tokens")}
        if self.manifest.get("origin") == "imported":
            drawn |= entry.get("sampling", {})
        elif self.is_given:
            drawn = {}
        else:
            drawn |= {**self.manifest["sampling"], "temperature": self.temperature}
            drawn |= self.manifest.get("settings") or {}
        return {**asked, **{name: value for name, value in drawn.items() if name != "seed"}}

    def known(self, benchmark: str, what: str) -> Any:
        """Return one of these settings; UNKNOWN if the run does not record it."""
        return self.asked(benchmark).get(what, UNKNOWN if self.is_given else None)


def temperature_of(manifest: Mapping[str, Any]) -> float:
    """Return the sampling temperature of a run; 0 if a log does not state it."""
    value = manifest["sampling"]["temperature"]
    return 0.0 if value == UNKNOWN else float(value)


def read(
    groups: Mapping[str, Sequence[Path]],
    exclude: Exclusions = NOTHING,
    start: str | None = STANDARD.start,
    *,
    overlap: bool = False,
) -> ScoreTable:
    """Read the runs of every arm, one run per training seed, without the items to ``exclude``.

    Of ``start``, the model before training, several are samples of one model.  With ``overlap``
    only the items that all hold are read of logs of different items, which nobody can fill.
    `UsageError` if a folder is not a run, a run or checkpoint counts as several seeds, no benchmark
    is in all runs, or two runs differ in protocol, data, sampling, scorer or items.
    """
    runs, names, lacking, unknown = _opened(groups, start)
    gaps, notes = _left_out(lacking)
    scores: dict[str, dict[str, Array]] = {}
    items, parts, left_out, excluded, single = {}, {}, {}, {}, set()
    for name in names:
        answers, others = _of_same_items(runs, name, exclude, overlap=overlap)
        _check_scoring(runs, answers, name)
        content = _check_prompts(runs, name, answers) if others else _check_content(runs, name)
        notes += _unrecorded(name, unknown[name], content)
        first, kept = answers[0], set.intersection(*(set(of_run.values) for of_run in answers))
        if kept:
            kinds, scores[name] = _by_arm(runs, answers, sorted(kept))
            items[name] = _items(kinds, runs[0].asked(name)["headline"], name)
            parts[name] = [of_item for _, of_item in kinds]
            single |= {name} if all(of_run.single for of_run in answers) else set()
            notes += _remarks(name, len(first.asked) - len(kept), items[name])
            notes += _regrouped(runs, answers, name)
        else:
            notes.append(f"{name}: left out, no item has a score in every run")
        excluded[name] = len(first.excluded)
        left_out[name] = tuple(sorted(first.asked.union(first.excluded, *others.values()) - kept))
        gaps += _gaps(runs, answers, name, others)
    if not scores:
        raise UsageError(_nothing(runs, names))
    return ScoreTable(
        scores,
        items,
        frozenset(single),
        (*notes, *notes_of((name, run.note(name)) for name in scores for run in runs)),
        tuple(gaps),
        {arm: set[str]().union(*(r.backends for r in runs if r.arm == arm)) for arm in groups},
        sampled=runs[0].temperature > 0,
        excluded={name: number for name, number in excluded.items() if number},
        left_out={name: ids for name, ids in left_out.items() if ids},
        parts=parts,
    )


def _nothing(runs: Sequence[_Run], names: Sequence[str]) -> str:
    imported = any(run.manifest.get("origin") == "imported" for run in runs)
    hint = ": import the logs again with the data, or with --source-scores" if imported else ""
    return f"nothing to compare: no item of {', '.join(names)} has a score in every run{hint}"


def _unrecorded(name: str, unknown: Sequence[str], content: Mapping[str, bool]) -> list[str]:
    """Return a note on what some run does not record; its data are known where its log has them."""
    missing = [each for each in unknown if not (each == "data" and content["data"])]
    missing += [what for what, known in content.items() if not known]
    listed = ", ".join(dict.fromkeys(missing))
    return [f"{name}: not recorded by every run: {listed}"] if listed else []


def _left_out(lacking: Sequence[tuple[str, _Run]]) -> tuple[list[Gap], list[str]]:
    first = {name: run.path for name, run in reversed(lacking)}
    return (
        [Gap(*pair, 0, 0) for pair in dict.fromkeys((name, run.arm) for name, run in lacking)],
        [f"{name}: left out, {first[name]} holds no answers to it" for name in reversed(first)],
    )


def _by_arm(
    runs: Sequence[_Run], answers: Sequence[_Answers], kept: Sequence[str]
) -> tuple[list[tuple[str, tuple[str, ...]]], dict[str, Array]]:
    """Return the items' clusters and parts, and their scores by arm, seeds x items."""
    rows: dict[str, list[list[float]]] = {}
    for run, of_run in zip(runs, answers, strict=True):
        rows.setdefault(run.arm, []).append([of_run.values[item] for item in kept])
    kinds = [answers[0].kinds[item] for item in kept]
    return kinds, {arm: np.array(seeds) for arm, seeds in rows.items()}


def gap_notes(
    gaps: Sequence[Gap], allowed: float, names: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Return notes on benchmarks with too many unscored answers; ``names``: of arms, as shown."""
    by_benchmark: dict[str, list[str]] = {}
    for gap in gaps:
        if gap.answers == 0 or gap.missing > allowed * gap.answers:
            name = names.get(gap.arm, gap.arm)
            count = f"{gap.missing} of {gap.answers} in {name}" if gap.answers else f"all of {name}"
            by_benchmark.setdefault(gap.benchmark, []).append(count)
    return [
        f"{name}: answers without a score: {', '.join(arms)}" for name, arms in by_benchmark.items()
    ]


def overlap_notes(
    gaps: Sequence[Gap], names: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Return notes on how many items are left out, by arm, as runs hold different ones."""
    by_benchmark: dict[str, list[str]] = {}
    for gap in (gap for gap in gaps if gap.left_out):
        count = f"{counted(gap.left_out, 'item')} of {names.get(gap.arm, gap.arm)}"
        by_benchmark.setdefault(gap.benchmark, []).append(count)
    return [
        f"{name}: the logs hold different items, so only those that all hold are compared; left "
        f"out: {', '.join(counts)}"
        for name, counts in by_benchmark.items()
    ]


def backend_notes(
    backends: Mapping[str, Set[str]], names: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Return a note if arms were run with different inference backends or dtypes."""
    if len(set[str]().union(*backends.values())) < 2:
        return []
    arms: dict[str, list[str]] = {}
    for arm, used in backends.items():
        arms.setdefault(" and ".join(sorted(used)), []).append(names.get(arm, arm))
    listed = "; ".join(f"{', '.join(several)}: {used}" for used, several in arms.items())
    return [f"run in different ways, which alone can make a difference ({listed})"]


def side_notes(
    table: ScoreTable, names: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, ...]:
    """Return notes on what, besides the models, makes arms differ; ``names`` as of `gap_notes`."""
    return (
        *overlap_notes(table.gaps, names),
        *gap_notes(table.gaps, MAX_ERRORS, names),
        *backend_notes(table.backends, names),
    )


def identity(path: Path, benchmarks: Sequence[str]) -> tuple[str, str]:
    """Return the fingerprint of a run's model, and a hash of the run without its answers.

    The hash covers the model, the protocols and settings of these benchmarks, and the start time:
    moving a run keeps it, repeating it does not. `UsageError` if it is not a run.
    """
    run = _Run("", path, read_manifest(path))
    begun = [invocation.get("started") for invocation in run.manifest["invocations"][:1]]
    asked = {name: run.recorded(name) for name in benchmarks}
    return run.model, json_hash([run.model, begun, asked])


def check(groups: Mapping[str, Sequence[Path]], start: str | None = STANDARD.start) -> None:
    """Reject runs that `read` would reject as not comparable, before reading any answer."""
    _opened(groups, start)


def _opened(
    groups: Mapping[str, Sequence[Path]], start: str | None
) -> tuple[list[_Run], list[str], list[tuple[str, _Run]], dict[str, list[str]]]:
    """Return comparable runs, the result of `_common`, and what is unknown."""
    runs = [_Run(arm, path, read_manifest(path)) for arm, paths in groups.items() for path in paths]
    _check_distinct(runs, start)
    names, lacking = _common(runs)
    return runs, names, lacking, {name: _check_protocols(runs, name) for name in names}


@dataclass(frozen=True, slots=True)
class _Answers:
    """One run's answers to one benchmark, without the texts, which may be gigabytes.

    ``asked`` are all items, ``values`` means over repeats of scored items, ``kinds`` their clusters
    and parts, ``targets`` hashes of the right answers, ``scorers`` the scorer versions; ``single``:
    no repeats. ``missing`` of all ``answers`` (items x repeats) are unscored. ``excluded`` items
    are in none of these.
    """

    asked: frozenset[str]
    values: Mapping[str, float]
    kinds: Mapping[str, tuple[str, tuple[str, ...]]]
    targets: Mapping[str, int]
    scorers: frozenset[str]
    single: bool
    missing: int
    answers: int
    excluded: frozenset[str]


def _read_answers(
    run: _Run, name: str, exclude: frozenset[str], only: frozenset[str] | None = None
) -> _Answers:
    values: dict[str, list[float]] = {}
    kinds: dict[str, tuple[str, tuple[str, ...]]] = {}
    targets: dict[str, int] = {}
    asked, scorers, left_out = set(), set(), set()
    answers = missing = 0
    for row in read_marks(run.path, name).values():
        if row.id in exclude:
            left_out.add(row.id)
            continue
        if only is not None and row.id not in only:
            continue
        asked.add(row.id)
        answers += 1
        if (value := row.score.value) is None:
            missing += 1
            continue
        values.setdefault(row.id, []).append(value)
        kinds[row.id] = (row.id if row.cluster == row.id else row.cluster, row.parts)
        targets[row.id] = _hashed(row.target)
        scorers.add(row.scoring)
    return _Answers(
        frozenset(asked),
        {item: each[0] if len(each) == 1 else fmean(each) for item, each in values.items()},
        kinds,
        targets,
        frozenset(scorers),
        len(asked) == answers,
        missing=missing,
        answers=answers,
        excluded=frozenset(left_out),
    )


def _hashed(target: Any) -> int:
    """Return a hash of a right answer; most are texts, and there may be a million."""
    if isinstance(target, str):
        return hash((target,))  # a value that is not JSON text
    return hash(json.dumps(target, sort_keys=True))


def _check_distinct(runs: Sequence[_Run], start: str | None) -> None:
    """Reject a run given twice, or one checkpoint given as several training seeds."""
    for other, run in combinations(runs, 2):
        if other.path.resolve() == run.path.resolve():
            raise UsageError(f"{run.path} is given twice: every run counts once")
        a, b = (each.manifest["sampling"] for each in (other, run))
        resampled = run.arm == start and run.temperature != 0 and a["seed"] != b["seed"]
        if other.arm == run.arm and other.model == run.model and not resampled:
            differ = "training seed (behind an endpoint, tell them apart with --revision)"
            if run.arm == start:
                differ = "sampling seed (`harness run --seed`, with a --temperature above 0)"
            raise UsageError(
                f"{other.path} and {run.path} are runs of the same checkpoint "
                f"({run.manifest['model'].get('name')}): runs of a side must differ in their "
                f"{differ}"
            )


def _common(runs: Sequence[_Run]) -> tuple[list[str], list[tuple[str, _Run]]]:
    """Return the benchmarks in all runs, and every other one with the runs that lack it."""
    held = [
        [name for name in run.manifest["benchmarks"] if samples_size(run.path, name) > 0]
        for run in runs
    ]
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


def _gaps(
    runs: Sequence[_Run], answers: Sequence[_Answers], name: str, others: Mapping[str, set[str]]
) -> list[Gap]:
    """Return how many answers have no score and how many items are left out, by arm with such."""
    missing, total = Counter[str](), Counter[str]()
    for run, of_run in zip(runs, answers, strict=True):
        missing[run.arm] += of_run.missing
        total[run.arm] += of_run.answers
    gaps = [Gap(name, arm, missing[arm], total[arm], len(others.get(arm, ()))) for arm in total]
    return [gap for gap in gaps if gap.missing or gap.left_out]


def _check_protocols(runs: Sequence[_Run], name: str) -> list[str]:
    """Reject runs with different settings; return the settings that some run does not record."""
    unknown = []
    for setting in dict.fromkeys(setting for run in runs for setting in run.asked(name)):
        told = [(run, value) for run in runs if (value := run.known(name, setting)) != UNKNOWN]
        if len(told) < len(runs):
            unknown.append(setting)
        for run, value in told[1:]:
            first, expected = told[0]
            if value != expected:
                raise UsageError(
                    f"{name}: {first.path} and {run.path} differ in {setting} "
                    f"({str(expected)[:12]} and {str(value)[:12]}): "
                    "only runs of one protocol on the same data can be compared"
                )
    return unknown


def _check_content(runs: Sequence[_Run], name: str) -> dict[str, bool]:
    """Reject imported runs whose items differ in content; return whether all logs record it."""
    logs = [(run, run.manifest["benchmarks"].get(name, {}).get("log")) for run in runs]
    known: dict[str, bool] = {}
    for what, meaning in _CONTENT.items():
        held = [(run, log[what]) for run, log in logs if log is not None and what in log]
        told = [(run, value) for run, value in held if value != UNKNOWN]
        known[meaning] = len(told) == len(held)
        for run, value in told[1:]:
            if value != told[0][1]:
                raise UsageError(
                    f"{name}: {told[0][0].path} and {run.path} differ in their {meaning}, by what "
                    "their logs hold: only answers to the same questions can be compared"
                )
    return known


def _of_same_items(
    runs: Sequence[_Run], name: str, exclude: Exclusions, *, overlap: bool
) -> tuple[list[_Answers], dict[str, set[str]]]:
    """Return the runs' answers to the items that all hold, and the other items of each arm.

    Others are refused unless only logs lack items (``overlap``), and all have most in common: half
    of those of the shortest, else they are logs of other items, with ids that are alike by chance.
    A run of ours that lacks some can be filled: what it holds may be the answers that came first.
    """
    without = exclude.get(name, frozenset())
    answers = [_read_answers(run, name, without) for run in runs]
    common = frozenset.intersection(*(each.asked for each in answers))
    if all(each.asked == common for each in answers):
        return answers, {}
    every = frozenset[str]().union(*(each.asked for each in answers))
    short = [run for run, each in zip(runs, answers, strict=True) if each.asked != every]
    of_logs = all(run.is_given for run in short)
    if not (overlap and of_logs) or 2 * len(common) < min(len(each.asked) for each in answers):
        held = [(run.path, each.asked) for run, each in zip(runs, answers, strict=True)]
        pairs = combinations(held, 2)
        (a, first), (b, second) = min(pairs, key=lambda of: _shared(of[0][1], of[1][1]))
        fill = "fill our runs with the same `harness run` (and --limit)"
        raise UsageError(
            f"{name}: {a} holds {counted(len(first), 'item')} and {b} {len(second)}, "
            f"{len(first & second)} of them in common: "
            f"{'import logs of the same items' if of_logs else fill}"
        )
    others: dict[str, set[str]] = {}
    for run, each in zip(runs, answers, strict=True):
        others.setdefault(run.arm, set()).update(each.asked - common)
    again = [_read_answers(run, name, without, common) for run in runs]
    return again, others


def _shared(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b)


def _check_prompts(runs: Sequence[_Run], name: str, answers: Sequence[_Answers]) -> dict[str, bool]:
    """Refuse logs whose shared items were asked with other words; return whether all tell it.

    The hashes of `_check_content` are of all items of a log, so only prompts stored whole are known
    to be the same, and the data of no log that has a hash of them.
    """
    entries = [(run, run.manifest["benchmarks"].get(name, {}).get("log")) for run in runs]
    logs = [(run, log) for run, log in entries if log is not None]
    told: dict[str, tuple[Path, tuple[str, ...]]] = {}
    known = True
    for run, _ in logs:
        for (item, repeat), prompt in read_prompts(run.path, name).items():
            if repeat or item not in answers[0].asked:
                continue
            known &= bool(prompt) and not any(map(is_abridged, prompt))
            if prompt and (first := told.setdefault(item, (run.path, prompt)))[1] != prompt:
                raise UsageError(
                    f"{name}: {first[0]} and {run.path} differ in the prompt of {item}, by "
                    "what their logs hold: only answers to the same questions can be compared"
                )
    return {"prompts": known, "data": not any("documents" in log for _, log in logs)}


def _check_scoring(runs: Sequence[_Run], answers: Sequence[_Answers], name: str) -> None:
    """Refuse runs whose items were scored by other scorers or have other right answers."""
    first = answers[0]
    for run, other in zip(runs[1:], answers[1:], strict=True):
        if other.scorers and first.scorers and other.scorers != first.scorers:
            raise UsageError(
                f"{name}: {runs[0].path} and {run.path} were scored by different versions of the "
                f"scorer ({', '.join(sorted(first.scorers))} and "
                f"{', '.join(sorted(other.scorers))}): run the same command (`harness run`, "
                "`import` or `ablate`) again, which only scores the answers"
            )
        if others := _differing(other.targets, first.targets):
            raise UsageError(
                f"{name}: the right answer to {others[0]} is another in {run.path} than in "
                f"{runs[0].path} ({counted(len(others), 'such item')}): one of them was changed; "
                "compare runs as `harness run` left them"
            )


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    return sorted(item for item in a.keys() & b.keys() if a[item] != b[item])


def _regrouped(runs: Sequence[_Run], answers: Sequence[_Answers], name: str) -> list[str]:
    """Return a note if runs group items differently (clusters, parts): intervals depend on it."""
    for run, other in zip(runs[1:], answers[1:], strict=True):
        if others := _differing(other.kinds, answers[0].kinds):
            return [
                f"{name}: in other clusters or parts in {run.path} than in {runs[0].path}, whose "
                f"count: {len(others)} of the items"
            ]
    return []


def _items(
    kinds: Sequence[tuple[str, tuple[str, ...]]], headline: Sequence[str], name: str
) -> Items:
    codes = {each: code for code, each in enumerate(sorted({cluster for cluster, _ in kinds}))}
    clusters = np.array([codes[cluster] for cluster, _ in kinds])
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
        left_out = counted(dropped, "item")
        notes.append(f"{name}: {left_out} without a score in some run left out of all")
    if warning := items.profile.warning:
        notes.append(f"{name}: {warning}")
    return notes
