"""The study: plan -> train -> evaluate -> analyse, each step resumable.

The command line comes in with a `Plan`; ``plan.json``, ``arms/``, ``runs/`` and ``analysis.json``
leave in the study's folder, which is all that a report reads.  What failed is said and left out.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ablations.contrasts import Analysis, analyse, per_seed
from ablations.jobs import Execute, Outcome, jobs, say
from ablations.plan import PROBE, Plan, commit, json_text
from ablations.scores import ScoreTable, read
from harness.errors import UsageError
from harness.fingerprint import write_atomically

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Missing:
    """A model of the plan that the analysis had to do without."""

    arm: str
    seed: int
    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One model that the analysis is of: where its run and its training lie, and what they took.

    Paths are relative to the study's folder where they lie in it.  ``selection`` is its accuracy on
    the probe, in units of the score.
    """

    arm: str
    seed: int
    run: str
    probe: str | None = None
    selection: float | None = None
    training: str | None = None
    train_seconds: float | None = None
    run_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class BenchmarkScores:
    """One benchmark: its items, and the score of every seed of every arm."""

    benchmark: str
    items: int
    clusters: int
    scores: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Report:
    """``analysis.json``: all that a report of the study says.

    ``verdict`` is the analysis' sentence, and what is missing of the plan.  ``complete``: nothing
    is.
    """

    schema: int
    name: str
    plan_hash: str
    verdict: str
    complete: bool
    analysis: Analysis
    benchmarks: tuple[BenchmarkScores, ...]
    models: tuple[Measured, ...]
    missing: tuple[Missing, ...]
    notes: tuple[str, ...]


def study(plan: Plan, execute: Execute) -> Report:
    """Do what is left of a study and return its report, which is in ``analysis.json`` too.

    Raises:
        UsageError: the plan was changed after scores, another process works on the study, or no
            arms are left that could be compared.
    """
    with _alone(plan.folder):
        commit(plan)
        outcomes = list(execute(jobs(plan)))
        report = analysed(plan, outcomes)
        write_atomically(plan.folder / "analysis.json", json_text(report))
        return report


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the study's folder for this process; the kernel lets go of it however we end."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a+")
    except OSError as error:
        raise UsageError(f"cannot write the study's folder {folder}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another process works on {folder}: wait for it, or stop it"
            ) from None
        yield


def analysed(plan: Plan, outcomes: Sequence[Outcome]) -> Report:
    """Read the runs that are there and return the report of the study."""
    models, missing = _models(plan, outcomes)
    groups: dict[str, list[Path]] = {}
    for one in models:
        groups.setdefault(one.arm, []).append(plan.folder / one.run)
    if not groups:
        raise UsageError(
            f"{plan.folder}: no model could be measured; the first failure was "
            f"{missing[0].step} of {missing[0].arm} seed {missing[0].seed}: {missing[0].reason}"
        )
    table, notes = _planned_only(plan, read(groups))
    found = analyse(table.scores, table.items, plan.request.rules)
    models = _with_selection(plan, models)
    said = [f"{one.arm} seed {one.seed} ({one.step} failed)" for one in missing]
    lacking = [name for name in plan.benchmarks if name not in (*table.scores, PROBE)]
    said += [f"{name} (no scores)" for name in lacking]
    verdict = f"{found.verdict} Missing of the plan: {', '.join(said)}." if said else found.verdict
    return Report(
        schema=SCHEMA,
        name=plan.folder.resolve().name,
        plan_hash=plan.hash,
        verdict=verdict,
        complete=not said,
        analysis=found,
        benchmarks=_by_seed(table),
        models=tuple(models),
        missing=tuple(missing),
        notes=(*([plan.request.note] if plan.request.note else []), *table.notes, *notes),
    )


def _models(plan: Plan, outcomes: Sequence[Outcome]) -> tuple[list[Measured], list[Missing]]:
    """Return what was measured and what was not, in the order of the plan."""
    suite, models, missing = plan.request.suite, [], []
    by_model = {(one.arm, one.seed): one for one in outcomes}
    for one in plan.arms:
        for seed in range(one.seeds):
            if one.origin == "runs":
                models.append(Measured(one.arm, seed, _relative(plan, one.paths[seed])))
                continue
            came = by_model[one.arm, seed]
            if came.failed is not None:
                missing.append(Missing(one.arm, seed, came.failed, came.reason))
                continue
            runs = {name: _relative(plan, path) for name, path in came.runs}
            trained = f"arms/{one.arm}/seed-{seed}" if one.origin == "train" else None
            seconds = (came.train_seconds, came.run_seconds)
            models.append(
                Measured(one.arm, seed, runs[suite], runs.get(PROBE), None, trained, *seconds)
            )
    return models, missing


def _relative(plan: Plan, path: Path) -> str:
    """Return a path as seen from the study's folder."""
    return os.path.relpath(path.resolve(), plan.folder.resolve())


def _planned_only(plan: Plan, table: ScoreTable) -> tuple[ScoreTable, list[str]]:
    """Return the table without benchmarks that were not planned, and a note on each of them."""
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
    """Return the models with their accuracy on the probe, where it was measured."""
    probed = [one for one in models if one.probe is not None]
    if not probed:
        return list(models)
    groups: dict[str, list[Path]] = {}
    for one in probed:
        groups.setdefault(one.arm, []).append(plan.folder / str(one.probe))
    table = read(groups)
    scores = per_seed(table.scores, table.items)[PROBE]
    values = {arm: iter(map(float, found)) for arm, found in scores.items()}
    return [
        one if one.probe is None else dataclasses.replace(one, selection=next(values[one.arm]))
        for one in models
    ]


def say_missing(report: Report) -> None:
    """Print what is missing and why."""
    for one in report.missing:
        say(f"missing: {one.arm} seed {one.seed}: {one.step} failed: {one.reason}")
