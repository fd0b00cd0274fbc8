"""Two fixed checkpoints compared, or two arms with several training seeds each.

All differences are B - A.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ablations.statistics import power
from ablations.statistics.analysis import (
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
    Verdict,
    average,
    clustered,
    components,
    holm,
    is_binary,
    mcnemar,
    pooled,
    pooled_variance,
    verdicts,
    welch,
)
from ablations.statistics.lines import BenchmarkLine
from ablations.statistics.scores import ScoreTable, read
from harness.runs.store import read_manifest

A, B = "a", "b"
CHECKPOINTS = "these two checkpoints, not the method that made them"
ONE_CHECKPOINT = "two runs of one checkpoint: what differs is sampling, not the model"


@dataclass(frozen=True, slots=True)
class Macro:
    """The average over benchmarks: B - A, its interval, p, minimal detectable effect, verdict."""

    delta: float
    low: float | None
    high: float | None
    p: float | None
    mde: float | None
    verdict: Verdict | None


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
    the hierarchical bootstrap; they and ``spread`` are there for arms only.
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
    tests = [_items_test(table, name) for name in table.scores]
    adjusted = holm(np.array([test.p for test in tests]))
    lines = [
        _items_line(table, name, test, p_holm, rules)
        for name, test, p_holm in zip(table.scores, tests, adjusted, strict=True)
    ]
    return Comparison(
        "checkpoints",
        ONE_CHECKPOINT if _shared([a], [b]) else CHECKPOINTS,
        _items_macro(table, rules),
        tuple(lines),
        rules.margin,
        rules.alpha,
        table.notes,
    )


def _shared(a: Sequence[Path], b: Sequence[Path]) -> set[str]:
    """Return the content hashes of the checkpoints that are on both sides."""
    one, other = ({_fingerprint(path) for path in side} for side in (a, b))
    return one & other


def _fingerprint(run: Path) -> str:
    return str(read_manifest(run)["model"]["fingerprint"])


def _difference(table: ScoreTable, name: str) -> Array:
    """Return B - A of each item, seeds averaged."""
    found = table.scores[name]
    return np.asarray(found[B].mean(0) - found[A].mean(0))


@dataclass(frozen=True, slots=True)
class _ItemsTest:
    """What one benchmark says of two checkpoints: the estimate behind the interval, and p."""

    estimate: Estimate
    p: float
    name: str


def _items_test(table: ScoreTable, name: str) -> _ItemsTest:
    d, items = _difference(table, name), table.items[name]
    binary = all(is_binary(y) for y in table.scores[name].values())
    if name in table.single and binary and items.independent:
        exact = mcnemar(d)
        return _ItemsTest(exact.adjusted, exact.p, "McNemar")
    one = clustered(d, items)
    # Where no item differs nothing speaks against 0.
    return _ItemsTest(one, float(one.p) if d.any() else 1.0, "clustered t")


def _items_line(
    table: ScoreTable, name: str, test: _ItemsTest, p_holm: float, rules: Rules
) -> BenchmarkLine:
    items, d = table.items[name], _difference(table, name)
    line = benchmark_line(name, items, test.estimate, test.p, p_holm, rules)
    mde = power.mde(float(clustered(d, items).se), np.inf, rules.alpha, rules.power)
    return replace(line, delta=float(items.mean(d)), mde=number(mde), test=test.name)


def _items_macro(table: ScoreTable, rules: Rules) -> Macro:
    one = average([clustered(_difference(table, name), table.items[name]) for name in table.scores])
    return _macro(one, np.inf, rules)


def _macro(one: Estimate, df: float, rules: Rules) -> Macro:
    """Return the record of an average; ``df`` are those of its minimal detectable effect."""
    equivalence_p = one.equivalence_p(rules.margin)
    low, high = one.interval(rules.level)
    return Macro(
        float(one.delta),
        number(low),
        number(high),
        number(one.p),
        mde=number(power.mde(float(one.se), df, rules.alpha, rules.power)),
        verdict=Verdict(str(verdicts(one.delta, one.p, equivalence_p, rules.alpha))),
    )


def arms(a: Sequence[Path], b: Sequence[Path], rules: Rules) -> Comparison:
    """Compare two arms, one run a training seed: Welch on per-seed macro averages.

    With one seed on a side it is inference over items only, and there is no verdict.

    Raises:
        UsageError: the runs cannot be compared.
    """
    table = read({A: a, B: b})
    if shared := _shared(a, b):
        on_a, on_b = (next(p for p in side if _fingerprint(p) in shared) for side in (a, b))
        same = f"{on_a} and {on_b}, on both sides, are of the same checkpoint, sampled anew"
        table = replace(table, notes=(same, *table.notes))
    if min(len(a), len(b)) < 2:
        return _one_seed(table, rules)
    by_seed = per_seed(table.scores, table.items)
    macro = macro_average(by_seed)
    one = welch(macro[B], macro[A])
    other = pooled(macro[B], macro[A], *pooled_variance([macro[A], macro[B]])).interval(rules.level)
    drawn = hierarchical(table.scores, table.items, rules.resamples, rules.seed)
    return Comparison(
        "arms",
        f"two methods, by {len(a)} and {len(b)} training seeds, on these benchmarks",
        _macro(one, float(one.df), rules),
        benchmark_lines(by_seed, table.items, B, A, rules),
        rules.margin,
        rules.alpha,
        table.notes,
        pooled=(number(other[0]), number(other[1])),
        bootstrap=drawn.interval(B, A, rules.level),
        spread=(_spread(table, A, macro), _spread(table, B, macro)),
    )


def _spread(table: ScoreTable, side: str, macro: Mapping[str, Array]) -> Spread:
    split = components(
        [found[side] for found in table.scores.values()], [table.items[n] for n in table.scores]
    )
    return Spread(macro[side].size, split.training**0.5, split.decoding**0.5)


def _one_seed(table: ScoreTable, rules: Rules) -> Comparison:
    """Return estimates by items alone, without p and verdict: one seed supports no more."""
    lines = [
        untested_line(
            name, table.items[name], clustered(_difference(table, name), table.items[name]), rules
        )
        for name in table.scores
    ]
    macro = replace(_items_macro(table, rules), p=None, mde=None, verdict=None)
    return Comparison("arms", ONE_SEED, macro, tuple(lines), rules.margin, rules.alpha, table.notes)
