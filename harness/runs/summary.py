"""Summary of a run: scores, failure counts and completeness per benchmark.

Derived from the samples alone, so it can always be recomputed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose, sqrt
from pathlib import Path
from statistics import fmean
from typing import Any

from harness.errors import UsageError
from harness.files.typed_json import record
from harness.protocols import Declaration
from harness.records import Sample, Value
from harness.runs.sources import SourceCount, count_sources, merged
from harness.runs.store import (
    Mark,
    SampleKey,
    SecondaryKind,
    SecondaryScore,
    is_torn,
    read_json,
    read_marks,
    read_samples,
    read_secondary,
    samples_size,
)


@dataclass(frozen=True, slots=True)
class BenchmarkSummary:
    """The result of one benchmark in one run; scores are between 0 and 1, None if missing.

    ``strict`` is the headline, ``stderr`` its standard error over items (None in summaries by older
    versions). ``native`` is the wrapped library's own score, over the ``native_n`` answers for
    which it gave a value; ``native_missing`` are still to be scored. It is None if
    ``native_needs_judge`` and no judge was given. ``judged`` is the official protocol with
    ``judge``, over the ``judged_n`` answers with a verdict; ``judged_missing`` are still to be
    judged. ``n`` counts items, ``answers`` items x repeats, of which ``unparsable``, ``unscored``,
    ``errors`` and ``truncated`` are counts, and ``prompts_truncated`` of those whose prompt was cut
    to the protocol's limit; answers without a verdict from the judge are ``unscored``. ``covered``
    is the number of leading items of the data requested, by repeat. ``scoring`` and
    ``samples_bytes`` identify what was summarised. ``note`` is the benchmark's caveat, if its data
    differ from what the id promises; ``sources`` counts responses by source. ``empty`` and
    ``reasoning_only`` answers are among the unparsable, those withheld by a content filter
    (``filtered``) among the unscored. ``flags`` counts the responses with each `Score.flag`.
    """

    benchmark: str
    n: int
    answers: int
    strict: Value | None
    native: Value | None
    judged: Value | None
    parts: Mapping[str, Value | None]
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
    sources: Sequence[SourceCount] = ()
    empty: int = 0
    reasoning_only: int = 0
    filtered: int = 0
    flags: Mapping[str, int] = field(default_factory=dict)
    stderr: float | None = None


def summarise(
    run: Path,
    declaration: Declaration,
    covered: Sequence[int],
    judge: str | None,
    samples: Mapping[SampleKey, Sample],
) -> BenchmarkSummary:
    """Return the summary of one benchmark of a run, from its stored samples."""
    if not (declaration.native_needs_judge or declaration.judged_rules):
        judge = None
    native = stored_scores(run, "native", declaration, judge, samples)
    judged = stored_scores(run, "judged", declaration, judge, samples)
    native_values, judged_values = _values(native), _values(judged)
    no_verdict = list(judged_values.values()).count(None)
    return BenchmarkSummary(
        **_strict(declaration, samples, no_verdict),
        native=headline(declaration.headline, samples, native_values),
        native_n=len(native_values) - list(native_values.values()).count(None),
        native_missing=list(native.values()).count(None),
        native_rules=declaration.native_rules,
        native_judge=judge if declaration.native_needs_judge else None,
        native_needs_judge=declaration.native_needs_judge,
        judged=headline(declaration.headline, samples, judged_values),
        judged_n=len(judged_values) - no_verdict,
        judged_missing=list(judged.values()).count(None),
        judged_rules=declaration.judged_rules,
        judge=judge,
        covered=list(covered),
        samples_bytes=samples_size(run, declaration.id),
        note=declaration.note,
    )


def _strict(
    declaration: Declaration, samples: Mapping[SampleKey, Sample], no_verdict: int
) -> dict[str, Any]:
    values = {key: sample.score.value for key, sample in samples.items()}
    status = Counter(sample.score.status for sample in samples.values())
    responses = [sample.response for sample in samples.values() if sample.response]
    absent = Counter(response.absence for response in responses)
    return {
        "benchmark": declaration.id,
        "n": len({item_id for item_id, _ in samples}),
        "answers": len(samples),
        "strict": headline(declaration.headline, samples, values),
        "stderr": standard_error(declaration, samples),
        "parts": parts(samples, values),
        "unparsable": status["unparsable"],
        "unscored": status["unscored"] + no_verdict,
        "errors": status["error"],
        "truncated": sum(response.truncated for response in responses),
        "prompts_truncated": sum(response.prompt_tokens_cut > 0 for response in responses),
        "scoring": "+".join(sorted({sample.scoring for sample in samples.values()})),
        "sources": count_sources(samples.values()),
        "empty": absent["empty"],
        "reasoning_only": absent["reasoning_only"],
        "filtered": absent["filtered"],
        "flags": dict(
            Counter(sample.score.flag for sample in samples.values() if sample.score.flag)
        ),
    }


def read_summaries(run: Path) -> dict[str, BenchmarkSummary]:
    """Return the stored summaries of a run by benchmark; empty if it has none yet.

    Raises `UsageError` if the file is corrupt.
    """
    path = run / "summary.json"
    if not path.exists():
        return {}
    try:
        rows = record(list[BenchmarkSummary], read_json(path)["benchmarks"])
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"{path} is corrupt ({error}): run the same `harness run` again"
        ) from error
    return {row.benchmark: row for row in rows}


def checked_summaries(run: Path, manifest: Mapping[str, Any]) -> dict[str, BenchmarkSummary]:
    """Return the stored summaries after checking them against the samples.

    A benchmark that was continued since is not compared. Raises `UsageError` if the file is
    corrupt, or a score in it does not match its samples.
    """
    rows = read_summaries(run)
    for name, row in rows.items():
        if samples_size(run, name) != row.samples_bytes:
            continue
        parts_of_it = manifest["benchmarks"].get(name, {}).get("headline", ())
        for kind, (stored, made) in _derived_again(run, row, parts_of_it).items():
            if stored != made and not (stored and made and isclose(stored, made)):
                raise UsageError(
                    f"{run / 'summary.json'} has the {kind} {stored} of {name}, whose samples say "
                    f"{made}: remove summary.json and run the same `harness run` again"
                )
    return rows


def _derived_again(
    run: Path, row: BenchmarkSummary, parts_of_it: Sequence[str]
) -> dict[str, tuple[float | None, float | None]]:
    """Return a summary's scores and counts by name, each as stored and as recomputed."""
    samples: Mapping[SampleKey, Sample | Mark]
    native: Mapping[SampleKey, float | None] = {}
    judged = native
    if row.native_rules or row.judged_rules:
        samples = whole = read_samples(run, row.benchmark)
        native, judged = current_values(run, row, whole)
    else:  # a million answers are read without their texts
        samples = read_marks(run, row.benchmark)
    strict = {key: sample.score.value for key, sample in samples.items()}
    kinds = {"strict": strict, "native": native, "judged": judged}
    scores = {
        name: (getattr(row, name), headline(parts_of_it, samples, values))
        for name, values in kinds.items()
    }
    again = parts(samples, strict)
    names = sorted(row.parts.keys() | again.keys())
    scores |= {f"part {name}": (row.parts.get(name), again.get(name)) for name in names}
    counts = {"items": (row.n, len({item for item, _ in samples})),
              "answers": (row.answers, len(samples))}  # fmt: skip
    return {**scores, **counts}


def is_intact(run: Path) -> bool:
    """Whether a run has a manifest, and as many bytes as its summaries cover."""
    manifest = run / "manifest.json"
    if not manifest.exists() or is_torn(manifest):
        return False
    try:
        rows = read_summaries(run)
    except UsageError:
        return False
    return all(samples_size(run, name) == row.samples_bytes for name, row in rows.items())


def sources_of(rows: Iterable[BenchmarkSummary]) -> list[SourceCount]:
    """Return the sources of several benchmarks' responses."""
    return merged(count for row in rows for count in row.sources)


def macro_average(rows: Iterable[BenchmarkSummary]) -> float | None:
    """Return the mean of the benchmarks' strict scores, over those that have one; None if none."""
    scores = [row.strict for row in rows if row.strict is not None]
    return fmean(scores) if scores else None


def check_errors(counts: Iterable[tuple[str, int, int]], max_errors: float) -> None:
    """Check that at most a share ``max_errors`` in [0, 1] of answers are infrastructure failures.

    ``counts`` are, per benchmark (of one side of a comparison), its name, errors and answers.
    Raises `UsageError` if some benchmarks have more; names each with its counts.
    """
    above = [
        f"{name} {errors} of {answers} ({errors / answers:.1%})"
        for name, errors, answers in counts
        if errors > max_errors * answers
    ]
    if above:
        raise UsageError(
            f"more errors than --max-errors {max_errors:.4g} allows: {', '.join(above)}; "
            "all responses are stored: rerun the command to retry the errors"
        )


def notes_of(notes: Iterable[tuple[str, str]]) -> list[str]:
    """Merge pairs of a benchmark and its note ("" if none), returning each note once.

    Its benchmarks' names come first, unless all of several benchmarks share it.
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


def flags_of(rows: Iterable[BenchmarkSummary]) -> list[str]:
    """Return a line per benchmark and flag, with its number of responses."""
    return [
        f"{row.benchmark}: {count} of {row.answers} responses {flag}"
        for row in rows
        for flag, count in row.flags.items()
    ]


def stored_scores(
    run: Path,
    kind: SecondaryKind,
    declared: Declaration,
    judge: str | None,
    samples: Mapping[SampleKey, Sample],
) -> dict[SampleKey, SecondaryScore | None]:
    """Return the native or judged score of every answered sample, None if its answer has none.

    Empty without such scoring, or if it needs a judge and none was given.
    """
    native = kind == "native"
    rules = declared.native_rules if native else declared.judged_rules
    needs_judge = declared.native_needs_judge if native else True
    if not rules or (needs_judge and judge is None):
        return {}
    rows = read_secondary(run, kind, declared.id, judge if needs_judge else None)
    return _current(rows, rules, samples)


def _current(
    rows: Mapping[SampleKey, SecondaryScore], rules: str, samples: Mapping[SampleKey, Sample]
) -> dict[SampleKey, SecondaryScore | None]:
    """Return the row of every answered sample, None if its answer has none.

    A response withheld by a content filter is not an answer.
    """
    current: dict[SampleKey, SecondaryScore | None] = {}
    for key, sample in samples.items():
        if sample.response is not None and sample.response.absence != "filtered":
            row = rows.get(key)
            current[key] = row if row and row.holds(sample.response.answer, rules) else None
    return current


def current_values(
    run: Path, row: BenchmarkSummary, samples: Mapping[SampleKey, Sample]
) -> tuple[dict[SampleKey, float | None], dict[SampleKey, float | None]]:
    """Return the native and the judged scores behind a summary."""
    native = read_secondary(run, "native", row.benchmark, row.native_judge)
    judged = read_secondary(run, "judged", row.benchmark, row.judge)
    return (
        _values(_current(native, row.native_rules, samples)),
        _values(_current(judged, row.judged_rules, samples)),
    )


def _values(scores: Mapping[SampleKey, SecondaryScore | None]) -> dict[SampleKey, float | None]:
    return {key: score.value if score else None for key, score in scores.items()}


def headline(
    names: Sequence[str],
    samples: Mapping[SampleKey, Sample | Mark],
    values: Mapping[SampleKey, float | None],
) -> float | None:
    """Return a benchmark's score from its samples' values; see `benchmark_score`."""
    members = {sample.id: sample.parts for sample in samples.values()}
    return benchmark_score(_item_means(values), members, names)


def benchmark_score(
    values: Mapping[str, float], parts: Mapping[str, Collection[str]], headline: Sequence[str]
) -> float | None:
    """Return a benchmark's score: the mean over its items, or over the parts of ``headline``.

    `ablations.statistics.estimates.Items` does the same for many seeds at once; a test compares
    them.

    Args:
        values: by item, the mean over its repeats.
        parts: by item, the parts that it counts towards.
        headline: the parts that the score is the mean of; empty for the mean over items.

    Returns:
        None without values, or if a part has none: the mean of the others would be a different
            score.
    """
    groups = _groups(values, parts, headline)
    if not all(groups):
        return None
    return fmean(fmean(values[item] for item in group) for group in groups)


def standard_error(declaration: Declaration, samples: Mapping[SampleKey, Sample]) -> float | None:
    """Return the clustered standard error over items of a benchmark's score, in its units.

    sqrt(C/(C-1) * sum over clusters of (sum of the cluster's residuals)^2), with residuals taken
    within the parts of the headline (Miller 2024, arXiv 2411.00640). None without a score or with a
    single cluster.
    """
    values = _item_means({key: sample.score.value for key, sample in samples.items()})
    members = {sample.id: sample.parts for sample in samples.values()}
    clusters = {sample.id: sample.cluster for sample in samples.values() if sample.id in values}
    groups = _groups(values, members, declaration.headline)
    c = len(set(clusters.values()))
    if c < 2 or not all(groups):
        return None
    sums: dict[str, float] = dict.fromkeys(clusters.values(), 0.0)
    for group in groups:
        mean = fmean(values[item] for item in group)
        for item in group:
            sums[clusters[item]] += (values[item] - mean) / (len(group) * len(groups))
    return sqrt(c / (c - 1) * sum(total**2 for total in sums.values()))


def _groups(
    values: Mapping[str, float], parts: Mapping[str, Collection[str]], headline: Sequence[str]
) -> list[list[str]]:
    """Return the groups of items whose means are averaged: one per part, or all."""
    groups = [[item for item in values if part in parts[item]] for part in headline]
    return groups or [list(values)]


def parts(
    samples: Mapping[SampleKey, Sample | Mark], values: Mapping[SampleKey, float | None]
) -> dict[str, float | None]:
    """Return each part's mean over items."""
    members: dict[str, dict[SampleKey, float | None]] = {}
    for key, sample in samples.items():
        for part in sample.parts:
            members.setdefault(part, {})[key] = values.get(key)
    return {part: benchmark_score(_item_means(members[part]), {}, ()) for part in sorted(members)}


def _item_means(values: Mapping[SampleKey, float | None]) -> dict[str, float]:
    """Return each item's mean over its repeats, so that items weigh the same."""
    by_item: dict[str, list[float]] = {}
    for (item_id, _), value in values.items():
        if value is not None:
            by_item.setdefault(item_id, []).append(value)
    return {
        item: fmean(repeats) if len(repeats) > 1 else float(repeats[0])
        for item, repeats in by_item.items()
    }


def items_json(run: Path, row: BenchmarkSummary) -> list[dict[str, Any]]:
    """Return one benchmark's per-item rows for ``--json``."""
    samples = read_samples(run, row.benchmark)
    native, judged = current_values(run, row, samples)
    return [
        {
            "id": sample.id,
            "repeat": sample.repeat,
            "value": sample.score.value,
            "status": sample.score.status,
            "prediction": sample.score.prediction,
            "native": native.get(key),
            "judged": judged.get(key),
        }
        for key, sample in samples.items()
    ]
