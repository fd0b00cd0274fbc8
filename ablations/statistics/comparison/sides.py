"""Compare two fixed checkpoints, or two arms with several training seeds. Differences are B - A."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ablations.statistics import analysis
from ablations.statistics.contrasts import ONE_SEED, Rules
from ablations.statistics.design.roles import Contrast
from ablations.statistics.estimates import (
    ROUNDING,
    Array,
    Estimate,
    components,
    pooled_variance,
    welch,
)
from ablations.statistics.exclusions import NOT_HELD, NOTHING, Exclusions, WithAllItems
from ablations.statistics.intervals import intervals_of
from ablations.statistics.lines import BenchmarkLine, Macro, differences
from ablations.statistics.scores import Gap, ScoreTable, gap_notes, overlap_notes, read, side_notes
from ablations.statistics.seeds import twin_notes, unequal_note
from ablations.statistics.simulation.bootstrap import hierarchical
from ablations.statistics.simulation.calibration import bootstrap_errors
from harness.errors import UsageError
from harness.files.text import counted
from harness.runs.store import read_manifest
from harness.runs.summary import BenchmarkSummary, checked_summaries

if TYPE_CHECKING:
    import pandas as pd

A, B = "a", "b"
SIDES: Mapping[str, Literal["A", "B"]] = {A: "A", B: "B"}
CHECKPOINTS = "these two checkpoints, not the method that made them"
NOT_NEW = "shown on these items, not for new ones"
ONE_CHECKPOINT = "two runs of one checkpoint: what differs is sampling, not the model"
ONE_NAME = "are of models with one served name; whether they are one checkpoint is not known"


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A run as shown on a comparison page: folder, manifest and summaries."""

    folder: str
    manifest: Mapping[str, Any]
    benchmarks: Sequence[BenchmarkSummary]


@dataclass(frozen=True, slots=True)
class Spread:
    """One side's seeds, and the SD of a seed's macro average split into its two parts."""

    seeds: int
    training_sd: float
    decoding_sd: float


@dataclass(frozen=True, slots=True)
class SideScore:
    """Score of A or B over the compared items, with its interval; `MEAN`: over benchmarks."""

    side: Literal["A", "B"]
    benchmark: str
    score: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Result of `harness compare`; scores and differences in units of the score.

    ``pooled`` (low, high) is the interval with one variance for both sides, ``bootstrap`` that of
    the hierarchical bootstrap (None, None if clusters allow none); they and ``spread`` exist for
    arms only. ``runs`` and ``scores`` cover A and B, ``gaps`` the unscored answers of ``arm`` a or
    b; older documents lack them. ``excluded`` counts excluded items by benchmark, ``left_out``
    names these and those unscored or not held in some run; ``with_all`` is the mean including them.
    """

    kind: Literal["checkpoints", "arms"]
    heading: str
    macro: Macro
    benchmarks: tuple[BenchmarkLine, ...]
    margin: float
    alpha: float
    notes: tuple[str, ...]
    pooled: tuple[float | None, float | None] | None = None
    bootstrap: tuple[float | None, float | None] | None = None
    spread: tuple[Spread, Spread] | None = None
    runs: tuple[tuple[ComparedRun, ...], ...] = ()
    scores: tuple[SideScore, ...] = ()
    gaps: tuple[Gap, ...] = ()
    excluded: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)
    with_all: tuple[WithAllItems, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return one row per benchmark and one for the mean: B - A, in units of the score."""
        return differences([({}, self.macro, self.benchmarks)])

    @property
    def loses(self) -> bool:
        """Whether B is significantly worse, on average or on a benchmark."""
        return loses(self.macro, self.benchmarks)

    @property
    def bootstrap_errors(self) -> str:
        """How far to trust ``bootstrap``, or why arms have no such interval."""
        if self.bootstrap is None or self.bootstrap[0] is None:
            return "the clusters of some benchmark allow none"
        return bootstrap_errors(side.seeds for side in self.spread or ())

    @property
    def untested(self) -> list[str]:
        """Benchmarks (and the mean) that differ but have no p, and so might hide a loss."""
        return untested(self.macro, self.benchmarks)


def loses(macro: Macro, benchmarks: Sequence[BenchmarkLine]) -> bool:
    """Whether a difference is a significant loss, on average or on a benchmark."""
    verdicts = [macro.verdict, *(line.verdict for line in benchmarks)]
    return any(verdict is not None and verdict.is_worse for verdict in verdicts)


def untested(macro: Macro, benchmarks: Sequence[BenchmarkLine]) -> list[str]:
    """Return benchmarks (and the mean) that differ but have no p, and so might hide a loss."""
    lines: list[tuple[str, BenchmarkLine | Macro]] = [("the mean", macro)]
    lines += [(line.benchmark, line) for line in benchmarks]
    return [name for name, line in lines if line.p is None and abs(line.delta) > ROUNDING]


def gate(comparison: Comparison, max_errors: float) -> bool:
    """Return whether B is shown to lose to A; `UsageError` as of `check_gaps` and `is_loss`."""
    check_gaps(comparison.gaps, max_errors, SIDES)
    return is_loss(comparison.loses, comparison.untested)


def is_loss(loses: bool, untested: Sequence[str]) -> bool:
    """Return whether a loss is shown; `UsageError` if none is, and something is ``untested``."""
    if untested and not loses:
        raise UsageError(
            "--gate shows no loss, but it cannot pass: there is a difference and no variance to "
            f"test it against in {', '.join(untested)} (more items, clusters or seeds "
            "are needed, or leave the benchmark out of the runs)"
        )
    return loses


def check_gaps(gaps: Sequence[Gap], max_errors: float, names: Mapping[str, str]) -> None:
    """Raise `UsageError` if a gate cannot judge the runs.

    Their items differ, or more than a share ``max_errors`` of a side's answers have no score.
    """
    if apart := overlap_notes(gaps, names):
        raise UsageError(f"--gate judges logs of the same items alone: {'; '.join(apart)}")
    if notes := gap_notes(gaps, max_errors, names):
        remedy = "Run the same `harness run` again, or set --max-errors"
        if any(gap.answers == 0 for gap in gaps):  # no share of errors allows that
            remedy = "Run on both sides what one of them lacks, or compare runs without it"
        raise UsageError(
            f"--gate cannot judge broken runs (more than {100 * max_errors:g} % of a side): "
            f"{'; '.join(notes)}. {remedy}"
        )


def checkpoints(a: Path, b: Path, rules: Rules, exclude: Exclusions = NOTHING) -> Comparison:
    """Compare two runs of fixed checkpoints: inference over items.

    Per benchmark, exact McNemar if answers are single, binary and independent, otherwise the
    clustered t; Holm over benchmarks. `UsageError` if the runs cannot be compared.
    """
    table = read_sides([a], [b], exclude, overlap=True)
    if (shared := _shared([a], [b])) and not shared[2]:
        table = replace(table, notes=(f"A and B {ONE_NAME}", *table.notes))
    tests = items_tests(table, B, A)
    lines = tuple(analysis.items_lines(tests, table.items, rules))
    macro, notes = mean_of(lines, items_macro(tests, rules)), items_notes(table.notes, tests)
    found = Comparison("checkpoints", "", macro, lines, rules.margin, rules.alpha, notes)
    return _of_sides(found, table, [a], [b])


def excluding(compared: Callable[[Exclusions], Comparison], exclude: Exclusions) -> Comparison:
    """Return a comparison without the excluded items, and its mean with them.

    `UsageError` if no run holds any of them.
    """
    comparison = compared(exclude)
    if not exclude:
        return comparison
    if not comparison.excluded:
        raise UsageError(NOT_HELD)
    mean = compared(NOTHING).macro
    with_all = WithAllItems("B - A", mean.delta, mean.low, mean.high, mean.verdict)
    return replace(comparison, with_all=(with_all,))


def read_sides(
    a: Sequence[Path],
    b: Sequence[Path],
    exclude: Exclusions = NOTHING,
    called: Mapping[str, str] = SIDES,
    *,
    overlap: bool = False,
) -> ScoreTable:
    """Read the scores of sides `A` and `B`, as ``called`` in the notes; see `scores.read`."""
    table = read({A: a, B: b}, exclude, overlap=overlap)
    named = {
        name: {called[side]: y for side, y in sides.items()} for name, sides in table.scores.items()
    }
    seeds = {called[A]: len(a), called[B]: len(b)}
    more = (*side_notes(table, called), *unequal_note(seeds), *twin_notes(named))
    return replace(table, notes=(*table.notes, *more))


def items_notes(notes: Sequence[str], tests: Mapping[str, analysis.ItemsTest]) -> tuple[str, ...]:
    """Return the notes, plus the benchmarks that the mean leaves out."""
    _, without = analysis.items_mean(tests)
    left_out = "left out of the mean, it has no standard error over items (too few clusters)"
    return (*notes, *(f"{name}: {left_out}" for name in without))


def _of_sides(
    comparison: Comparison, table: ScoreTable, a: Sequence[Path], b: Sequence[Path]
) -> Comparison:
    found = replace(
        comparison,
        runs=(compared_runs(a), compared_runs(b)),
        scores=tuple(
            SideScore(name, benchmark, each.score, each.low, each.high)
            for side, name in SIDES.items()
            for benchmark, each in intervals_of(table, side, 1 - comparison.alpha).items()
        ),
        gaps=table.gaps,
        excluded=table.excluded,
        left_out=table.left_out,
    )
    return replace(found, heading=heading_of(found))


def heading_of(found: Comparison) -> str:
    """Return what a comparison is about: checkpoints, or methods by their seeds."""
    if found.kind == "checkpoints":
        sides = ([_model_of(run.manifest) for run in side] for side in found.runs or ((), ()))
        a, b = ({model for model, verified in side if verified} for side in sides)
        return ONE_CHECKPOINT if a & b else CHECKPOINTS
    if found.spread is None:
        return ONE_SEED
    items = counted(sum(line.items for line in found.benchmarks), "item", ",")
    return methods([side.seeds for side in found.spread], f"these {items}")


def methods(seeds: Sequence[int], items: str) -> str:
    """Return what a comparison of two methods is about, from each side's number of seeds."""
    a, b = seeds
    return f"two methods, by {a} and {counted(b, 'training seed')}, on {items}"


def compared_runs(paths: Sequence[Path]) -> tuple[ComparedRun, ...]:
    """Return runs as shown on a comparison page."""
    found = []
    for path in paths:
        manifest = read_manifest(path)
        summaries = list(checked_summaries(path, manifest).values())
        found.append(ComparedRun(str(path.resolve()), manifest, summaries))
    return tuple(found)


def _model_of(manifest: Mapping[str, Any]) -> tuple[str, bool]:
    """Return a model's fingerprint, and whether it is of content, not of a server's word."""
    model = manifest["model"]
    return str(model["fingerprint"]), bool(model.get("verified", True))


def _shared(a: Sequence[Path], b: Sequence[Path]) -> tuple[Path, Path, bool] | None:
    """Return a run on either side of a model on both, and whether its fingerprint is verified."""
    on_a, on_b = ({path: _model_of(read_manifest(path)) for path in side} for side in (a, b))
    shared = {model for model, _ in on_a.values()} & {model for model, _ in on_b.values()}
    if not shared:
        return None
    first, second = (next(p for p in side if side[p][0] in shared) for side in (on_a, on_b))
    return first, second, on_a[first][1]


def items_tests(table: ScoreTable, plus: str, minus: str) -> dict[str, analysis.ItemsTest]:
    """Return every benchmark's test of two fixed checkpoints over items."""
    test, items, single = analysis.ItemsTest.of, table.items, table.single
    return {
        name: test(scores[plus], scores[minus], items[name], name in single)
        for name, scores in table.scores.items()
    }


def items_macro(tests: Mapping[str, analysis.ItemsTest], rules: Rules) -> Macro:
    """Return the mean difference of fixed checkpoints over benchmarks."""
    mean, without = analysis.items_mean(tests)
    return _macro(mean, rules, analysis.CLUSTERED, len(tests) - len(without), np.inf)


def mean_of(lines: Sequence[BenchmarkLine], macro: Macro) -> Macro:
    """Return the mean over fixed checkpoints' benchmarks; for a single one, its own test."""
    if len(lines) != 1:
        return macro
    same = ("low", "high", "p", "mde", "verdict", "test", "tost_low", "tost_high")
    return replace(macro, **{name: getattr(lines[0], name) for name in same})


def _macro(
    mean: Estimate, rules: Rules, test: str, averaged: int, df: float | None = None
) -> Macro:
    """Return the record of an average; ``df`` is used for its minimal detectable effect."""
    return Macro(
        p=analysis.number(mean.p),
        mde=analysis.detectable(mean, rules, df),
        verdict=analysis.verdict_on(mean, mean.p, rules),
        test=test,
        averaged=averaged,
        **analysis.difference_fields(mean, rules),
    )


def arms(
    a: Sequence[Path], b: Sequence[Path], rules: Rules, exclude: Exclusions = NOTHING
) -> Comparison:
    """Compare two arms, one run per training seed: Welch on per-seed macro averages.

    With one seed on a side, inference is over items only, without a verdict. `UsageError` if the
    runs cannot be compared.
    """
    table = read_sides(a, b, exclude, overlap=True)
    if shared := _shared(a, b):
        on_a, on_b, verified = shared
        same = "are of the same checkpoint, sampled again" if verified else ONE_NAME
        same = f"{on_a} and {on_b}, on both sides, {same}"
        table = replace(table, notes=(same, *table.notes))
    found = _one_seed if min(len(a), len(b)) < 2 else _several_seeds
    return _of_sides(found(table, rules), table, a, b)


def _several_seeds(table: ScoreTable, rules: Rules) -> Comparison:
    """Return Welch's test, with the pooled-variance and resampled-items intervals."""
    by_seed = analysis.per_seed(table.scores, table.items)
    macro = analysis.macro_average(by_seed)
    average = _macro(welch(macro[B], macro[A]), rules, analysis.WELCH, len(table.scores))
    pooled = welch(macro[B], macro[A], pooled_variance([macro[A], macro[B]]))
    low, high = map(analysis.number, pooled.interval(rules.level))
    drawn = hierarchical(table.scores, table.items, rules.resamples, rules.seed)
    boot = drawn.interval({B: 1.0, A: -1.0}, rules.level)
    return Comparison(
        "arms",
        "",
        average,
        analysis.benchmark_lines(by_seed, table.items, Contrast("total", B, A), rules),
        rules.margin,
        rules.alpha,
        (*table.notes, *_new_items(average, boot)),
        pooled=(low, high),
        bootstrap=boot,
        spread=(_spread(table, A, macro), _spread(table, B, macro)),
    )


def _new_items(macro: Macro, boot: tuple[float | None, float | None]) -> list[str]:
    """Return a note if a difference is shown on these items but may be 0 on new ones."""
    if macro.verdict is None or not (macro.verdict.is_better or macro.verdict.is_worse):
        return []
    low, high = boot
    if low is None or high is None:
        return [f"{NOT_NEW}: there is no interval with items resampled"]
    return [] if low > 0 or high < 0 else [f"{NOT_NEW}: with items resampled the interval holds 0"]


def _spread(table: ScoreTable, side: str, macro: Mapping[str, Array]) -> Spread:
    values = [scores[side] for scores in table.scores.values()]
    split = components(values, [table.items[name] for name in table.scores])
    return Spread(macro[side].size, split.training**0.5, split.decoding**0.5)


def _one_seed(table: ScoreTable, rules: Rules) -> Comparison:
    """Return estimates over items without p or verdict: one seed supports no more."""
    tests = items_tests(table, B, A)
    items = table.items
    lines = [analysis.untested_line(n, items[n], test, rules) for n, test in tests.items()]
    macro = replace(items_macro(tests, rules), p=None, mde=None, verdict=None)
    notes = items_notes(table.notes, tests)
    return Comparison("arms", "", macro, tuple(lines), rules.margin, rules.alpha, notes)
