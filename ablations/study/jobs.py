"""The jobs of a study: one model each, trained and evaluated by child processes.

Finished work is marked in the study's folder and not repeated. A killed job resumes: training from
its last checkpoint, a run from its last answer. `children.py` runs the commands.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from ablations.arms import ARMS
from ablations.interrupts import undisturbed
from ablations.study.children import FailedError, ProcessPool, Run, child, in_thread, say
from ablations.study.plan import PROBE, ArmPlan, Plan, Request, benchmark, json_text, run_options
from ablations.training.claim import begun_with_rows
from harness.errors import UsageError, first_line
from harness.files.atomic import write_text
from harness.files.hashing import json_hash, model_fingerprint
from harness.files.names import file_name
from harness.files.typed_json import fits
from harness.protocols import Declaration
from harness.runs.identity import identify
from harness.runs.store import is_torn, read_json
from harness.runs.summary import is_intact

Executor = Literal["local", "ray"]
MARKER = "trained.json"
MEASURED = "evaluated.json"
AT_ONCE = 2.0  # seconds
JOINING = 5.0  # seconds for machines to join a Ray cluster
RETRIES = 3  # per job, if its machine or worker dies; our own failures are outcomes
Execute = Callable[[Sequence["Job"]], Iterator["Outcome"]]


@dataclass(frozen=True, slots=True)
class Training:
    """One training: the arguments of ``harness train``, and a hash of what decides its result.

    ``arm`` is the study's name, ``kind`` that of ``harness list``; ``given`` are the arguments
    shared with other arms.
    """

    arm: str
    kind: str
    given: tuple[str, ...]
    args: tuple[str, ...]
    folder: Path
    key: str

    @property
    def marker(self) -> Path:
        """The file that exists once training is done, by this plan or another."""
        return self.folder / MARKER


@dataclass(frozen=True, slots=True)
class Job:
    """One model of a study: trained (if not done yet), then evaluated.

    ``suites`` maps each suite to the arguments of ``harness run`` except model and ``--out``;
    ``rules`` is the hash of their prompts and scorers.
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
    """Outcome of a job: the run folders by suite, or the step that failed, and why."""

    arm: str
    seed: int
    runs: Mapping[str, Path] = field(default_factory=dict)
    failed: str | None = None
    reason: str = ""
    train_seconds: float | None = None
    run_seconds: float | None = None


def jobs(plan: Plan) -> list[Job]:
    """Return the jobs of a plan, the first seed of every arm before the second."""
    rules = rules_of_plan(plan)
    rows = _rows(plan)
    made = [
        _job(plan, arm, seed, rules, rows)
        for arm in plan.arms
        if arm.origin != "runs"
        for seed in range(arm.seeds)
    ]
    return sorted(made, key=lambda job: job.seed)


def rules_of_plan(plan: Plan) -> str:
    """Return `rules_of` for the benchmarks of a plan."""
    names = [name for name, data in plan.benchmarks.items() if data is not None]
    return rules_of([benchmark(plan.request, name).declaration for name in names])


def rules_of(declared: Sequence[Declaration]) -> str:
    """Return the hash of prompts and scorers of benchmarks; if it changes, they run again."""
    return json_hash([[each.id, dict(each.protocol), each.scoring] for each in declared])


def _rows(plan: Plan) -> tuple[str, ...]:
    """Return the options by which remaining trainings see the same RL items as earlier ones."""
    kinds = {
        each.arm: ARMS[plan.request.recipe(each.arm).arm]
        for each in plan.arms
        if each.origin == "train"
    }
    trained = [arm for arm in plan.arms if arm.arm in kinds]
    folders = {_folder(plan, a.arm, n): kinds[a.arm] for a in trained for n in range(a.seeds)}
    if all((folder / MARKER).exists() for folder in folders):
        return ()
    return begun_with_rows(folders, str(plan.request.rl_data))


def _folder(plan: Plan, arm: str, seed: int) -> Path:
    return plan.request.folder / "arms" / arm / f"seed-{seed}"


def _job(plan: Plan, arm: ArmPlan, seed: int, rules: str, rows: Sequence[str]) -> Job:
    asked = plan.request
    training = _training(plan, arm.arm, seed, rows) if arm.origin == "train" else None
    if training is not None:
        model = str(training.folder / "checkpoint")
    else:
        model = str(arm.paths[seed]) if arm.paths else str(asked.model)
    common = [] if asked.data_root is None else ["--data-root", str(asked.data_root)]
    if plan.dtype and not any(arg.partition("=")[0] == "--dtype" for arg in asked.run_args):
        common += ["--dtype", plan.dtype]
    common += asked.run_args
    if arm.arm == asked.design.start and seed:  # the model is the same, so vary the sampling seed
        common += ["--seed", str(run_options(asked)["seed"] + seed)]
    args = ["--suite", asked.suite]
    if asked.benchmarks is not None:
        args += ["--benchmarks", ",".join(asked.benchmarks)]
    if asked.limit is not None:
        args += ["--limit", str(asked.limit)]
    suites = [(asked.suite, (*args, *_set(asked, probe=False), *common))]
    if asked.probe is not None:
        pairs = ("--suite", PROBE, "--set", f"{PROBE}.pairs={asked.probe}")
        suites.append((PROBE, (*pairs, *_set(asked, probe=True), *common)))
    out = asked.folder / "runs" / f"{arm.arm}-seed-{seed}"
    return Job(arm.arm, seed, training, model, tuple(suites), rules, out)


def _set(asked: Request, *, probe: bool) -> list[str]:
    """Return the ``--set`` options of the probe, or of the suite."""
    has_probe = asked.probe is not None
    own = (w for w in asked.settings if (has_probe and w.startswith(f"{PROBE}.")) == probe)
    return [part for word in own for part in ("--set", word)]


def _training(plan: Plan, arm: str, seed: int, rows: Sequence[str]) -> Training:
    asked, content, folder = plan.request, plan.content, _folder(plan, arm, seed)
    recipe = asked.recipe(arm)
    shared = {
        "--model": str(asked.model),
        "--pairs": str(recipe.pairs or asked.pairs),
        "--rl-data": str(recipe.rl_data or asked.rl_data),
        "--matching": asked.matching,
    }
    own = {"--arm": recipe.arm, "--seed": str(seed), "--out": str(folder)}
    given = (*chain.from_iterable(shared.items()), *rows, *asked.train_args, *recipe.args)
    names = ("model", "data", "matching", "train")
    hashed = {name: content[name] for name in names}
    if "train" in content["arms"][arm]:
        hashed["recipe"] = {"train": content["arms"][arm]["train"]}
    if sources := content.get("sources", {}).get("train"):
        hashed["sources"] = sources
    key = json_hash({"arm": arm, "seed": seed, **hashed})
    args = ("train", *chain.from_iterable(own.items()), *given)
    return Training(arm, recipe.arm, given, args, folder, key)


def work(job: Job, run: Run = child) -> Outcome:
    """Train and evaluate one model; a failure is an outcome, not an exception."""
    say(f"{job.name}: begins")
    outcome = attempt(job, run)
    say_outcome(job, outcome)
    return outcome


def say_outcome(job: Job, outcome: Outcome) -> None:
    """Print how a job ended."""
    end = f"{outcome.failed} failed: {outcome.reason}" if outcome.failed else "done"
    say(f"{job.name}: {end}")


def attempt(job: Job, run: Run) -> Outcome:
    """Do what is left of a job, like `work` but quietly; ``run`` is called only for that."""
    trained, step = None, "training"
    try:
        if job.training is not None:
            trained = _train(job.training, run)
        step = "evaluation"
        outcome = _measure(job, run)
    except (FailedError, UsageError) as error:
        outcome = Outcome(job.arm, job.seed, failed=step, reason=str(error))
    return replace(outcome, train_seconds=trained)


def _train(training: Training, run: Run) -> float:
    """Train unless done, and return the seconds it took (since its last start).

    ``harness train`` resumes its own run, and rejects a folder started with other arguments.
    """
    if training.marker.exists() and not is_torn(training.marker):
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
    model_fingerprint(training.folder / "checkpoint")  # check that it is one
    seconds = time.monotonic() - start
    write_text(training.marker, json_text({"key": training.key, "seconds": seconds}))
    return seconds


def _measure(job: Job, run: Run) -> Outcome:
    """Complete the job's runs, and return them and the seconds it took.

    The probe is not tested: if it fails, earlier runs are kept.
    """
    marker = job.out / MEASURED
    identity = identify(job.model, None, None)
    # What was asked, without paths.
    asked = [[name, *args] for name, args in job.suites]
    key = json_hash([identity.fingerprint, asked, job.rules])
    if marker.exists() and not is_torn(marker):
        done = read_json(marker)
        listed = done["runs"] if fits(done.get("runs"), dict[str, str]) else {}
        stored = {name: job.out / run for name, run in listed.items()}
        whole = all(is_intact(path) for path in stored.values())
        if done.get("key") == key and stored and whole:
            return Outcome(job.arm, job.seed, stored, run_seconds=_seconds(done))
    start = time.monotonic()
    runs: dict[str, Path] = {}
    failed, reason = None, ""
    for suite, args in job.suites:
        command = ("run", "--model", job.model, *args, "--out", str(job.out), "--json")
        try:
            runs[suite] = _run_of(run(command, job.out / f"{file_name(suite)}.log"))
        except FailedError as error:
            if suite != PROBE:
                raise
            failed, reason = PROBE, str(error)
    seconds = time.monotonic() - start
    if failed is None:
        document = {"key": key, "runs": {name: path.name for name, path in runs.items()}}
        write_text(marker, json_text({**document, "seconds": seconds}))
    return Outcome(job.arm, job.seed, runs, failed, reason, run_seconds=seconds)


def _seconds(done: Mapping[str, Any]) -> float:
    seconds: Any = done.get("seconds")
    return float(seconds) if fits(seconds, float) else 0.0  # for display only


def _run_of(printed: str) -> Path:
    """Return the folder printed by ``harness run --json``; `FailedError` if items failed."""
    document = json.loads(printed)
    errors = {row["benchmark"]: row["errors"] for row in document["benchmarks"] if row["errors"]}
    if errors:
        listed = ", ".join(f"{count} of {name}" for name, count in errors.items())
        raise FailedError(f"items ended in error ({listed}); the same command asks them again")
    return Path(document["run"])


def on_this_machine(
    todo: Sequence[Job], preload: bool = False, at_once: int = 1
) -> Iterator[Outcome]:
    """Run jobs on this machine, ``at_once`` at a time, and yield outcomes as they come.

    Any exit interrupts the running commands.
    """
    processes = ProcessPool(preload, at_once)
    with ThreadPoolExecutor(at_once, "job") as pool:
        try:
            done = [pool.submit(work, job, processes.run) for job in todo]
            for future in as_completed(done):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # first, so that no other job starts
            processes.stop()
            raise


def on_ray(todo: Sequence[Job], gpus: float) -> Iterator[Outcome]:
    """Run jobs as tasks of a Ray cluster (``RAY_ADDRESS``, else one started for them).

    The workers need the same environment and the study's folder under the same path; each task
    takes ``gpus``. If its machine dies, a job resumes elsewhere. `UsageError` if ray is not
    installed, its cluster does not answer, or no machine has that many GPUs.
    """
    address = _cluster()
    import ray

    try:
        with undisturbed():
            ray.init(address, include_dashboard=False, logging_level="warning")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(f"no Ray cluster: {first_line(error)}") from error
    try:
        _check_room(gpus)
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(_cancellable)
        pending = [task.options(name=job.name).remote(job) for job in todo]
        names = dict(zip(pending, todo, strict=True))
        while pending:
            (done,), pending = ray.wait(pending)
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as error:
                job, lines = names[done], str(error).strip().splitlines()
                reason = lines[-1] if lines else type(error).__name__
                yield Outcome(job.arm, job.seed, failed="the task", reason=reason)
    except KeyboardInterrupt:
        for reference in pending:  # interrupt those too: trainings finish their step
            ray.cancel(reference)
        ray.wait(pending, num_returns=len(pending))  # a second signal ends this process
        raise
    finally:
        ray.shutdown()


def _cluster() -> str:
    """Return the address of the cluster to use; one started here takes only our tasks.

    Without an address Ray would join the cluster named by a file in /tmp/ray, which any user of
    this machine can write, and would keep its token where they may read it.
    """
    if address := os.environ.get("RAY_ADDRESS"):
        return address
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    return "local"


def _cancellable(job: Job) -> Outcome:
    """Run a job, and interrupt its command if Ray cancels this task.

    Ray sets a flag for the main thread, which would not notice while waiting for the command.
    """
    processes = ProcessPool()
    return in_thread(partial(work, job, processes.run), processes.stop)


def _check_room(gpus: float) -> None:
    """Reject a cluster on which no machine could ever take a task.

    Machines that are just joining have `JOINING` seconds.
    """
    import ray

    end = time.monotonic() + JOINING
    while True:
        alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        most = max((node.get("GPU", 0.0) for node in alive if node.get("CPU", 0.0) >= 1), default=0)
        if most >= gpus:
            return
        if time.monotonic() > end:
            raise UsageError(
                f"a job takes {gpus:g} GPUs, and no machine of the Ray cluster has more than "
                f"{most:g}: pass --gpus-per-job {most:g}, or start Ray where the GPUs are"
            )
        time.sleep(0.5)


def told(outcomes: Iterable[Outcome], total: int) -> Iterator[Outcome]:
    """Yield outcomes, reporting after each how many models are done and the time left.

    Models that finish within `AT_ONCE` of the start were already done, so they do not count for
    timing.
    """
    begun, fresh, failed = time.monotonic(), 0, 0
    for n, outcome in enumerate(outcomes, 1):
        now = time.monotonic()
        if fresh or now - begun >= AT_ONCE:
            fresh += 1
        else:
            begun = now
        failed += outcome.failed is not None
        line = f"{n - failed} of {total} models done" + (f", {failed} failed" if failed else "")
        if fresh and n < total:
            line += f", {math.ceil((now - begun) / fresh * (total - n) / 60)} min left"
        say(line)
        yield outcome


def executor(kind: Executor, gpus: float, preload: bool, at_once: int) -> Execute:
    """Return a function that runs the jobs; ``preload`` and ``at_once``: see `on_this_machine`."""
    if kind == "local":
        return partial(on_this_machine, preload=preload, at_once=at_once)
    return partial(on_ray, gpus=gpus)
