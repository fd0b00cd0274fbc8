"""One step of a study's job, run by Slurm; handles Slurm's signals."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypedDict

from ablations.interrupts import Interrupted, listening
from ablations.study.children import ProcessPool, in_thread
from ablations.study.jobs import Job, Outcome, attempt
from ablations.study.slurm.settings import Step
from harness.errors import UsageError
from harness.files.atomic import write_json
from harness.files.typed_json import fits
from harness.runs.store import read_json

NO_RUNS: Mapping[str, Path] = MappingProxyType({})
_LIMIT = "it reached its time limit: raise hours or restarts"


class LeftError(Exception):
    """The job's next step is not this task's."""

    def __init__(self, step: str) -> None:
        super().__init__(step)
        self.step = step


def left(job: Job) -> Outcome | Step:
    """Return the outcome of a job that is finished or failed, else its next step."""

    def run(args: Sequence[str], _: Path) -> str:
        raise LeftError(args[0])

    try:
        return attempt(job, run)
    except LeftError as rest:
        return "train" if rest.step == "train" else "run"


class Task:
    """One step of a job; submitit stores this object and calls it where Slurm starts it.

    A failure is recorded in the file ``record`` and by the exit code, on which dependent tasks
    wait. SIGTERM, which Slurm sends to the commands too (preemption, scancel): they save, this
    ends, and Slurm restarts it if it was preempted. SIGUSR2, sent before the time limit: submitit
    calls `checkpoint` and requeues the task.
    """

    def __init__(self, job: Job, step: Step, record: Path) -> None:
        self.job, self.step, self.record = job, step, record
        self._processes: ProcessPool | None = None

    def __call__(self) -> None:
        """Do or resume the step; ends the process if it fails or is stopped."""
        self.record.unlink(missing_ok=True)
        try:
            with listening():
                failed = self._do()
        except Interrupted as stop:
            self._tell(f"it was stopped by a signal ({signal.Signals(stop.exit_code - 128).name})")
            sys.exit(stop.exit_code)
        if failed is not None:
            self._tell(failed.reason, failed.failed, failed.runs)
            sys.exit(1)

    def _do(self) -> Outcome | None:
        processes = self._processes = ProcessPool()

        def run(args: Sequence[str], log: Path) -> str:
            if args[0] != self.step:
                raise LeftError(args[0])
            return processes.run(args, log)

        def step() -> Outcome:
            # Slurm sends it to every process of the task, and it would end the commands.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
            return attempt(self.job, run)

        try:
            outcome = in_thread(step, processes.close)
        except LeftError as rest:
            if self.step == "train" and rest.step == "run":
                return None
            return Outcome(self.job.arm, self.job.seed, failed="training", reason="it is not there")
        return outcome if outcome.failed else None

    def checkpoint(self) -> Any:
        """Interrupt the command, wait until it has saved, and return what to requeue."""
        from submitit.helpers import DelayedSubmission

        if self._processes is not None:
            self._processes.stop()
        self._tell(_LIMIT)
        return DelayedSubmission(Task(self.job, self.step, self.record))

    def _tell(
        self, reason: str, failed: str | None = None, runs: Mapping[str, Path] = NO_RUNS
    ) -> None:
        named = failed or ("training" if self.step == "train" else "evaluation")
        paths = {suite: str(path) for suite, path in runs.items()}
        write_json(self.record, {"failed": named, "reason": reason, "runs": paths})


class _Told(TypedDict):
    failed: str
    reason: str
    runs: dict[str, str]


def told(job: Job, record: Path) -> Outcome | None:
    """Return the failure that a task recorded, None if there is none."""
    try:
        stored = read_json(record)
    except UsageError:
        return None
    if not fits(stored, _Told):
        return None
    runs = {suite: Path(path) for suite, path in stored["runs"].items()}
    return Outcome(job.arm, job.seed, runs, stored["failed"], stored["reason"])
