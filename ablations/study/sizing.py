"""What an effect needs, given the variance measured by a comparison or a study."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ablations.statistics.comparison.sides import A, B, Comparison, read_sides
from ablations.statistics.comparison.stored import read_comparison
from ablations.statistics.contrasts import Rules
from ablations.statistics.design import power
from ablations.statistics.design.needs import ItemsDesign, Needs, SeedsDesign, Target, sampling_part
from ablations.statistics.estimates import Components, pooled_variance
from ablations.statistics.lines import MEAN, BenchmarkLine, Line, Macro
from ablations.statistics.scores import temperature_of
from ablations.study.plan import judged_by, read_plan
from ablations.study.study import Report, stored_report
from harness.errors import UsageError
from harness.files.text import counted
from harness.runs.store import read_manifest
from harness.runs.summary import BenchmarkSummary, read_summaries


@dataclass(frozen=True, slots=True)
class Row:
    """A benchmark (or `MEAN`): what was measured, and what the effect needs.

    ``design`` is None if nothing measured differs. ``mde`` is the smallest effect that today's
    items, repeats and seeds detect with the requested power.
    """

    name: str
    design: ItemsDesign | SeedsDesign | None
    mde: float | None
    needs: Needs


@dataclass(frozen=True, slots=True)
class Sizing:
    """Result of `harness plan`; effects and standard deviations in units of the score.

    ``kind``: "checkpoints" are compared over items, "arms" over training seeds.
    """

    source: str
    kind: Literal["checkpoints", "arms"]
    measured: str
    effect: float
    power: float
    alpha: float
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


Designs = Mapping[str, ItemsDesign | SeedsDesign | None]


@dataclass(frozen=True, slots=True)
class _Basis:
    """The measured variance, before an effect is chosen."""

    kind: Literal["checkpoints", "arms"]
    measured: str
    designs: Designs
    rules: Rules
    notes: tuple[str, ...]


def size(source: Path, effect: float | None, wanted: float | None) -> Sizing:
    """Return what an effect (default: the planned one) needs at the planned power.

    ``source`` is a study's folder, or the output of ``harness compare --json``. Raises `UsageError`
    if it is neither, or the power is not above alpha.
    """
    if not source.exists():
        raise UsageError(f"{source} does not exist: give a study or a saved comparison")
    basis = _of_study(source) if source.is_dir() else _of_comparison(read_comparison(source))
    rules = basis.rules
    target = Target(effect or rules.effect_size, rules.alpha, wanted or rules.power)
    if not target.alpha < target.power < 1:
        raise UsageError(f"--power {target.power:g}: it must lie between {target.alpha:g} and 1")
    rows = [
        Row(name, design, _mde(design, target), design.needs(target) if design else Needs())
        for name, design in basis.designs.items()
    ]
    return Sizing(
        str(source), basis.kind, basis.measured, target.effect, target.power, target.alpha,
        tuple(rows), basis.notes,
    )  # fmt: skip


def _mde(design: ItemsDesign | SeedsDesign | None, target: Target) -> float | None:
    if isinstance(design, ItemsDesign):
        return power.mde(design.se, np.inf, target.alpha, target.power)
    if design is None or not design.of.training + design.of.decoding > 0:
        return None
    return power.planned_mde(design.of, design.seeds, target.alpha, target.power)


def _of_comparison(found: Comparison) -> _Basis:
    rules = Rules(alpha=found.alpha, effect_size=2 * found.margin, margin=found.margin)
    if found.kind == "arms":
        return _of_arms(found, rules)
    sides = [[Path(run.folder) for run in side] for side in found.runs]
    rows = [row for side in found.runs for run in side for row in run.benchmarks]
    lines = {line.benchmark: line for line in found.benchmarks}
    return _over_items(found.heading, lines, found.macro, rules, (sides, repeats_of(rows)))


def _over_items(
    heading: str,
    lines: Mapping[str, BenchmarkLine],
    mean: Line | Macro,
    rules: Rules,
    runs: tuple[Sequence[Sequence[Path]], Mapping[str, int]],
) -> _Basis:
    """Return what was measured of two checkpoints; ``runs`` are theirs, with their repeats."""
    # The lines give standard errors as minimal detectable effects, (z + z) times them.
    per_se = power.mde(1.0, np.inf, rules.alpha, rules.power)
    sides, repeats = runs
    items = {name: line.items for name, line in lines.items()}
    averaged = {name for name, line in lines.items() if line.mde is not None}
    sampling = _sampling(sides, repeats, items, averaged)
    errors = {name: line.mde for name, line in lines.items()} | {MEAN: mean.mde}
    items[MEAN] = sum(items.values())
    designs = {
        name: None
        if mde is None
        else ItemsDesign(mde / per_se, items[name], repeats.get(name, 1), sampling.get(name))
        for name, mde in errors.items()
    }
    notes = ["seeds: two checkpoints say nothing of how training seeds vary"]
    if not sampling:
        notes.append(
            "repeats: known only from runs (in their folders, of the same items) that were sampled "
            "at a temperature above 0, with two or more repeats, and answered right or wrong"
        )
    return _Basis("checkpoints", heading, designs, rules, tuple(notes))


def repeats_of(rows: Sequence[BenchmarkSummary]) -> dict[str, int]:
    """Return the answers per item by benchmark, the fewest of all runs."""
    repeats: dict[str, int] = {}
    for row in rows:
        repeats[row.benchmark] = min(repeats.get(row.benchmark, 10**9), row.answers // (row.n or 1))
    repeats = {name: max(1, n) for name, n in repeats.items()}
    return repeats | ({MEAN: min(repeats.values())} if repeats else {})


def _sampling(
    sides: Sequence[Sequence[Path]],
    repeats: Mapping[str, int],
    items: Mapping[str, int],
    averaged: Container[str],
) -> dict[str, float]:
    """Return the part of each squared error due to sampling, if measured.

    Left out if the runs no longer hold the compared items, as after ``--exclude``.
    """
    try:
        table = read_sides(sides[0], sides[1]) if len(sides) == 2 else None
    except UsageError:
        table = None
    if table is None or not table.sampled:
        return {}
    known = {}
    for name, scores in table.scores.items():
        if name not in repeats or len(table.items[name].clusters) != items.get(name):
            continue
        weights = table.items[name].weights
        part = sampling_part(scores[B][0], scores[A][0], weights, repeats[name])
        if part is not None:
            known[name] = part
    of_mean = [name for name in items if name in averaged]
    if of_mean and all(name in known for name in of_mean):
        known[MEAN] = sum(known[name] for name in of_mean) / len(of_mean) ** 2
    return known


def _of_arms(found: Comparison, rules: Rules) -> _Basis:
    if found.spread is None:
        raise UsageError(
            "this comparison has one training seed on a side, so it does not tell how seeds vary: "
            "compare two or more per side, or two runs"
        )
    runs = [run for side in found.runs for run in side]
    sampled = any(temperature_of(run.manifest) > 0 for run in runs)
    repeats = repeats_of([row for run in runs for row in run.benchmarks])
    items = {line.benchmark: line.items for line in found.benchmarks}
    scores = {
        name: [
            [row.strict for run in side for row in run.benchmarks
             if row.benchmark == name and row.strict is not None]
            for side in found.runs
        ]
        for name in items
    }  # fmt: skip
    of = _mean([Components(s.training_sd**2, s.decoding_sd**2) for s in found.spread])
    seeds = min(side.seeds for side in found.spread)
    designs = _over_seeds(of, seeds, scores, items, (sampled, repeats))
    return _Basis("arms", _measured(seeds, of), designs, rules, (BY_SEED,))


def _over_seeds(
    of: Components,
    seeds: int,
    scores: Mapping[str, Sequence[Sequence[float]]],
    items: Mapping[str, int],
    asked: tuple[bool, Mapping[str, int]],
) -> Designs:
    """Return the designs of every benchmark, by the scores of each side's seeds, and of the mean.

    ``asked``: whether answers were sampled, and how many per item.
    """
    sampled, repeats = asked

    def design(name: str, of: Components, n: int) -> SeedsDesign:
        return SeedsDesign(of, seeds, n, repeats.get(name, 1), sampled)

    designs: dict[str, ItemsDesign | SeedsDesign | None] = dict.fromkeys(scores)
    for name, sides in scores.items():
        if sides and min(map(len, sides)) > 1:  # older comparisons name no runs
            variance = float(pooled_variance([np.array(side) for side in sides])[0])
            designs[name] = design(name, Components(variance, 0.0), items[name])
    return {**designs, MEAN: design(MEAN, of, sum(items.values()))}


BY_SEED = (
    "single benchmarks: by the variance of their seeds' scores, which is not split in its parts; "
    "items and repeats of the mean are those of all benchmarks together"
)


def _mean(parts: Sequence[Components]) -> Components:
    return Components(*(float(np.mean([getattr(p, n) for p in parts]))
                        for n in ("training", "decoding")))  # fmt: skip


def _measured(seeds: int, of: Components) -> str:
    return (
        f"{counted(seeds, 'seed')} per arm; SD of a seed's mean {100 * of.training**0.5:.2f} "
        f"points from training, {100 * of.decoding**0.5:.2f} from items"
    )


def _of_study(folder: Path) -> _Basis:
    if not (folder / "analysis.json").exists():
        raise UsageError(
            f"{folder} is not an analysed study (no analysis.json); of two "
            "runs, give what `harness compare --json` prints"
        )
    report = stored_report(folder)
    rules, _ = judged_by(read_plan(folder), None)
    if rules.inference == "items":
        return _of_checkpoints(folder, report, rules)
    arms = _compared(report)
    of = _mean([Components(a, b) for a, b in arms.values()])
    seeds = min(len(report.macro[arm]) for arm in arms)
    items = {row.benchmark: row.items for row in report.benchmarks}
    scores = {row.benchmark: [row.scores[arm] for arm in arms] for row in report.benchmarks}
    designs = _over_seeds(of, seeds, scores, items, _asked(folder, report))
    measured = f"{', '.join(arms)}: {_measured(seeds, of)}"
    return _Basis("arms", measured, designs, rules, (BY_SEED,))


def _of_checkpoints(folder: Path, report: Report, rules: Rules) -> _Basis:
    """Return the basis of a study of single checkpoints: its first contrast, over items."""
    first = next((line for line in report.analysis.contrasts if line.tested), None)
    if first is None:
        raise UsageError(f"{folder}: nothing was tested, so it does not tell what varies")
    lines = {line.benchmark: line for line in first.benchmarks}
    runs = {model.arm: [folder / model.run] for model in report.models}
    # A trend has several arms, and the sampling part of its error is unknown.
    sides = [] if first.kind == "trend" else [runs[arm] for arm in (first.minus, first.plus)]
    _, repeats = _asked(folder, report)
    return _over_items(f"{first.name}, over items", lines, first, rules, (sides, repeats))


def _compared(report: Report) -> dict[str, tuple[float, float]]:
    """Return both variances for the arms of the first contrast, else all with several seeds."""
    lines = {
        line.arm: (line.training_sd**2, line.decoding_sd**2)
        for line in report.analysis.arms
        if line.training_sd is not None and line.decoding_sd is not None
    }
    if not lines:
        raise UsageError("no arm of this study has two seeds, so it does not tell how seeds vary")
    first = report.analysis.contrasts[:1]
    chosen = {arm: lines[arm] for c in first for arm in (c.minus, c.plus) if arm in lines}
    return chosen if len(chosen) == 2 else lines


def _asked(folder: Path, report: Report) -> tuple[bool, dict[str, int]]:
    runs = [folder / model.run for model in report.models if model.arm in report.macro]
    try:
        manifests = [read_manifest(run) for run in runs]
        rows = [row for run in runs for row in read_summaries(run).values()]
    except UsageError:
        return False, {}
    return any(temperature_of(m) > 0 for m in manifests), repeats_of(rows)
