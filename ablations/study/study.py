"""Run a study: plan -> train -> evaluate -> analyse, each step resumable.

Writes ``plan.json``, ``arms/``, ``runs/`` and ``analysis.json`` to the study's folder, which is all
that a report reads. Failures are reported and left out.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np

from ablations.statistics.agreement import checked
from ablations.statistics.analysis import analyse, macro_average, per_seed
from ablations.statistics.contrasts import Rules
from ablations.statistics.design.roles import STANDARD, Design
from ablations.statistics.estimates import Array, Verdict
from ablations.statistics.exclusions import NOT_HELD, WithAllItems
from ablations.statistics.lines import Analysis, differences
from ablations.statistics.scores import ScoreTable, check, read
from ablations.statistics.simulation.calibration import bootstrap_errors
from ablations.statistics.stored import SCHEMA, current
from ablations.study.children import say
from ablations.study.forecast import planned_steps
from ablations.study.jobs import Execute, Job, Outcome, jobs, rules_of_plan, told
from ablations.study.notes import loss_sentence, losses_on_pairs, over_items_notes, run_notes
from ablations.study.plan import (
    PROBE,
    ArmPlan,
    Plan,
    commit,
    json_text,
    judged_by,
    late_note,
    listed,
    read_plan,
)
from harness.errors import UsageError
from harness.files.atomic import write_text
from harness.files.hashing import file_hashes, json_hash, source_hash
from harness.files.locking import alone
from harness.files.text import counted
from harness.files.typed_json import fits, record
from harness.runs.store import read_json

if TYPE_CHECKING:
    import pandas as pd

_HERE = Path(__file__).parent
Average = Annotated[float, msgspec.Meta(ge=-1e-9, le=1 + 1e-9)]
"""A mean of scores in [0, 1], rounded."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A model of the plan, or its probe, missing from the analysis."""

    arm: str
    seed: int
    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One analysed model: folders of its run and training, and their seconds.

    Paths are relative to the study's folder; ``selection`` is the probe's score.
    """

    arm: str
    seed: int
    run: str
    probe: str | None = None
    selection: Average | None = None
    training: str | None = None
    train_seconds: float | None = None
    run_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class BenchmarkScores:
    """One benchmark: its items, and per-seed scores by arm."""

    benchmark: str
    items: int
    clusters: int
    scores: Mapping[str, tuple[Average, ...]]


@dataclass(frozen=True, slots=True)
class Report:
    """Content of ``analysis.json``: all that a report of the study shows.

    ``verdict`` is the analysis' sentence, and what is missing from the plan. ``complete``: nothing
    is. ``macro`` is each arm's macro average per seed. ``bootstrap`` says how far to trust the
    intervals with items resampled (empty if there are none). ``look`` is the seeds per arm of its
    planned look (None: the plan has none). ``read`` is a hash of everything read, and of the code
    that read it. ``excluded`` counts items the plan leaves out, by benchmark, ``left_out``
    names these and those unscored in some run; ``with_all`` are the contrasts with them.
    ``losses`` are the losses on pairs by arm, if one is custom.
    """

    schema: int
    name: str
    plan_hash: str
    verdict: str
    complete: bool
    analysis: Analysis
    macro: Mapping[str, tuple[Average, ...]]
    benchmarks: tuple[BenchmarkScores, ...]
    models: tuple[Measured, ...]
    missing: tuple[Missing, ...]
    notes: tuple[str, ...]
    bootstrap: str
    read: str
    look: int | None = None
    excluded: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)
    with_all: tuple[WithAllItems, ...] = ()
    losses: Mapping[str, str] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per contrast and benchmark, and one for the mean over benchmarks."""
        return differences(
            (
                {"contrast": each.name, "kind": each.kind, "tested": each.tested},
                each,
                each.benchmarks,
            )
            for each in (*self.analysis.contrasts, *self.analysis.checks)
        )


def study(plan: Plan, execute: Execute) -> Report:
    """Do what is left of a study and return its report, also written to ``analysis.json``.

    A finished study is only read, unless a run of it or our code has changed. `UsageError` if an
    arm cannot be trained with what is given, the plan was changed after scores, another process
    works on the study, or no comparable arms are left.
    """
    todo = jobs(plan)
    # Reject untrainable arms before there is a score, which fixes the plan.
    trainings = [job.training for job in todo if job.training is not None]
    planned_steps([training for training in trainings if not training.marker.exists()])
    external = {arm.arm: arm.paths for arm in plan.arms if arm.origin == "runs"}
    if external:
        check(external, plan.request.design.start)
    with alone(plan.folder):
        commit(plan)
        if (done := finished(plan)) is not None:
            say(f"{plan.folder}: finished, nothing is left to do")
            return done
        report = _looked_at(plan, execute, todo)
        fields = {each.name: getattr(report, each.name) for each in dataclasses.fields(report)}
        if not report.losses:  # as older versions stored it
            del fields["losses"]
        write_text(plan.folder / "analysis.json", json_text(fields))
        return report


def _looked_at(plan: Plan, execute: Execute, todo: Sequence[Job]) -> Report:
    """Run the jobs up to each look, and return the report of the first that settles the study.

    Without looks, that of all seeds. A look that lacks a model is the last for now.
    """
    looks, before = plan.request.rules.looks, 0
    outcomes: list[Outcome] = []
    for look in looks:
        now = [job for job in todo if before <= job.seed < look]
        outcomes += told(execute(now), len(now))
        before = look
        report = analysed(plan, outcomes, look)
        if report.missing or settled(report.analysis, plan.request.design) or look == looks[-1]:
            return report
        say(f"not settled by {counted(look, 'seed')} per arm: going on")
    return analysed(plan, list(told(execute(todo), len(todo))))


def settled(analysis: Analysis, design: Design = STANDARD) -> bool:
    """Whether more seeds can change no conclusion: nothing tested is inconclusive.

    After a gain this includes the checks that can withhold it: the method against the base model,
    and the controls against the baseline.
    """
    methods = design.named("method")
    tested = [line for line in analysis.contrasts if line.tested]
    if any(line.plus in methods and line.verdict and line.verdict.is_better for line in tested):
        tested += [
            line for line in analysis.checks if line.plus in methods or line.kind == "control"
        ]
    return bool(tested) and Verdict.INCONCLUSIVE not in {line.verdict for line in tested}


def report_of(document: Mapping[str, Any]) -> Report:
    """Return the report in a stored ``analysis.json``, of this schema or of schema 1.

    `ValueError` names a field that is missing or of another type.
    """
    report = {**current(document)}
    if "macro" not in report and fits(report.get("benchmarks"), list[BenchmarkScores]):
        report["macro"] = _macro(record(tuple[BenchmarkScores, ...], report["benchmarks"]))
    return record(Report, report)


def stored_report(folder: Path) -> Report:
    """Return the report in the ``analysis.json`` of a study's folder.

    Raises:
        UsageError: the study is not analysed yet, or the file is corrupt or of a newer version.
    """
    path = folder / "analysis.json"
    if not path.exists():
        raise UsageError(
            f"{folder} is not an analysed study (no analysis.json): run its `harness ablate` "
            "to the end, or give a run or a comparison"
        )
    stored = read_json(path)
    try:
        schema = current(stored)["schema"]
        if schema != SCHEMA:
            raise UsageError(
                f"{path} has schema version {schema!r}, this version reads {SCHEMA}: analyse the "
                "study again"
            )
        report = report_of(stored)
        _check_agreement(report)
        rules, design = judged_by(read_plan(folder), report.look)
        return _checked(report, aligned(rules, report.models, design)[0], design)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{path} is corrupt ({type(error).__name__}: {error}): analyse the study again"
        ) from error


def _check_agreement(report: Report) -> None:
    arms = {line.arm for line in report.analysis.arms}
    lines = {(line.kind, line.plus, line.minus) for line in report.analysis.contrasts}
    totals = [line for line in report.analysis.contrasts if line.kind == "total"]
    steps = {
        step
        for total in totals
        for term in report.analysis.waterfall
        for step in (("data", term.arm, total.minus), ("objective", total.plus, term.arm))
    }
    seeds = Counter(row.arm for row in report.models)
    if not {arm for line in lines for arm in line[1:]} | seeds.keys() <= arms:
        raise ValueError("a contrast or a model is of an arm that was not analysed")
    if not steps <= lines:
        raise ValueError("the decomposition is of contrasts that were not analysed")
    if any(seeds[arm] != len(report.macro.get(arm, ())) for arm in arms):
        raise ValueError("an arm has another number of scores than of models")


def _checked(report: Report, rules: Rules, design: Design) -> Report:
    """Return a report whose numbers are checked, with the verdict that they make.

    Raises:
        ValueError: one is not that of the scores; it says which.
    """
    scores, means = _arrays(report.benchmarks), _macro(report.benchmarks)
    if any(not np.allclose(report.macro[arm], means.get(arm, ())) for arm in report.macro):
        raise ValueError("an arm's average is not that of its benchmarks")
    analysis = checked(report.analysis, scores, rules, design)
    said = report.analysis.verdict
    if not report.verdict.startswith(said):
        raise ValueError("its verdict is not that of its analysis")
    # An older version may have other words for it.
    verdict = analysis.verdict + report.verdict.removeprefix(said)
    return dataclasses.replace(report, analysis=analysis, verdict=verdict)


def _arrays(benchmarks: Sequence[BenchmarkScores]) -> dict[str, dict[str, Array]]:
    return {
        row.benchmark: {arm: np.array(scores) for arm, scores in row.scores.items()}
        for row in benchmarks
    }


def _macro(benchmarks: Sequence[BenchmarkScores]) -> dict[str, tuple[float, ...]]:
    averages = macro_average(_arrays(benchmarks))
    return {arm: tuple(map(float, seeds)) for arm, seeds in averages.items()}


def finished(plan: Plan) -> Report | None:
    """Return the stored report of a study with nothing left to do, else None."""
    path = plan.folder / "analysis.json"
    if not path.exists():
        return None
    try:
        report = report_of(read_json(path))
    except (UsageError, ValueError):
        return None  # corrupt, or from another version: analyse again
    if report.plan_hash != plan.hash or not report.complete:
        return None
    external = {(each.arm, each.seed): each.run for arm in plan.arms for each in _runs(plan, arm)}
    if any(row.run != external.get((row.arm, row.seed), row.run) for row in report.models):
        return None  # its runs have moved
    return report if report.read == _read(plan, report.models) else None


def _read(plan: Plan, models: Sequence[Measured]) -> str:
    """Return the hash of what an analysis reads: samples by content, scorers and our code."""
    runs = [run for row in models for run in (row.run, row.probe) if run is not None]
    files = sorted(path for run in runs for path in (plan.folder / run).glob("samples/*.jsonl"))
    seen = list(zip(map(str, files), file_hashes(files), strict=True))
    code = source_hash(_HERE.with_name("statistics"), _HERE.with_name("arms.py"), _HERE)
    late = [] if plan.planned_exclude is None else [listed(plan.exclude)]
    return json_hash([code, rules_of_plan(plan), plan.request.note, sorted(runs), seen, *late])


def analysed(plan: Plan, outcomes: Sequence[Outcome], look: int | None = None) -> Report:
    """Read the available runs and return the report of the study, or of one of its looks.

    ``look`` is the seeds per arm of one of the plan's looks.
    """
    models, missing = _models(plan, outcomes, look)
    if not models:
        raise UsageError(
            f"{plan.folder}: no model could be evaluated; the first failure was "
            f"{missing[0].step} of {missing[0].arm} seed {missing[0].seed}: {missing[0].reason}"
        )
    runs = _by_arm(plan, {row: row.run for row in models})
    design = plan.request.design
    table, notes = _planned_only(plan, read(runs, plan.exclude, design.start))
    planned, unpaired = aligned(plan.request.rules, models, design)
    rules = planned.at_look(look)
    analysis = _analysis(table, rules, design)
    every = _planned_only(plan, read(runs, start=design.start))[0] if table.excluded else None
    if plan.exclude and every is None:
        notes.append(NOT_HELD)
    models = _with_selection(plan, models)
    lacking = [name for name in plan.benchmarks if name not in (*table.scores, PROBE)]
    gaps = [f"{row.arm} seed {row.seed} ({row.step} failed)" for row in missing]
    gaps += [f"{name} (no scores)" for name in lacking]
    end = f" Missing from the plan: {', '.join(gaps)}." if gaps else ""
    losses = losses_on_pairs(plan)
    said = f" {loss_sentence(losses)}" if losses else ""
    benchmarks = _by_seed(table)
    notes = [*table.notes, *over_items_notes(table, analysis), *notes, *run_notes(plan, table)]
    before = [*filter(None, [plan.request.note]), *late_note(plan)]
    before += [*_look_note(plan.request.rules, look), *unpaired]
    return Report(
        schema=SCHEMA,
        name=plan.folder.resolve().name,
        plan_hash=plan.hash,
        verdict=analysis.verdict + said + end,
        complete=not gaps,
        analysis=analysis,
        macro=_macro(benchmarks),
        benchmarks=benchmarks,
        models=tuple(models),
        missing=tuple(missing),
        bootstrap=_bootstrap(analysis),
        read=_read(plan, models),
        notes=tuple(dict.fromkeys([*before, *notes])),
        look=look,
        losses=losses,
        excluded=table.excluded,
        left_out=table.left_out,
        with_all=() if every is None else _contrasts(_analysis(every, rules, design)),
    )


def _analysis(table: ScoreTable, rules: Rules, design: Design) -> Analysis:
    return analyse(table.scores, table.items, rules, table.single, design, sampled=table.sampled)


def _contrasts(analysis: Analysis) -> tuple[WithAllItems, ...]:
    return tuple(
        WithAllItems(
            f"{line.kind} ({line.plus} - {line.minus})", line.delta, line.low, line.high,
            line.verdict,
        )
        for line in analysis.contrasts
    )  # fmt: skip


def _look_note(rules: Rules, look: int | None) -> list[str]:
    if look is None:
        return []
    number, alpha = rules.looks.index(look) + 1, rules.at_look(look).alpha
    return [
        f"look {number} of {len(rules.looks)}, at {counted(look, 'seed')} per arm: tests and "
        f"intervals at level {alpha:.2g} ({rules.spending} spending of {rules.alpha:g} over the "
        "looks)"
    ]


def aligned(
    rules: Rules, models: Sequence[Measured], design: Design = STANDARD
) -> tuple[Rules, list[str]]:
    """Return the rules with pairs only where both arms have the same seeds, with notes."""
    seeds: dict[str, list[int]] = {}
    for model in models:
        seeds.setdefault(model.arm, []).append(model.seed)
    apart = [
        contrast.name
        for contrast in design.differences(list(seeds))
        if contrast.name in rules.paired and seeds[contrast.plus] != seeds[contrast.minus]
    ]
    kept = tuple(name for name in rules.paired if name not in apart)
    notes = [f"{name}: the arms hold other seeds, so Welch's test replaces pairs" for name in apart]
    return dataclasses.replace(rules, paired=kept), notes


def _by_arm(plan: Plan, runs: Mapping[Measured, str]) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for model, run in runs.items():
        groups.setdefault(model.arm, []).append((plan.folder / run).resolve())
    return groups


def _bootstrap(analysis: Analysis) -> str:
    """Return the measured error rates of the intervals on new items, "" if there are none."""
    drawn = [line for line in analysis.contrasts if line.boot_low is not None]
    if not drawn:
        return ""
    arms = {arm for line in drawn for arm in (line.plus, line.minus)}
    measured = bootstrap_errors(line.seeds for line in analysis.arms if line.arm in arms)
    return f"Items resampled: interval of the hierarchical bootstrap; {measured}"


def _models(
    plan: Plan, outcomes: Sequence[Outcome], look: int | None
) -> tuple[list[Measured], list[Missing]]:
    """Return what was measured and what is missing up to a look, in the order of the plan."""
    models, missing = [], []
    by_model = {(outcome.arm, outcome.seed): outcome for outcome in outcomes}
    for arm in plan.arms:
        if arm.origin == "runs":
            models += _runs(plan, arm)
            continue
        for seed in range(min(arm.seeds, look or arm.seeds)):
            outcome = by_model[arm.arm, seed]
            if outcome.failed is not None:
                missing.append(Missing(arm.arm, seed, outcome.failed, outcome.reason))
            runs = {name: _relative(plan, path) for name, path in outcome.runs.items()}
            if plan.request.suite in runs:
                training = f"arms/{arm.arm}/seed-{seed}" if arm.origin == "train" else None
                models.append(
                    Measured(
                        arm.arm, seed, runs[plan.request.suite], runs.get(PROBE), training=training,
                        train_seconds=outcome.train_seconds, run_seconds=outcome.run_seconds,
                    )
                )  # fmt: skip
    return models, missing


def _runs(plan: Plan, arm: ArmPlan) -> list[Measured]:
    paths = arm.paths if arm.origin == "runs" else ()
    return [Measured(arm.arm, seed, _relative(plan, path)) for seed, path in enumerate(paths)]


def _relative(plan: Plan, path: Path) -> str:
    return os.path.relpath(path.resolve(), plan.folder.resolve())


def _planned_only(plan: Plan, table: ScoreTable) -> tuple[ScoreTable, list[str]]:
    extra = [name for name in table.scores if name not in plan.benchmarks]
    kept = {name: arms for name, arms in table.scores.items() if name not in extra}
    if not kept:
        raise UsageError(
            f"the runs hold nothing of {plan.request.suite}: they hold {', '.join(extra)}"
        )
    return dataclasses.replace(table, scores=kept), [
        f"{name}: left out, it is not in the plan" for name in extra
    ]


def _by_seed(table: ScoreTable) -> tuple[BenchmarkScores, ...]:
    return tuple(
        BenchmarkScores(
            name,
            len(table.items[name].clusters),
            len(set(table.items[name].clusters.tolist())),
            {arm: tuple(map(float, values)) for arm, values in arms.items()},
        )
        for name, arms in per_seed(table.scores, table.items).items()
    )


def _with_selection(plan: Plan, models: Sequence[Measured]) -> list[Measured]:
    probes = {model: model.probe for model in models if model.probe is not None}
    if not probes:
        return list(models)
    table = read(_by_arm(plan, probes), start=plan.request.design.start)
    scores = per_seed(table.scores, table.items)[PROBE]
    values = {arm: iter(map(float, seeds)) for arm, seeds in scores.items()}
    return [
        dataclasses.replace(model, selection=next(values[model.arm])) if model.probe else model
        for model in models
    ]


def say_missing(report: Report) -> None:
    """Print what is missing and why."""
    for row in report.missing:
        say(f"missing: {row.arm} seed {row.seed}: {row.step} failed: {row.reason}")
