"""Compare two fixed checkpoints, or two arms with several training seeds. Differences are B - A."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ablations.statistics.analysis import (
    CLUSTERED,
    WELCH,
    ItemsTest,
    benchmark_lines,
    items_lines,
    items_mean,
    macro_average,
    number,
    per_seed,
    untested_line,
)
from ablations.statistics.contrasts import ONE_SEED, Rules
from ablations.statistics.design import power
from ablations.statistics.design.roles import Contrast
from ablations.statistics.estimates import (
    ROUNDING,
    Array,
    Estimate,
    Verdict,
    components,
    pooled,
    pooled_variance,
    verdicts,
    welch,
)
from ablations.statistics.exclusions import NOT_HELD, NOTHING, Exclusions, WithAllItems
from ablations.statistics.intervals import intervals_of
from ablations.statistics.lines import BenchmarkLine, Macro, differences
from ablations.statistics.scores import (
    Gap,
    ScoreTable,
    gap_notes,
    overlap_notes,
    read,
    side_notes,
)
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
    """Score of A or B over the compared items, with its interval.

    ``benchmark`` is `MEAN` for the mean over benchmarks.
    """

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
        verdicts = [self.macro.verdict, *(line.verdict for line in self.benchmarks)]
        return any(verdict is not None and verdict.is_worse for verdict in verdicts)

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


def gate(comparison: Comparison, max_errors: float) -> bool:
    """Return whether B is shown to lose to A.

    Raises:
        UsageError: more than ``max_errors`` (a fraction) of a side's answers to a benchmark are
            unscored, or no loss is shown and something could not be tested.
    """
    if gaps := broken(comparison.gaps, max_errors, SIDES):
        raise UsageError(gaps)
    if not comparison.loses and comparison.untested:
        raise UsageError(cannot_pass(comparison.untested))
    return comparison.loses


def untested(macro: Macro, benchmarks: Sequence[BenchmarkLine]) -> list[str]:
    """Return benchmarks (and the mean) that differ but have no p, and so might hide a loss."""
    lines: list[tuple[str, BenchmarkLine | Macro]] = [("the mean", macro)]
    lines += [(line.benchmark, line) for line in benchmarks]
    return [name for name, line in lines if line.p is None and abs(line.delta) > ROUNDING]


def cannot_pass(names: Sequence[str]) -> str:
    """Return why a gate without a shown loss cannot pass: what could not be tested."""
    return (
        "--gate shows no loss, but it cannot pass: there is a difference and no variance to "
        f"test it against in {', '.join(names)} (more items, clusters or seeds "
        "are needed, or leave the benchmark out of the runs)"
    )


def broken(gaps: Sequence[Gap], max_errors: float, names: Mapping[str, str] | None = None) -> str:
    """Return why a gate cannot judge runs: other items, too few scores; "" where it can."""
    if apart := overlap_notes(gaps, names or {}):
        return f"--gate judges logs of the same items alone: {'; '.join(apart)}"
    if not (notes := gap_notes(gaps, max_errors, names or {})):
        return ""
    remedy = "Run the same `harness run` again, or set --max-errors"
    if any(gap.answers == 0 for gap in gaps):  # no share of errors allows that
        remedy = "Run on both sides what one of them lacks, or compare runs without it"
    return (
        f"--gate cannot judge broken runs (more than {100 * max_errors:g} % of a side): "
        f"{'; '.join(notes)}. {remedy}"
    )


def checkpoints(a: Path, b: Path, rules: Rules, exclude: Exclusions = NOTHING) -> Comparison:
    """Compare two runs of fixed checkpoints: inference over items.

    Per benchmark, exact McNemar if answers are single, binary and independent, otherwise the
    clustered t; Holm over benchmarks.

    Raises:
        UsageError: the runs cannot be compared.
    """
    table = read_sides([a], [b], exclude, overlap=True)
    if _shared([a], [b]) and not _verified(a):
        table = replace(table, notes=(f"A and B {ONE_NAME}", *table.notes))
    tests = items_tests(table, B, A)
    lines = tuple(items_lines(tests, table.items, rules))
    found = Comparison(
        "checkpoints",
        "",
        mean_of(lines, items_macro(tests, rules)),
        lines,
        rules.margin,
        rules.alpha,
        items_notes(table.notes, tests),
    )
    return _of_sides(found, table, [a], [b])


def excluding(compared: Callable[[Exclusions], Comparison], exclude: Exclusions) -> Comparison:
    """Return a comparison without the excluded items, plus its mean including them.

    Raises:
        UsageError: no run holds any of the items, or the runs cannot be compared.
    """
    if not exclude:
        return compared(NOTHING)
    comparison, mean = compared(exclude), compared(NOTHING).macro
    if not comparison.excluded:
        raise UsageError(NOT_HELD)
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
    """Return the scores of both sides, with notes on differences other than the model.

    ``called`` is what sides `A` and `B` are called in notes; ``overlap`` and `UsageError` as of
    `scores.read`.
    """
    table = read({A: a, B: b}, exclude, overlap=overlap)
    named = {
        name: {called[side]: y for side, y in sides.items()} for name, sides in table.scores.items()
    }
    more = (
        *side_notes(table, called),
        *unequal_note({called[A]: len(a), called[B]: len(b)}),
        *twin_notes(named),
    )
    return replace(table, notes=(*table.notes, *more))


def items_notes(notes: Sequence[str], tests: Mapping[str, ItemsTest]) -> tuple[str, ...]:
    """Return the notes, plus the benchmarks that the mean leaves out."""
    _, without = items_mean(tests)
    left_out = "left out of the mean, it has no standard error over items (too few clusters)"
    return (*notes, *(f"{name}: {left_out}" for name in without))


def _of_sides(
    comparison: Comparison, table: ScoreTable, a: Sequence[Path], b: Sequence[Path]
) -> Comparison:
    level = 1 - comparison.alpha
    scores = [
        SideScore(name, benchmark, each.score, each.low, each.high)
        for side, name in SIDES.items()
        for benchmark, each in intervals_of(table, side, level).items()
    ]
    found = replace(
        comparison,
        runs=(compared_runs(a), compared_runs(b)),
        scores=tuple(scores),
        gaps=table.gaps,
        excluded=table.excluded,
        left_out=table.left_out,
    )
    return replace(found, heading=heading_of(found))


def heading_of(found: Comparison) -> str:
    """Return what a comparison is about: checkpoints, or methods by their seeds."""
    if found.kind == "checkpoints":
        a, b = (
            {
                str(run.manifest["model"]["fingerprint"])
                for run in side
                if _is_verified(run.manifest)
            }
            for side in found.runs or ((), ())
        )
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


def _shared(a: Sequence[Path], b: Sequence[Path]) -> set[str]:
    return {_fingerprint(path) for path in a} & {_fingerprint(path) for path in b}


def _fingerprint(run: Path) -> str:
    return str(read_manifest(run)["model"]["fingerprint"])


def _verified(run: Path) -> bool:
    return _is_verified(read_manifest(run))


def _is_verified(manifest: Mapping[str, Any]) -> bool:
    """Whether the fingerprint is of a checkpoint's content, not of a server's word."""
    return bool(manifest["model"].get("verified", True))


def items_tests(table: ScoreTable, plus: str, minus: str) -> dict[str, ItemsTest]:
    """Return every benchmark's test of two fixed checkpoints over items."""
    return {
        name: ItemsTest.of(
            scores[plus], scores[minus], table.items[name], single=name in table.single
        )
        for name, scores in table.scores.items()
    }


def items_macro(tests: Mapping[str, ItemsTest], rules: Rules) -> Macro:
    """Return the mean difference of fixed checkpoints over benchmarks."""
    mean, without = items_mean(tests)
    macro = _macro(mean, np.inf, rules)
    return replace(macro, test=CLUSTERED, averaged=len(tests) - len(without))


def mean_of(lines: Sequence[BenchmarkLine], macro: Macro) -> Macro:
    """Return the mean over fixed checkpoints' benchmarks; for a single one, its own test."""
    if len(lines) != 1:
        return macro
    return replace(macro, **{name: getattr(lines[0], name) for name in _SAME})


_SAME = ("low", "high", "p", "mde", "verdict", "test", "tost_low", "tost_high")


def _macro(mean: Estimate, df: float, rules: Rules) -> Macro:
    """Return the record of an average; ``df`` is used for its minimal detectable effect."""
    low, high = mean.interval(rules.level)
    tost_low, tost_high = mean.interval(rules.tost_level)
    verdict = verdicts(mean.delta, mean.p, mean.equivalence_p(rules.margin), rules.alpha)
    return Macro(
        float(mean.delta),
        number(low),
        number(high),
        number(mean.p),
        mde=number(power.mde(float(mean.se), df, rules.alpha, rules.power)),
        verdict=Verdict(str(verdict)),
        test=WELCH,
        tost_low=number(tost_low),
        tost_high=number(tost_high),
    )


def arms(
    a: Sequence[Path], b: Sequence[Path], rules: Rules, exclude: Exclusions = NOTHING
) -> Comparison:
    """Compare two arms, one run per training seed: Welch on per-seed macro averages.

    With one seed on a side, inference is over items only, without a verdict.

    Raises:
        UsageError: the runs cannot be compared.
    """
    table = read_sides(a, b, exclude, overlap=True)
    if shared := _shared(a, b):
        on_a, on_b = (next(p for p in side if _fingerprint(p) in shared) for side in (a, b))
        same = "are of the same checkpoint, sampled again" if _verified(on_a) else ONE_NAME
        same = f"{on_a} and {on_b}, on both sides, {same}"
        table = replace(table, notes=(same, *table.notes))
    found = _one_seed if min(len(a), len(b)) < 2 else _several_seeds
    return _of_sides(found(table, rules), table, a, b)


def _several_seeds(table: ScoreTable, rules: Rules) -> Comparison:
    """Return Welch's test, with the pooled-variance and resampled-items intervals."""
    by_seed = per_seed(table.scores, table.items)
    macro = macro_average(by_seed)
    difference = welch(macro[B], macro[A])
    average = _macro(difference, float(difference.df), rules)
    one_variance = pooled(macro[B], macro[A], *pooled_variance([macro[A], macro[B]]))
    low, high = one_variance.interval(rules.level)
    drawn = hierarchical(table.scores, table.items, rules.resamples, rules.seed)
    boot = drawn.interval(B, A, rules.level)
    return Comparison(
        "arms",
        "",
        replace(average, averaged=len(table.scores)),
        benchmark_lines(by_seed, table.items, Contrast("total", B, A), rules),
        rules.margin,
        rules.alpha,
        (*table.notes, *_new_items(average, boot)),
        pooled=(number(low), number(high)),
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
    split = components(
        [scores[side] for scores in table.scores.values()], [table.items[n] for n in table.scores]
    )
    return Spread(macro[side].size, split.training**0.5, split.decoding**0.5)


def _one_seed(table: ScoreTable, rules: Rules) -> Comparison:
    """Return estimates over items without p or verdict: one seed supports no more."""
    tests = items_tests(table, B, A)
    lines = [untested_line(name, table.items[name], test, rules) for name, test in tests.items()]
    macro = replace(items_macro(tests, rules), p=None, mde=None, verdict=None)
    notes = items_notes(table.notes, tests)
    return Comparison("arms", "", macro, tuple(lines), rules.margin, rules.alpha, notes)
