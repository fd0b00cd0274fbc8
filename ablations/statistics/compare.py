"""Two fixed checkpoints compared, or two arms with several training seeds each.

All differences are B - A.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ablations.statistics import power
from ablations.statistics.analysis import (
    CLUSTERED,
    WELCH,
    ItemsTest,
    benchmark_line,
    benchmark_lines,
    macro_average,
    number,
    per_seed,
    untested_line,
)
from ablations.statistics.bootstrap import hierarchical
from ablations.statistics.contrasts import ONE_SEED, Rules
from ablations.statistics.estimates import (
    Array,
    Estimate,
    Items,
    Verdict,
    average,
    components,
    holm,
    pooled,
    pooled_variance,
    verdicts,
    welch,
)
from ablations.statistics.lines import BenchmarkLine
from ablations.statistics.scores import ScoreTable, read
from harness.runs.store import read_manifest
from harness.runs.summary import BenchmarkSummary, read_summaries

A, B = "a", "b"
CHECKPOINTS = "these two checkpoints, not the method that made them"
ONE_CHECKPOINT = "two runs of one checkpoint: what differs is sampling, not the model"


@dataclass(frozen=True, slots=True)
class Macro:
    """The average over benchmarks: B - A, interval, p, minimal detectable effect, verdict, test."""

    delta: float
    low: float | None
    high: float | None
    p: float | None
    mde: float | None
    verdict: Verdict | None
    test: str = ""


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A run as the page of a comparison shows it: its folder, manifest and summaries."""

    folder: str
    manifest: Mapping[str, Any]
    benchmarks: Sequence[BenchmarkSummary]


@dataclass(frozen=True, slots=True)
class Spread:
    """Of one side: seeds, and the standard deviation of a seed's macro average in its two parts."""

    seeds: int
    training_sd: float
    decoding_sd: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `harness compare` says; scores and differences in units of the score.

    ``pooled`` (low, high) is the interval with one variance for both sides, ``bootstrap`` that of
    the hierarchical bootstrap; they and ``spread`` are there for arms only.  ``runs`` are those of
    A and of B; older documents have none.
    """

    kind: Literal["checkpoints", "arms"]
    heading: str
    macro: Macro
    benchmarks: tuple[BenchmarkLine, ...]
    margin: float
    alpha: float
    notes: tuple[str, ...]
    pooled: tuple[float | None, float | None] | None = None
    bootstrap: tuple[float, float] | None = None
    spread: tuple[Spread, Spread] | None = None
    runs: tuple[tuple[ComparedRun, ...], ...] = ()

    @property
    def loses(self) -> bool:
        """Whether B is significantly worse, on average or on a benchmark."""
        verdicts = [self.macro.verdict, *(line.verdict for line in self.benchmarks)]
        return any(verdict is not None and verdict.is_worse for verdict in verdicts)


def checkpoints(a: Path, b: Path, rules: Rules) -> Comparison:
    """Compare two runs of fixed checkpoints: inference over items.

    Per benchmark exact McNemar where answers are single, right or wrong, and independent, else the
    clustered t; Holm over the benchmarks.

    Raises:
        UsageError: the runs cannot be compared.
    """
    table = read({A: [a], B: [b]})
    tests = _items_tests(table)
    adjusted = holm(np.array([test.p for test in tests.values()]))
    lines = [
        _items_line(name, table.items[name], test, p_holm, rules)
        for (name, test), p_holm in zip(tests.items(), adjusted, strict=True)
    ]
    return Comparison(
        "checkpoints",
        ONE_CHECKPOINT if _shared([a], [b]) else CHECKPOINTS,
        _items_macro(tests, rules),
        tuple(lines),
        rules.margin,
        rules.alpha,
        table.notes,
        runs=_runs([a], [b]),
    )


def _runs(*sides: Sequence[Path]) -> tuple[tuple[ComparedRun, ...], ...]:
    return tuple(
        tuple(
            ComparedRun(
                str(path.resolve()), read_manifest(path), list(read_summaries(path).values())
            )
            for path in side
        )
        for side in sides
    )


def _shared(a: Sequence[Path], b: Sequence[Path]) -> set[str]:
    """Return the content hashes of the checkpoints that are on both sides."""
    return {_fingerprint(path) for path in a} & {_fingerprint(path) for path in b}


def _fingerprint(run: Path) -> str:
    return str(read_manifest(run)["model"]["fingerprint"])


def _items_tests(table: ScoreTable) -> dict[str, ItemsTest]:
    return {
        name: ItemsTest.of(scores[B], scores[A], table.items[name], single=name in table.single)
        for name, scores in table.scores.items()
    }


def _items_line(
    name: str, items: Items, test: ItemsTest, p_holm: float, rules: Rules
) -> BenchmarkLine:
    line = benchmark_line(name, items, test.estimate, test.p, p_holm, rules)
    mde = number(power.mde(float(test.clustered.se), np.inf, rules.alpha, rules.power))
    return replace(line, delta=float(test.clustered.delta), mde=mde, test=test.test)


def _items_macro(tests: Mapping[str, ItemsTest], rules: Rules) -> Macro:
    mean = average([test.clustered for test in tests.values()])
    return replace(_macro(mean, np.inf, rules), test=CLUSTERED)


def _macro(mean: Estimate, df: float, rules: Rules) -> Macro:
    """Return the record of an average; ``df`` are those of its minimal detectable effect."""
    low, high = mean.interval(rules.level)
    verdict = verdicts(mean.delta, mean.p, mean.equivalence_p(rules.margin), rules.alpha)
    return Macro(
        float(mean.delta),
        number(low),
        number(high),
        number(mean.p),
        mde=number(power.mde(float(mean.se), df, rules.alpha, rules.power)),
        verdict=Verdict(str(verdict)),
        test=WELCH,
    )


def arms(a: Sequence[Path], b: Sequence[Path], rules: Rules) -> Comparison:
    """Compare two arms, one run per training seed: Welch on per-seed macro averages.

    With one seed on a side it is inference over items only, and there is no verdict.

    Raises:
        UsageError: the runs cannot be compared.
    """
    table = read({A: a, B: b})
    if shared := _shared(a, b):
        on_a, on_b = (next(p for p in side if _fingerprint(p) in shared) for side in (a, b))
        same = f"{on_a} and {on_b}, on both sides, are of the same checkpoint, sampled again"
        table = replace(table, notes=(same, *table.notes))
    if min(len(a), len(b)) < 2:
        return replace(_one_seed(table, rules), runs=_runs(a, b))
    by_seed = per_seed(table.scores, table.items)
    macro = macro_average(by_seed)
    difference = welch(macro[B], macro[A])
    other = pooled(macro[B], macro[A], *pooled_variance([macro[A], macro[B]])).interval(rules.level)
    drawn = hierarchical(table.scores, table.items, rules.resamples, rules.seed)
    return Comparison(
        "arms",
        f"two methods, by {len(a)} and {len(b)} training seeds, on these benchmarks",
        _macro(difference, float(difference.df), rules),
        benchmark_lines(by_seed, table.items, B, A, rules),
        rules.margin,
        rules.alpha,
        table.notes,
        pooled=(number(other[0]), number(other[1])),
        bootstrap=drawn.interval(B, A, rules.level),
        spread=(_spread(table, A, macro), _spread(table, B, macro)),
        runs=_runs(a, b),
    )


def _spread(table: ScoreTable, side: str, macro: Mapping[str, Array]) -> Spread:
    split = components(
        [scores[side] for scores in table.scores.values()], [table.items[n] for n in table.scores]
    )
    return Spread(macro[side].size, split.training**0.5, split.decoding**0.5)


def _one_seed(table: ScoreTable, rules: Rules) -> Comparison:
    """Return estimates over items alone, without p and verdict: one seed supports no more."""
    tests = _items_tests(table)
    lines = [untested_line(name, table.items[name], test, rules) for name, test in tests.items()]
    macro = replace(_items_macro(tests, rules), p=None, mde=None, verdict=None)
    return Comparison("arms", ONE_SEED, macro, tuple(lines), rules.margin, rules.alpha, table.notes)
