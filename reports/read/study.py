"""The one reader of a study's folder: ``analysis.json``, ``plan.json`` and what the training wrote.

A folder comes in; a `Study` leaves, in the records of `ablations`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.statistics.contrasts import Rules
from ablations.statistics.lines import Analysis
from ablations.study.plan import read_plan
from ablations.study.study import Measured, Report
from harness.errors import UsageError
from harness.files.typed_json import parse, record
from harness.runs.store import read_json
from reports.read.runs import Run, open_run

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Model:
    """One model that was measured: arm and seed, its run, its probe, where its training lies."""

    arm: str
    seed: int
    run: Run
    probe: Run | None
    selection: float | None
    training: Path | None
    train_seconds: float | None
    run_seconds: float | None

    @property
    def name(self) -> str:
        """The model's name in the report."""
        return f"{self.arm} seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Study:
    """A study that was analysed.

    ``scores`` maps benchmark and arm to the score of each seed.  ``missing`` are sentences on
    models that the analysis had to do without.  ``bootstrap`` says how far to trust the intervals
    on new items (empty where there are none).
    """

    folder: Path
    name: str
    verdict: str
    analysis: Analysis
    rules: Rules
    scores: Mapping[str, Mapping[str, Sequence[float]]]
    models: tuple[Model, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    bootstrap: str
    plan: Mapping[str, Any]

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms, in the order of the analysis."""
        return tuple(line.arm for line in self.analysis.arms)

    def of(self, arm: str) -> tuple[Model, ...]:
        """Return the models of an arm, in the order of its scores."""
        return tuple(model for model in self.models if model.arm == arm)


def read(folder: Path) -> Study:
    """Read a study.

    Raises:
        UsageError: the study was not analysed yet, or a file of it is garbled.
    """
    if not (folder / "analysis.json").exists():
        raise UsageError(
            f"{folder} is no study that was analysed (no analysis.json): run its `harness ablate` "
            "to the end, or give a run or a comparison"
        )
    found, plan = read_json(folder / "analysis.json"), read_plan(folder)
    try:
        if found["schema"] != SCHEMA:
            raise UsageError(
                f"{folder / 'analysis.json'} has schema version {found['schema']!r}, this program "
                f"reads {SCHEMA}: analyse the study again"
            )
        report = record(Report, found)
        rules = record(Rules, plan["plan"]["rules"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{folder / 'analysis.json'} or plan.json is garbled "
            f"({type(error).__name__}: {error}): analyse the study again"
        ) from error
    return Study(
        folder=folder,
        name=report.name,
        verdict=report.verdict,
        analysis=report.analysis,
        rules=rules,
        scores={one.benchmark: one.scores for one in report.benchmarks},
        models=tuple(_model(folder, one) for one in report.models),
        missing=tuple(
            f"{one.arm} seed {one.seed}: {one.step} failed: {one.reason}" for one in report.missing
        ),
        notes=report.notes,
        bootstrap=report.bootstrap,
        plan=plan,
    )


def _model(folder: Path, found: Measured) -> Model:
    name = f"{found.arm} seed {found.seed}"
    probe, training = found.probe, found.training
    return Model(
        arm=found.arm,
        seed=found.seed,
        run=open_run(folder / found.run, name),
        probe=None if probe is None else open_run(folder / probe, f"{name} probe"),
        selection=found.selection,
        training=None if training is None else folder / training,
        train_seconds=found.train_seconds,
        run_seconds=found.run_seconds,
    )


def curves(training: Path) -> list[dict[str, Any]]:
    """Return the lines of ``training.jsonl``but for a torn one; empty without the file."""
    path = training / "training.jsonl"
    rows = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            row = parse(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def ledger(training: Path) -> dict[str, Any]:
    """Return ``ledger.json``: what the training took; empty if there is none."""
    path = training / "ledger.json"
    return read_json(path) if path.exists() else {}
