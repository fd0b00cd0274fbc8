"""Compare any number of fixed checkpoints with a baseline, over items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ablations.statistics import estimates
from ablations.statistics.analysis import ItemsTest, items_lines, items_mean, number, verdict_on
from ablations.statistics.comparison import sides
from ablations.statistics.contrasts import Rules
from ablations.statistics.estimates import Array
from ablations.statistics.exclusions import NOT_HELD, NOTHING, Exclusions, WithAllItems
from ablations.statistics.intervals import intervals_of
from ablations.statistics.lines import BenchmarkLine, Macro, differences
from ablations.statistics.scores import Gap, ScoreTable, read, side_notes
from harness.errors import UsageError, nearest
from harness.files.text import counted
from harness.runs.store import read_manifest

if TYPE_CHECKING:
    import pandas as pd

HEADING = "these checkpoints, not the methods that made them"
ALL = "all items"


@dataclass(frozen=True, slots=True)
class ModelScore:
    """Score of one model on a benchmark (`MEAN`: over benchmarks), with its interval over items."""

    name: str
    benchmark: str
    score: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class FlipCount:
    """Items in one category of a benchmark that a model gains and loses against the baseline.

    ``category`` is a part of the benchmark, or `ALL` if it has none. An item flips if exactly one
    of the two models is right more often than not.
    """

    benchmark: str
    category: str
    items: int
    gained: int
    lost: int


@dataclass(frozen=True, slots=True)
class ModelContrast:
    """One model against the baseline, ``plus`` - ``minus``.

    ``p_holm`` is adjusted over models (for the mean) or over models and benchmarks (for a
    benchmark) and decides the verdict. ``flips`` start with the worst category.
    """

    name: str
    plus: str
    minus: str
    macro: Macro
    p_holm: float | None
    benchmarks: tuple[BenchmarkLine, ...]
    flips: tuple[FlipCount, ...]


@dataclass(frozen=True, slots=True)
class ModelsComparison:
    """Result of `harness compare` on several runs, in units of the score.

    Each contrast has its mean and benchmarks. ``left_out`` is as in `Comparison`. ``kind`` was
    "models" in older documents.
    """

    kind: Literal["checkpoints", "models"]
    heading: str
    baseline: str
    models: tuple[ModelScore, ...]
    contrasts: tuple[ModelContrast, ...]
    margin: float
    alpha: float
    notes: tuple[str, ...]
    runs: Mapping[str, sides.ComparedRun] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
    excluded: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)
    with_all: tuple[WithAllItems, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return one row per model and benchmark, plus the mean, against the baseline."""
        return differences(
            ({"plus": each.plus, "minus": each.minus}, each.macro, each.benchmarks)
            for each in self.contrasts
        )

    @property
    def losing(self) -> list[str]:
        """Models that lose to the baseline, on average or on a benchmark."""
        return [each.plus for each in self.contrasts if sides.loses(each.macro, each.benchmarks)]

    @property
    def untested(self) -> list[str]:
        """Contrasts that differ from the baseline but have no p, and so might hide a loss."""
        return [
            f"{each.plus}: {name}"
            for each in self.contrasts
            for name in sides.untested(each.macro, each.benchmarks)
        ]


def models(
    runs: Sequence[Path], baseline: Path | str | None, rules: Rules, exclude: Exclusions = NOTHING
) -> ModelsComparison:
    """Compare runs with one of them, the first by default; `UsageError` if they cannot be."""
    named = _named(runs)
    base = _baseline(named, baseline)
    found = _compared(named, base, rules, exclude)
    if not exclude:
        return found
    if not found.excluded:
        raise UsageError(NOT_HELD)
    every = {c.name: c.macro for c in _compared(named, base, rules, NOTHING).contrasts}
    with_all = (WithAllItems(n, m.delta, m.low, m.high, m.verdict) for n, m in every.items())
    return replace(found, with_all=tuple(with_all))


def _named(runs: Sequence[Path]) -> dict[str, Path]:
    """Return runs by model name, or by folder if names repeat."""
    resolved = [run.resolve() for run in runs]
    for run, path in zip(runs, resolved, strict=True):
        if resolved.count(path) > 1:
            raise UsageError(f"{run} is given twice: every run counts once")
    names = [str(read_manifest(run)["model"]["name"]) for run in runs]
    for label in (lambda run: run.resolve().name, lambda run: str(run)):
        names = [
            f"{name} ({label(run)})" if names.count(name) > 1 else name
            for name, run in zip(names, runs, strict=True)
        ]
    return dict(zip(names, runs, strict=True))


def _baseline(named: Mapping[str, Path], baseline: Path | str | None) -> str:
    if baseline is None:
        return next(iter(named))
    if str(baseline) in named:
        return str(baseline)
    for name, run in named.items():
        if Path(baseline).resolve() == run.resolve():
            return name
    raise UsageError(
        f"--baseline {baseline} is none of the runs that are compared: give its folder, or a "
        f"model's name; {nearest(str(baseline), named)}"
    )


def _compared(
    named: Mapping[str, Path], base: str, rules: Rules, exclude: Exclusions
) -> ModelsComparison:
    runs = {name: [run] for name, run in named.items()}
    table = read(runs, exclude, start=None, overlap=True)
    others = [name for name in named if name != base]
    tests = {other: sides.items_tests(table, other, base) for other in others}
    left_out = [note for each in tests.values() for note in sides.items_notes((), each)]
    return ModelsComparison(
        "checkpoints",
        heading_of(len(named)),
        base,
        _scores(table, rules),
        _contrasts(table, tests, base, rules),
        rules.margin,
        rules.alpha,
        (*table.notes, *side_notes(table), *dict.fromkeys(left_out)),
        runs=dict(zip(named, sides.compared_runs(list(named.values())), strict=True)),
        gaps=table.gaps,
        excluded=table.excluded,
        left_out=table.left_out,
    )


def heading_of(models: int) -> str:
    """Return what a comparison of this many models is about."""
    return f"{counted(models, 'model')} over the items that all have a score for: {HEADING}"


def _contrasts(
    table: ScoreTable, tests: Mapping[str, Mapping[str, ItemsTest]], base: str, rules: Rules
) -> tuple[ModelContrast, ...]:
    means = {other: items_mean(of_one)[0] for other, of_one in tests.items()}
    p_means = estimates.holm(np.array([mean.p for mean in means.values()]))
    ps = [test.p for of_one in tests.values() for test in of_one.values()]
    adjusted = iter(estimates.holm(np.array(ps)))
    made = []
    for (other, of_one), p_mean in zip(tests.items(), p_means, strict=True):
        lines = items_lines(of_one, table.items, rules, [next(adjusted) for _ in of_one])
        verdict = verdict_on(means[other], p_mean, rules)
        macro = sides.mean_of(lines, replace(sides.items_macro(of_one, rules), verdict=verdict))
        p_holm = lines[0].p_holm if len(lines) == 1 else number(p_mean)
        names, flips = (f"{other} - {base}", other, base), _flips(table, other, base)
        made.append(ModelContrast(*names, macro, p_holm, tuple(lines), flips))
    return tuple(made)


def _scores(table: ScoreTable, rules: Rules) -> tuple[ModelScore, ...]:
    return tuple(
        ModelScore(model, name, each.score, each.low, each.high)
        for model in next(iter(table.scores.values()))
        for name, each in intervals_of(table, model, rules.level).items()
    )


def _flips(table: ScoreTable, plus: str, minus: str) -> tuple[FlipCount, ...]:
    """Return the flips of each category that has any, worst first."""
    counts = []
    for name, scores in table.scores.items():
        right = {model: scores[model].mean(0) >= 0.5 for model in (plus, minus)}
        gained, lost = right[plus] & ~right[minus], right[minus] & ~right[plus]
        for category, inside in _categories(table.parts[name]).items():
            up, down = int(gained[inside].sum()), int(lost[inside].sum())
            counts.append(FlipCount(name, category, int(inside.sum()), up, down))
    flipped = [count for count in counts if count.gained or count.lost]
    return tuple(sorted(flipped, key=lambda c: ((c.gained - c.lost) / c.items, -c.lost)))


def _categories(parts: Sequence[Sequence[str]]) -> dict[str, Array]:
    names = sorted({part for of_item in parts for part in of_item})
    inside = {name: np.array([name in of_item for of_item in parts]) for name in names}
    return inside or {ALL: np.ones(len(parts), dtype=bool)}
