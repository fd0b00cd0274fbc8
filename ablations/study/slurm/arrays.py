"""A study's jobs as Slurm arrays: one training per model, and its evaluation afterwards.

Progress is read from the study's folder, queue state from ``squeue``: a killed command finds its
tasks again.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from ablations.study.children import say
from ablations.study.jobs import Job, Outcome, say_outcome
from ablations.study.slurm.settings import SlurmSettings, Step
from ablations.study.slurm.task import Task, left, told
from harness.errors import UsageError, first_line
from harness.files.atomic import write_json
from harness.files.hashing import json_hash
from harness.files.typed_json import fits
from harness.install.extras import need
from harness.runs.store import read_json

POLL = 5.0
SETTLING = 60.0  # until a task's output is visible here, at most (NFS caches names)
_STEPS: tuple[Step, ...] = ("train", "run")
_NAMES = {"train": "training", "run": "evaluation"}


class _Entry(TypedDict):
    """What was submitted for a job: task ids by step, and a hash of what they do."""

    key: str
    tasks: dict[str, str]


@dataclass
class Cluster:
    """The tasks of one study; ``folder`` is the study's, and our files are in its ``slurm``.

    ``poll`` is the seconds between queue checks, ``entries`` what was submitted, by job name.
    """

    folder: Path
    settings: SlurmSettings
    poll: float = POLL
    entries: dict[str, _Entry] = field(default_factory=dict)

    @property
    def here(self) -> Path:
        """The folder of logs, records and submitit's files."""
        return self.folder / "slurm"

    def record(self, job: Job) -> Path:
        """Return the file in which a task records its failure."""
        return self.here / f"{job.arm}-seed-{job.seed}.json"

    def recall(self) -> None:
        """Read what an earlier command submitted."""
        path = self.here / "tasks.json"
        try:
            stored: Any = read_json(path) if path.exists() else {}
        except UsageError:
            stored = None
        if not fits(stored, dict[str, _Entry]):
            raise UsageError(f"{path} is corrupt: end the study's tasks (scancel) and remove it")
        self.entries = stored

    def submit(self, todo: Mapping[Job, Step]) -> None:
        """Submit the remaining steps of jobs that are not in the queue.

        Raises `UsageError` if Slurm rejects them, or the queue has tasks of an earlier version of
        the study.
        """
        self._keep_queued(todo)
        new = [job for job, step in todo.items() if step == "train" and not self._has(job, "train")]
        if new:
            self._array("train", new, None)
        groups: dict[str | None, list[Job]] = {}
        for job, step in todo.items():
            if not self._has(job, "run"):
                after = self._after(job, len(new) if job in new else 1) if step == "train" else None
                groups.setdefault(after, []).append(job)
        for after, jobs in groups.items():
            self._array("run", jobs, after)

    def _keep_queued(self, todo: Mapping[Job, Step]) -> None:
        """Keep, of the submitted tasks, those still in the queue."""
        queue = self.queue()
        if queue is None:
            raise UsageError("no Slurm cluster answers: squeue failed; run this on a login node")
        for job in todo:
            entry = self.entries.get(job.name)
            training = job.training and [job.training.key, job.training.args]
            key = json_hash([training, job.model, job.suites, job.rules])
            kept = {s: one for s, one in entry["tasks"].items() if one in queue} if entry else {}
            if entry and kept and entry["key"] != key:
                raise UsageError(
                    f"Slurm has tasks of this study as it was before ({', '.join(kept.values())}): "
                    "end them with scancel, then run this again"
                )
            if todo[job] == "train" and "train" not in kept:
                kept = {}  # the evaluation of a failed training is about to be cancelled
            if not kept:
                self.record(job).unlink(missing_ok=True)  # from an earlier call
            self.entries[job.name] = {"key": key, "tasks": kept}

    def _has(self, job: Job, step: Step) -> bool:
        return step in self.entries[job.name]["tasks"]

    def _after(self, job: Job, together: int) -> str:
        """Return an evaluation's dependency on its training; arrays wait task by task."""
        training = self.entries[job.name]["tasks"]["train"]
        if together == 1:
            return f"afterok:{training}"
        return f"aftercorr:{training.partition('_')[0]}"

    def _array(self, step: Step, jobs: Sequence[Job], after: str | None) -> None:
        """Submit one step of jobs as an array, and record each job's task."""
        executor = self._executor(step, after)
        errors = need("submitit.core.utils", "slurm")
        try:
            made = executor.submit_array([Task(job, step, self.record(job)) for job in jobs])
        except (errors.UncompletedJobError, errors.FailedSubmissionError) as error:
            raise UsageError(f"Slurm refuses the {_NAMES[step]}s: {first_line(error)}") from error
        except FileNotFoundError as error:
            if error.filename != "sbatch":
                raise
            raise UsageError("there is no sbatch here: run this on a login node") from error
        ids = [one.job_id for one in made]
        for job, one in zip(jobs, ids, strict=True):
            self.entries[job.name]["tasks"][step] = one
        write_json(self.here / "tasks.json", self.entries)
        say(f"{_NAMES[step]}: {len(jobs)} of {self._name(step)} submitted as {ids[0]} to {ids[-1]}")

    def _executor(self, step: Step, after: str | None) -> Any:
        slurm = need("submitit", "slurm").SlurmExecutor
        self.here.mkdir(parents=True, exist_ok=True)
        try:
            executor = slurm(self.here, max_num_timeout=self.settings.restarts)
        except RuntimeError as error:
            raise UsageError(f"no Slurm here: {first_line(error)}") from error
        depends = {} if after is None else {"dependency": after}
        parameters = {**self.settings.parameters(step), **depends}
        executor.update_parameters(job_name=self._name(step), **parameters)
        return executor

    def _name(self, step: Step) -> str:
        return f"{self.folder.name}-{_NAMES[step]}"

    def queue(self) -> dict[str, str] | None:
        """Return the states of queued tasks of studies of this name; None if squeue fails."""
        command = ["squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%i %T %j"]
        try:
            asked = subprocess.run(command, capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return None
        if asked.returncode:
            return None
        rows = [line.split(maxsplit=2) for line in asked.stdout.splitlines()]
        ours = {self._name(step) for step in _STEPS}
        return {row[0]: row[1] for row in rows if len(row) == 3 and row[2].strip() in ours}

    def numbers(self) -> list[str]:
        """Return this study's job numbers in the queue; others may share its name."""
        queue = self.queue() or {}
        ids = (one for entry in self.entries.values() for one in entry["tasks"].values())
        return sorted({one.partition("_")[0] for one in ids if one in queue}, key=int)

    def follow(self, todo: Mapping[Job, Step]) -> Iterator[Outcome]:
        """Yield the outcomes of jobs as their tasks leave the queue, and report what they do."""
        waiting, states = dict.fromkeys(todo, 0.0), dict[Job, str]()
        while waiting:
            queue = self.queue()
            for job, gone in list(waiting.items()) if queue is not None else ():
                assert queue is not None
                state = self._state(job, queue)
                if state and state != states.get(job):
                    say(f"{job.name}: {state}")
                    states[job] = state
                waiting[job] = 0.0 if state else gone or time.monotonic()
                if not state and (outcome := self._ended(job, waiting[job])) is not None:
                    del waiting[job]
                    say_outcome(job, outcome)
                    yield outcome
            if waiting:
                time.sleep(self.poll)

    def _state(self, job: Job, queue: Mapping[str, str]) -> str:
        tasks = self.entries[job.name]["tasks"]
        for step in _STEPS:
            if (state := queue.get(tasks.get(step, ""))) is not None:
                return f"{_NAMES[step]} {state.lower()} ({tasks[step]})"
        return ""

    def _ended(self, job: Job, since: float) -> Outcome | None:
        """Return the outcome of a job that left the queue; None if not visible yet."""
        if isinstance(done := left(job), Outcome):
            return done
        if (failure := told(job, self.record(job))) is not None:
            return failure
        if time.monotonic() - since < SETTLING:
            return None
        logs = ", ".join(f"{one}_0_log.err" for one in self.entries[job.name]["tasks"].values())
        return Outcome(
            job.arm, job.seed, failed=_NAMES[done],
            reason=f"Slurm ended it (see {logs} in {self.here}, and sacct)",
        )  # fmt: skip


def on_slurm(
    todo: Sequence[Job], settings: SlurmSettings, folder: Path, poll: float = POLL
) -> Iterator[Outcome]:
    """Run jobs as tasks of Slurm arrays; finished work is not submitted.

    Nodes need the same environment and the study's folder under the same path. Ending this command
    ends no task: the next call waits for them. `UsageError` without submitit or Slurm.
    """
    open_ = dict[Job, Step]()
    for job in todo:
        if isinstance(found := left(job), Outcome):
            say_outcome(job, found)
            yield found
        else:
            open_[job] = found
    if not open_:
        return
    cluster = Cluster(folder.resolve(), settings, poll)
    cluster.recall()
    cluster.submit(open_)
    try:
        yield from cluster.follow(open_)
    except KeyboardInterrupt:
        numbers = " ".join(cluster.numbers())
        say(f"the jobs in Slurm go on; to end them (trainings save first): scancel {numbers}")
        raise
