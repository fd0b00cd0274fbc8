"""List the studies below a folder, with state and verdict; nothing is locked or changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, TypedDict

from ablations.statistics.stored import current
from ablations.study.jobs import MARKER, MEASURED
from ablations.study.study import stored_report
from harness.errors import UsageError
from harness.files.locking import is_held
from harness.files.typed_json import record
from harness.runs.lookup import holders
from harness.runs.store import read_json


class _Arm(TypedDict):
    origin: str
    seeds: int


class _Plan(TypedDict):
    suite: str
    arms: dict[str, _Arm]


@dataclass(frozen=True, slots=True)
class StudyLine:
    """One study: its state, models done and planned, and its result.

    ``scores`` are arms' macro averages in [0, 1], the mean of their seeds; ``state``: see ``harness
    studies --help``.
    """

    folder: Path
    state: str
    suite: str = ""
    trained: int = 0
    to_train: int = 0
    measured: int = 0
    to_measure: int = 0
    verdict: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the study's entry in ``harness studies --json``."""
        row = dataclasses.asdict(self)
        return {"study": str(row.pop("folder")), **row}


def studies(folder: Path) -> Iterator[StudyLine]:
    """Yield the studies in and below a folder, by path; a training's plan does not count."""
    return (line for each in holders(folder, "plan.json") if (line := _line(each)) is not None)


def _line(folder: Path) -> StudyLine | None:
    try:
        written = read_json(folder / "plan.json")
        if "plan" not in written and "settings" in written:
            return None
        plan = record(_Plan, current(written)["plan"])
        report = stored_report(folder) if (folder / "analysis.json").exists() else None
    except (UsageError, KeyError, ValueError) as error:
        return StudyLine(folder, "unreadable", reason=f"{folder / 'plan.json'}: {error}")
    models = [
        (name, seed, arm["origin"])
        for name, arm in plan["arms"].items()
        for seed in range(arm["seeds"])
    ]
    trained = [
        (folder / "arms" / name / f"seed-{seed}" / MARKER).exists()
        for name, seed, origin in models
        if origin == "train"
    ]
    asked = [
        (folder / "runs" / f"{name}-seed-{seed}" / MEASURED).exists()
        for name, seed, origin in models
        if origin != "runs"
    ]
    line = StudyLine(
        folder, "stopped", plan["suite"], sum(trained), len(trained), sum(asked), len(asked)
    )
    if report is not None:
        state = "complete" if report.complete else "incomplete"
        scores = {arm: fmean(seeds) for arm, seeds in report.macro.items() if seeds}
        line = dataclasses.replace(line, state=state, verdict=report.verdict, scores=scores)
    return dataclasses.replace(line, state="running") if is_held(folder) else line
