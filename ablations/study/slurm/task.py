"""One step of a study's job, as Slurm runs it; it ends as the signals of Slurm ask."""

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
    """The rest of a job begins with this step, which is not to be done here."""

    def __init__(self, step: str) -> None:
        super().__init__(step)
        self.step = step


def left(job: Job) -> Outcome | Step:
    """Return the outcome of a job that is done, or cannot be, else the step that is next."""

    def run(args: Sequence[str], _: Path) -> str:
        raise LeftError(args[0])

    try:
        return attempt(job, run)
    except LeftError as rest:
        return "train" if rest.step == "train" else "run"


class Task:
    """Does one step of a job; submitit stores this object, and calls it where Slurm starts it.

    A failure is told in the file ``record`` and by the exit code, on which what waits for this task
    depends.  SIGTERM, which Slurm sends to the commands too (preemption, scancel): they save, this
    ends, and Slurm starts it again where it was preempted.  SIGUSR2, which comes before the time
    limit: submitit calls `checkpoint` and queues the task again.
    """

    def __init__(self, job: Job, step: Step, record: Path) -> None:
        self.job, self.step, self.record = job, step, record
        self._processes: ProcessPool | None = None

    def __call__(self) -> None:
        """Do the step, or go on with it; ends the process where it fails or is stopped."""
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
        """Do the step; return how it failed, None where it did not."""
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
        """Interrupt the command, wait until it has saved, and return what is to be queued again."""
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
    """The record of a task that failed."""

    failed: str
    reason: str
    runs: dict[str, str]


def told(job: Job, record: Path) -> Outcome | None:
    """Return the failure that a task has told in its record, None where there is none."""
    try:
        stored = read_json(record)
    except UsageError:
        return None
    if not fits(stored, _Told):
        return None
    runs = {suite: Path(path) for suite, path in stored["runs"].items()}
    return Outcome(job.arm, job.seed, runs, stored["failed"], stored["reason"])
