"""Follow a run with an experiment tracker: wandb, or trackio, which has the same interface.

``harness export`` logs finished runs with the same `Tracker`.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.errors import UsageError, first_line
from harness.files.hashing import json_hash
from harness.install.extras import need
from harness.install.wandb_settings import refuse_foreign
from harness.protocols import Progress
from harness.records import Score
from harness.runs.manifest import new_manifest
from harness.runs.plan import RunPlan
from harness.runs.summary import BenchmarkSummary

Library = Literal["wandb", "trackio"]
PROJECT = "contextrl"
KINDS = ("strict", "native", "judged")
Names = Mapping[str, str | int]
"""What tells one run from another: its folder, or in a study its arm and seed."""


@dataclass(frozen=True, slots=True)
class Tracker:
    """A library, and the arguments of its ``init`` besides a run's name and configuration."""

    library: Any
    options: Mapping[str, Any]

    @contextmanager
    def run(self, name: str, config: Mapping[str, Any]) -> Iterator[None]:
        """Start a tracker run that ends with the block.

        Raises `UsageError` if the tracker fails (not logged in, no answer from its server), or the
        current folder's settings would send the run elsewhere.
        """
        if self.library.__name__ == "wandb":
            refuse_foreign()
        with self._refusals():
            self.library.init(name=name, config=dict(config), **self.options)
        try:
            yield
        finally:
            self.library.finish()

    def log(self, values: Mapping[str, Any]) -> None:
        """Log values by name; `UsageError` if the tracker rejects them."""
        with self._refusals():
            self.library.log(dict(values))

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of many kinds: the tracker's, its server's, its database's
            raise UsageError(f"{self.library.__name__}: {first_line(error)}") from error

    def scores(self, summaries: Iterable[BenchmarkSummary]) -> None:
        """Log a run's scores, as BENCHMARK/KIND, and those of parts."""
        values: dict[str, float | None] = {}
        for row in summaries:
            values |= {f"{row.benchmark}/{kind}": getattr(row, kind) for kind in KINDS}
            values |= {f"{row.benchmark}/part/{part}": value for part, value in row.parts.items()}
        if known := {name: value for name, value in values.items() if value is not None}:
            self.log(known)


class Followed:
    """Progress that is also logged to a tracker every few seconds, over all benchmarks.

    ``BENCHMARK/done`` and ``/errors`` are counts, ``/so_far`` the mean over this call's answers.
    """

    def __init__(self, tracker: Tracker, shown: Progress, every: float = 10.0) -> None:
        self.tracker, self.shown, self.every, self.gone = tracker, shown, every, False
        self._done: dict[str, int] = {}
        self._errors: Counter[str] = Counter()
        self._values: dict[str, list[float]] = {}
        self._last = time.monotonic()

    def start(self, benchmark: str, total: int, done: int) -> None:
        """Add a benchmark's counts, or correct them."""
        self.shown.start(benchmark, total, done)
        self._done[benchmark] = done

    def advance(self, benchmark: str, score: Score) -> None:
        """Count a response, and update the tracker from time to time."""
        self.shown.advance(benchmark, score)
        self._done[benchmark] += 1
        self._errors[benchmark] += score.status == "error"
        if score.value is not None:
            self._values.setdefault(benchmark, []).append(score.value)
        if time.monotonic() - self._last >= self.every:
            self.tell()

    def note(self, text: str) -> None:
        """Show a line."""
        self.shown.note(text)

    def tell(self) -> None:
        """Log the counts and the scores so far; losing the tracker does not end the run."""
        self._last = time.monotonic()
        counts = {f"{name}/done": done for name, done in self._done.items()}
        errors = {f"{name}/errors": self._errors[name] for name in self._done}
        means = {f"{name}/so_far": sum(v) / len(v) for name, v in self._values.items()}
        self.attempt(lambda: self.tracker.log({**counts, **errors, **means}))

    def attempt(self, log: Callable[[], None]) -> None:
        """Call a logging function, unless the tracker is gone."""
        try:
            if not self.gone:
                log()
        except UsageError as error:
            self.gone = True
            self.note(f"nothing more is logged: {error}")


def followed(
    library: Library,
    plan: RunPlan,
    backend: Mapping[str, Any],
    progress: Progress,
    fill: Callable[[Progress], list[BenchmarkSummary]],
) -> list[BenchmarkSummary]:
    """Fill a run while a tracker follows it, and return its summaries.

    A resumed run continues in the same tracker run. Raises `UsageError` if the tracker is not
    installed, or rejects the run.
    """
    manifest = new_manifest(plan, backend)
    study = study_of(plan.path)
    names: Names = {"run": plan.path.name} if study is None else study[1]
    group = os.environ.get("WANDB_RUN_GROUP") or (study and study[0])
    same = {"resume": "allow"}
    if library == "wandb":
        same["id"] = json_hash([str(plan.path.resolve()), plan.base])[:32]
    tracker = Tracker(need(library, library), {**place(library), "group": group, **same})
    name = title(names) if study is None else f"{title(names)}-{plan.suite}"
    with tracker.run(name, configuration(names, manifest)):
        following = Followed(tracker, progress)
        try:
            rows = fill(following)
        finally:
            following.tell()
        following.attempt(lambda: tracker.scores(rows))
    return rows


def place(library: Library) -> dict[str, Any]:
    """Return the options of ``init`` that say where runs go; the user's environment wins."""
    if library == "trackio":
        return {"project": PROJECT, "embed": False}
    return {"project": os.environ.get("WANDB_PROJECT") or PROJECT}


def study_of(run: Path) -> tuple[str, Names] | None:
    """Return the study of a run's folder, STUDY/runs/ARM-seed-N/RUN, and its arm and seed there."""
    model, runs = run.resolve().parents[:2]
    arm, _, seed = model.name.rpartition("-seed-")
    if runs.name != "runs" or not arm or not seed.isdecimal():
        return None
    study = runs.parent
    return (study.name, {"arm": arm, "seed": int(seed)}) if (study / "plan.json").exists() else None


def title(names: Names) -> str:
    """Return a run's title: RUN, or in a study ARM-seed-N, like its training."""
    return str(names["run"]) if "run" in names else f"{names['arm']}-seed-{names['seed']}"


def configuration(names: Names, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decided a run's answers, as a tracker's configuration."""
    hashes = ("protocol_hash", "data_fingerprint", "max_tokens")
    return {
        **names,
        "model": dict(manifest["model"]),
        "suite": manifest["suite"],
        "sampling": dict(manifest["sampling"]),
        "settings": dict(manifest.get("settings") or {}),
        "benchmarks": {
            name: {key: entry.get(key) for key in hashes}
            for name, entry in manifest["benchmarks"].items()
        },
    }
