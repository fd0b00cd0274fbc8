"""What a run says: per benchmark the scores, the counts of what went wrong, and whether it is full.

Derived from the samples alone, so it can always be made again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from harness.protocols import Declaration
from harness.records import Sample
from harness.runs.store import (
    SampleKey,
    Verdict,
    VerdictKind,
    read_samples,
    read_verdicts,
    samples_size,
)


@dataclasses.dataclass(frozen=True, slots=True)
class BenchmarkSummary:
    """The result of one benchmark in one run; scores are between 0 and 1, None where there is none.

    ``strict`` is the headline.  ``native`` is the wrapped library's own scoring, over the
    ``native_n`` answers for which it gave a value; ``native_missing`` it has still to come to.
    Where ``native_needs_judge`` and none was given there is none.  ``judged`` is the official
    protocol with ``judge``, over the ``judged_n`` answers on which there is a verdict;
    ``judged_missing`` are still to be judged.  ``n`` counts items, ``answers`` items x repeats, of
    which ``unparsable``, ``unscored``, ``errors`` and ``truncated`` are counts, and
    ``prompts_truncated`` of those whose prompt was cut to the protocol's limit; answers on which
    the judge gave no verdict are ``unscored``.  ``covered`` says how many leading items of the data
    were asked for, by repeat.  ``scoring`` and ``samples_bytes`` tell what the summary is of.
    ``note`` is the benchmark's own, where its data are not what the id promises.  ``empty`` and
    ``reasoning_only`` answers are among the unparsable, those that a content filter withheld
    (``filtered``) among the unscored.
    """

    benchmark: str
    n: int
    answers: int
    strict: float | None
    native: float | None
    judged: float | None
    parts: Mapping[str, float | None]
    unparsable: int
    unscored: int
    errors: int
    truncated: int
    prompts_truncated: int
    native_n: int
    native_missing: int
    native_rules: str
    native_judge: str | None
    judged_n: int
    judged_missing: int
    judged_rules: str
    judge: str | None
    covered: Sequence[int]
    scoring: str
    samples_bytes: int
    note: str = ""
    native_needs_judge: bool = False
    empty: int = 0
    reasoning_only: int = 0
    filtered: int = 0


def summarise(
    run: Path,
    declaration: Declaration,
    covered: Sequence[int],
    judge: str | None,
    samples: Mapping[SampleKey, Sample] | None = None,
) -> BenchmarkSummary:
    """Return the summary of one benchmark of a run; None reads the samples that are stored."""
    if samples is None:
        samples = read_samples(run, declaration.id)
    if not (declaration.native_needs_judge or declaration.judged_rules):
        judge = None
    native_verdict = native_verdicts(run, declaration, judge, samples)
    native = {key: _value(verdict) for key, verdict in native_verdict.items()}
    judged_verdict = judged_verdicts(run, declaration, judge, samples)
    judged = {key: _value(verdict) for key, verdict in judged_verdict.items()}
    strict = {key: sample.score.value for key, sample in samples.items()}
    status = [sample.score.status for sample in samples.values()]
    absence = [sample.response.absence for sample in samples.values() if sample.response]
    return BenchmarkSummary(
        benchmark=declaration.id,
        n=len({key[0] for key in samples}),
        answers=len(samples),
        strict=headline(declaration, samples, strict),
        native=headline(declaration, samples, native),
        judged=headline(declaration, samples, judged),
        parts=parts(samples, strict),
        unparsable=status.count("unparsable"),
        unscored=status.count("unscored") + list(judged.values()).count(None),
        errors=status.count("error"),
        truncated=sum(bool(s.response and s.response.truncated) for s in samples.values()),
        prompts_truncated=sum(
            bool(s.response and s.response.prompt_tokens_cut) for s in samples.values()
        ),
        native_n=sum(value is not None for value in native.values()),
        native_missing=list(native_verdict.values()).count(None),
        native_rules=declaration.native_rules,
        native_judge=judge if declaration.native_needs_judge else None,
        judged_n=sum(value is not None for value in judged.values()),
        judged_missing=list(judged_verdict.values()).count(None),
        judged_rules=declaration.judged_rules,
        judge=judge,
        covered=list(covered),
        scoring="+".join(sorted({sample.scoring for sample in samples.values()})),
        samples_bytes=samples_size(run, declaration.id),
        note=declaration.note,
        native_needs_judge=declaration.native_needs_judge,
        empty=absence.count("empty"),
        reasoning_only=absence.count("reasoning_only"),
        filtered=absence.count("filtered"),
    )


def notes_of(notes: Iterable[tuple[str, str]]) -> list[str]:
    """Return each note once from pairs of a benchmark and its note, "" where it has none.

    Its benchmarks' names come first, unless it is the note of all of several.
    """
    named: dict[str, dict[str, None]] = {}
    every = set()
    for benchmark, note in notes:
        every.add(benchmark)
        if note:
            named.setdefault(note, {})[benchmark] = None
    return [
        note if len(names) == len(every) > 1 else f"{', '.join(names)}: {note}"
        for note, names in named.items()
    ]


def verdicts(
    run: Path,
    kind: VerdictKind,
    benchmark: str,
    rules: str,
    judge: str | None,
    samples: Mapping[SampleKey, Sample],
) -> dict[SampleKey, Verdict | None]:
    """Return the verdict on every answered sample, None where there is none on this answer."""
    rows = read_verdicts(run, kind, benchmark, judge)
    current: dict[SampleKey, Verdict | None] = {}
    for key, sample in samples.items():
        if sample.response is not None:
            row = rows.get(key)
            current[key] = row if row and row.holds(sample.response.answer, rules) else None
    return current


def native_verdicts(
    run: Path, declared: Declaration, judge: str | None, samples: Mapping[SampleKey, Sample]
) -> dict[SampleKey, Verdict | None]:
    """Return the native scores as `verdicts` does; empty where they are not to be had."""
    if not declared.native_rules or (declared.native_needs_judge and judge is None):
        return {}
    judge = judge if declared.native_needs_judge else None
    return verdicts(run, "native", declared.id, declared.native_rules, judge, samples)


def judged_verdicts(
    run: Path, declared: Declaration, judge: str | None, samples: Mapping[SampleKey, Sample]
) -> dict[SampleKey, Verdict | None]:
    """Return the judge's verdicts as `verdicts` does; empty where nobody judges."""
    if not declared.judged_rules or judge is None:
        return {}
    return verdicts(run, "judged", declared.id, declared.judged_rules, judge, samples)


def _value(verdict: Verdict | None) -> float | None:
    return verdict.value if verdict else None


def headline(
    declaration: Declaration,
    samples: Mapping[SampleKey, Sample],
    values: Mapping[SampleKey, float | None],
) -> float | None:
    """Return a benchmark's score from the values of its samples; see `benchmark_score`."""
    members = {sample.id: sample.parts for sample in samples.values()}
    return benchmark_score(_item_means(values), members, declaration.headline)


def benchmark_score(
    values: Mapping[str, float], parts: Mapping[str, Collection[str]], headline: Sequence[str]
) -> float | None:
    """Return a benchmark's score: the mean over its items, or over the parts of ``headline``.

    `ablations.statistics.estimates.Items` is the same for many seeds at once; a test holds them
    together.

    Args:
        values: by item, the mean over its repeats.
        parts: by item, the parts that it counts towards.
        headline: the parts that the score is the mean of; empty for all items alike.

    Returns:
        None where there are no values, or none of a part: the mean of the others would be another
        score.
    """
    groups = [[item for item in values if part in parts[item]] for part in headline]
    groups = groups or [list(values)]
    if not all(groups):
        return None
    return fmean(fmean(values[item] for item in group) for group in groups)


def parts(
    samples: Mapping[SampleKey, Sample], values: Mapping[SampleKey, float | None]
) -> dict[str, float | None]:
    """Return the mean over the items of each part."""
    members: dict[str, dict[SampleKey, float | None]] = {}
    for key, sample in samples.items():
        for part in sample.parts:
            members.setdefault(part, {})[key] = values.get(key)
    return {part: benchmark_score(_item_means(members[part]), {}, ()) for part in sorted(members)}


def _item_means(values: Mapping[SampleKey, float | None]) -> dict[str, float]:
    """Return each item's mean over its repeats: one with more repeats weighs no more."""
    by_item: dict[str, list[float]] = {}
    for (item_id, _), value in values.items():
        if value is not None:
            by_item.setdefault(item_id, []).append(value)
    return {item: fmean(repeats) for item, repeats in by_item.items()}


def items_json(run: Path, row: BenchmarkSummary) -> list[dict[str, Any]]:
    """Return the per-item rows of one benchmark for ``--json``."""
    samples = read_samples(run, row.benchmark)
    name = row.benchmark
    native = verdicts(run, "native", name, row.native_rules, row.native_judge, samples)
    judged = verdicts(run, "judged", name, row.judged_rules, row.judge, samples)
    return [
        {
            "id": sample.id,
            "repeat": sample.repeat,
            "value": sample.score.value,
            "status": sample.score.status,
            "prediction": sample.score.prediction,
            "native": _value(native.get(key)),
            "judged": _value(judged.get(key)),
        }
        for key, sample in samples.items()
    ]
