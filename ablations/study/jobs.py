"""The jobs of a study: one model each, trained and evaluated by child processes.

What is done is marked in the study's folder and not done again.  A killed job resumes: training
from its last checkpoint, a run from its last answer.  `children.py` runs the commands.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ablations.study.children import FailedError, ProcessPool, Run, child, say
from ablations.study.plan import PROBE, ArmPlan, Plan, benchmark, json_text
from harness.errors import UsageError, first_line
from harness.files.hashing import json_hash, model_fingerprint, write_atomically
from harness.files.typed_json import fits
from harness.protocols import Declaration
from harness.runs.identity import identify
from harness.runs.store import read_json

Executor = Literal["local", "ray"]
Execute = Callable[[Sequence["Job"]], Iterator["Outcome"]]


@dataclass(frozen=True, slots=True)
class Training:
    """One training: the arguments of ``harness train``, and what decides its result."""

    arm: str
    args: tuple[str, ...]
    folder: Path
    key: str

    @property
    def marker(self) -> Path:
        """The file that says that it was done."""
        return self.folder / "trained.json"

    @property
    def done(self) -> bool:
        """Whether it was done, by this plan or another."""
        return self.marker.exists()


@dataclass(frozen=True, slots=True)
class Job:
    """One model of a study: trained (where it is not there yet), then measured.

    ``suites`` maps each suite to the arguments of ``harness run`` except model and ``--out``;
    ``rules`` is the hash of the prompts and scorers that they are asked and scored by.
    """

    arm: str
    seed: int
    training: Training | None
    model: str
    suites: tuple[tuple[str, tuple[str, ...]], ...]
    rules: str
    out: Path

    @property
    def name(self) -> str:
        """The job's name in messages."""
        return f"{self.arm} seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: the run folder of each suite, and at which step and why it failed.

    Where only the probe failed the run of the study's suite is there.
    """

    arm: str
    seed: int
    runs: tuple[tuple[str, Path], ...] = ()
    failed: str | None = None
    reason: str = ""
    train_seconds: float | None = None
    run_seconds: float | None = None


def jobs(plan: Plan) -> list[Job]:
    """Return the jobs of a plan, the first seed of every arm before the second."""
    rules = rules_of_plan(plan)
    found = [_job(plan, one, seed, rules) for one in plan.arms for seed in _seeds(one)]
    return sorted(found, key=lambda job: job.seed)


def rules_of_plan(plan: Plan) -> str:
    """Return `rules_of` the benchmarks of a plan."""
    names = [name for name, data in plan.benchmarks.items() if data is not None]
    return rules_of([benchmark(plan.request, name).declaration for name in names])


def rules_of(declared: Sequence[Declaration]) -> str:
    """Return the hash of the prompts and scorers of benchmarks: with new ones they run again."""
    return json_hash([[one.id, dict(one.protocol), one.scoring] for one in declared])


def _seeds(one: ArmPlan) -> range:
    return range(one.seeds) if one.origin != "runs" else range(0)


def _job(plan: Plan, one: ArmPlan, seed: int, rules: str) -> Job:
    asked = plan.request
    training = _training(plan, one.arm, seed) if one.origin == "train" else None
    if training is not None:
        model = str(training.folder / "checkpoint")
    else:
        model = str(one.paths[seed]) if one.paths else str(asked.model)
    common: list[str] = []
    if asked.data_root is not None:
        common += ["--data-root", str(asked.data_root)]
    common += asked.run_args
    limit = [] if asked.limit is None else ["--limit", str(asked.limit)]
    chosen = [] if asked.benchmarks is None else ["--benchmarks", ",".join(asked.benchmarks)]
    set_ = [word for setting in asked.settings for word in ("--set", setting)]
    suites = [(asked.suite, ("--suite", asked.suite, *chosen, *limit, *set_, *common))]
    if asked.probe is not None:
        pairs = f"{PROBE}.pairs={asked.probe}"
        suites.append((PROBE, ("--suite", PROBE, "--set", pairs, *common)))
    out = asked.folder / "runs" / f"{one.arm}-seed-{seed}"
    return Job(one.arm, seed, training, model, tuple(suites), rules, out)


def _training(plan: Plan, arm: str, seed: int) -> Training:
    asked, content = plan.request, plan.content
    folder = asked.folder / "arms" / arm / f"seed-{seed}"
    words = {
        "--arm": arm,
        "--model": str(asked.model),
        "--pairs": str(asked.pairs),
        "--rl-data": str(asked.rl_data),
        "--matching": asked.matching,
        "--seed": str(seed),
        "--out": str(folder),
    }
    names = ("model", "data", "matching", "train")
    key = json_hash({"arm": arm, "seed": seed, **{name: content[name] for name in names}})
    given = tuple(word for pair in words.items() for word in pair)
    return Training(arm, ("train", *given, *asked.train_args), folder, key)


def work(job: Job, run: Run = child) -> Outcome:
    """Train and measure one model; a failure is an outcome, not an exception."""
    say(f"{job.name}: begins")
    trained, step = None, "training"
    try:
        if job.training is not None:
            trained = _train(job.training, run)
        step = "evaluation"
        found = _measure(job, run)
    except (FailedError, UsageError) as error:
        found = Outcome(job.arm, job.seed, (), step, str(error))
    say(f"{job.name}: " + (f"{found.failed} failed: {found.reason}" if found.failed else "done"))
    return replace(found, train_seconds=trained)


def _train(training: Training, run: Run) -> float:
    """Train where it was not done, and return the seconds that it took (of the last start).

    ``harness train`` continues what it began, and refuses a folder that it began otherwise.
    """
    if training.done:
        done = read_json(training.marker)
        if done.get("key") != training.key:
            raise UsageError(
                f"{training.folder} was trained under another plan: move it away or give the study "
                "another --name"
            )
        if (training.folder / "checkpoint").is_dir():
            return _seconds(done)
    start = time.monotonic()
    run(training.args, training.folder / "train.log")
    model_fingerprint(training.folder / "checkpoint")  # it is one
    seconds = time.monotonic() - start
    write_atomically(training.marker, json_text({"key": training.key, "seconds": seconds}))
    return seconds


def _measure(job: Job, run: Run) -> Outcome:
    """Fill the job's runs where they are not full, and return them and the seconds it took.

    The probe enters no test: where it fails the runs before it are kept.
    """
    marker = job.out / "evaluated.json"
    identity = identify(job.model, None, None)
    # What was asked, without the places where things lie.
    asked = [[name, *words] for name, words in job.suites]
    key = json_hash([identity.fingerprint, asked, job.rules])
    if marker.exists():
        done = read_json(marker)
        listed = done["runs"] if fits(done.get("runs"), dict[str, str]) else {}
        runs = tuple((name, job.out / run) for name, run in listed.items())
        if done.get("key") == key and runs and all((p / "manifest.json").exists() for _, p in runs):
            return Outcome(job.arm, job.seed, runs, run_seconds=_seconds(done))
    start, found = time.monotonic(), {}
    for suite, words in job.suites:
        given = ("run", "--model", job.model, *words, "--out", str(job.out), "--json")
        try:
            found[suite] = _run_of(run(given, job.out / f"{suite}.log"))
        except FailedError as error:
            if suite != PROBE:
                raise
            return Outcome(
                job.arm,
                job.seed,
                tuple(found.items()),
                PROBE,
                str(error),
                run_seconds=time.monotonic() - start,
            )
    seconds = time.monotonic() - start
    document = {"key": key, "runs": {name: run.name for name, run in found.items()}}
    write_atomically(marker, json_text({**document, "seconds": seconds}))
    return Outcome(job.arm, job.seed, tuple(found.items()), run_seconds=seconds)


def _seconds(done: Mapping[str, Any]) -> float:
    found: Any = done.get("seconds")
    return float(found) if fits(found, float) else 0.0  # shown, and nothing is decided by it


def _run_of(printed: str) -> Path:
    """Return the folder of the run that ``harness run --json`` printed.

    Raises:
        FailedError: items ended in error: they are asked again by the next start.
    """
    document = json.loads(printed)
    errors = {row["benchmark"]: row["errors"] for row in document["benchmarks"] if row["errors"]}
    if errors:
        listed = ", ".join(f"{count} of {name}" for name, count in errors.items())
        raise FailedError(f"items ended in error ({listed}); the same command asks them again")
    return Path(document["run"])


def on_this_machine(
    todo: Sequence[Job], preload: bool = False, at_once: int = 1
) -> Iterator[Outcome]:
    """Do the jobs on this machine, as many at once as asked, and yield outcomes as they come.

    Whatever ends this ends the commands that run, each as an interrupt does.
    """
    processes = ProcessPool(preload, at_once)
    with ThreadPoolExecutor(at_once, "job") as pool:
        try:
            done = [pool.submit(work, job, processes.run) for job in todo]
            for one in as_completed(done):
                yield one.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # first: no other job begins
            processes.stop()
            raise


def on_ray(todo: Sequence[Job], gpus: float) -> Iterator[Outcome]:
    """Do the jobs as tasks of a Ray cluster (``RAY_ADDRESS``, else one of this machine).

    The workers need the same environment and see the study's folder under the same path.

    Args:
        todo: the jobs.
        gpus: that each task takes.

    Raises:
        UsageError: ray is not installed, or its cluster does not answer.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise UsageError("--executor ray needs ray: pip install 'contextrl-harness[ray]'") from None
    try:
        ray.init(include_dashboard=False, log_to_driver=True, logging_level="warning")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(f"no Ray cluster: {first_line(error)}") from error
    try:
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(work)
        pending = [task.remote(job) for job in todo]
        names = dict(zip(pending, todo, strict=True))
        while pending:
            (done,), pending = ray.wait(pending)
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as error:
                job, lines = names[done], str(error).strip().splitlines()
                reason = lines[-1] if lines else type(error).__name__
                yield Outcome(job.arm, job.seed, (), "the task", reason)
    finally:
        ray.shutdown()


def executor(kind: Executor, gpus: float, preload: bool, at_once: int) -> Execute:
    """Return what does the jobs.

    Args:
        kind: this machine, or a Ray cluster.
        gpus: ray: that each task takes.
        preload: this machine: load the libraries once for all commands.
        at_once: this machine: jobs at a time, each with its share of the cores.
    """
    if kind == "local":
        return lambda todo: on_this_machine(todo, preload, at_once)
    return lambda todo: on_ray(todo, gpus)
