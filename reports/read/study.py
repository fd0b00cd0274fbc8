"""A study's folder as its page needs it: report, plan and opened runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Any, TypedDict

from ablations.statistics.contrasts import Rules
from ablations.statistics.design.roles import Design
from ablations.study.plan import TITLE, judged_by, read_plan
from ablations.study.study import Measured, Report, stored_report
from harness.errors import UsageError
from harness.files.typed_json import record
from harness.runs.store import read_json
from reports.read.runs import Run, open_run


@dataclass(frozen=True, slots=True)
class Model:
    """One measured model, with its run and probe opened, and its training's folder."""

    measured: Measured
    run: Run
    probe: Run | None
    training: Path | None

    @property
    def name(self) -> str:
        """The model's name in the report."""
        return f"{self.measured.arm} seed {self.measured.seed}"


@dataclass(frozen=True, slots=True)
class Study:
    """An analysed study: its report, plan with rules and design, and models."""

    report: Report
    rules: Rules
    design: Design
    plan: Mapping[str, Any]
    models: tuple[Model, ...]

    @property
    def title(self) -> str:
        """The study's question."""
        return str((self.plan.get("paths") or {}).get("title", TITLE))

    @property
    def scores(self) -> dict[str, Mapping[str, tuple[float, ...]]]:
        """Per-seed scores by benchmark and arm."""
        return {row.benchmark: row.scores for row in self.report.benchmarks}

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms, in the order of the analysis."""
        return tuple(line.arm for line in self.report.analysis.arms)

    def of(self, arm: str) -> tuple[Model, ...]:
        """Return the models of an arm, in the order of its scores."""
        return tuple(model for model in self.models if model.measured.arm == arm)


def read(folder: Path) -> Study:
    """Read a study; `UsageError` if it is not analysed yet or one of its files is corrupt."""
    report, plan = stored_report(folder), read_plan(folder)
    rules, design = judged_by(plan, report.look)
    try:
        record(_Paths, plan.get("paths") or {})
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{folder / 'plan.json'} is corrupt ({type(error).__name__}: {error}): analyse the "
            "study again"
        ) from error
    models = tuple(_model(folder, row) for row in report.models)
    study = Study(report, rules, design, plan, models)
    if not report.excluded:
        _check_scores(study)
    return study


def _check_scores(study: Study) -> None:
    """Raise `UsageError` if an analysis has other scores than its runs, of the same answers."""
    for row in study.report.benchmarks:
        summaries = [model.run.rows.get(row.benchmark) for model in study.models]
        if any(of is None or of.n != row.items or of.errors or of.unscored for of in summaries):
            continue  # items without a score in one run are left out of all
        if any(row.benchmark in model.run.stale for model in study.models):
            continue  # a run was continued
        for arm, scores in row.scores.items():
            for score, model in zip(scores, study.of(arm), strict=False):
                strict = model.run.rows[row.benchmark].strict
                if strict is not None and not isclose(score, strict, abs_tol=1e-9):
                    raise UsageError(
                        f"analysis.json has the score {score:.4g} of {model.name} on "
                        f"{row.benchmark}, whose run says {strict:.4g}: run its `harness ablate` "
                        "again"
                    )


class _Paths(TypedDict, total=False):
    title: str
    pairs: str | None
    rl_data: str | None
    data_root: str | None


def _model(folder: Path, row: Measured) -> Model:
    name = f"{row.arm} seed {row.seed}"
    return Model(
        row,
        run=open_run(folder / row.run, name),
        probe=None if row.probe is None else open_run(folder / row.probe, f"{name} probe"),
        training=None if row.training is None else folder / row.training,
    )


def curves(training: Path) -> list[dict[str, Any]]:
    """Return the steps in ``training.jsonl`` without corrupt lines; empty without the file."""
    from ablations.training.ledger import read_steps

    return read_steps(training / "training.jsonl", leave_out_corrupt=True)


def ledger(training: Path) -> dict[str, Any]:
    """Return ``ledger.json``, the training's totals; empty if there is none."""
    path = training / "ledger.json"
    return read_json(path) if path.exists() else {}
