"""What a study will cost and could detect, before anything is trained.

Times come from a few measured steps and items on this machine; minimal detectable effects from the
number of items and an assumed standard deviation across training seeds.
"""

from __future__ import annotations

import json
import math
import shlex
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from ablations.arms import ARMS
from ablations.statistics.contrasts import Rules
from ablations.statistics.design import power
from ablations.statistics.estimates import Components
from ablations.study.children import begin, say, stop
from ablations.study.jobs import Training, jobs
from ablations.study.plan import PROBE, Plan, benchmark, run_options
from harness.errors import UsageError
from harness.files import plain
from harness.runs.store import read_samples

EXPECTED = 0.5  # accuracy with the largest variance, so the promised effect is not too small
STEPS = 4  # training steps measured
FEW = 16  # items measured per benchmark
TICK = 0.05  # seconds between progress checks
LOG = "calibration.log"
ENDING = "enough is measured: waiting for the measured command to end"


@dataclass(frozen=True, slots=True)
class Timing:
    """Time of a training or an evaluation here: seconds to start, and per step or item."""

    start: float
    each: float


@dataclass(frozen=True, slots=True)
class BenchmarkForecast:
    """One benchmark: items asked, and the smallest difference the study would detect on it."""

    benchmark: str
    items: int
    mde: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a study will do and could detect; effects in units of the score.

    ``mde``: of the macro average, at ``seeds`` seeds per arm. ``steps``: planned optimizer steps by
    trained arm; ``trained``: number of trainings. ``seeds_needed`` (None: more than a thousand) is
    for the planned effect; ``equivalence`` is the chance that equal arms are called equivalent
    (None: no contrast asks for it), ``equivalence_seeds`` the seeds per arm for the planned power
    of that. ``items`` counts each of the ``repeats``. ``training_sd`` is assumed, ``decoding_sd``
    an upper bound. ``sampled_base``: the base is evaluated once per seed.
    """

    trainings: int
    evaluations: int
    items: int
    seeds: int
    training_sd: float
    decoding_sd: float
    mde: float | None
    seeds_needed: int | None
    equivalence: float | None
    equivalence_seeds: int | None
    benchmarks: tuple[BenchmarkForecast, ...]
    steps: Mapping[str, int]
    trained: Mapping[str, int]
    training: Timing | None = None
    evaluation: Timing | None = None
    repeats: int = 1
    sampled_base: bool = False

    @property
    def seconds(self) -> float | None:
        """Total seconds with jobs run one after another; None if a part was not measured."""
        return self._seconds(self.trained, self.evaluations, self.items)

    def seconds_of(self, seeds: float, repeats: int) -> float | None:
        """Return `seconds` for another number of seeds per arm and of repeats per item."""
        trained = dict.fromkeys(self.trained, seeds)
        fixed = self.evaluations - self.trainings - self.seeds * self.sampled_base
        evaluations = fixed + seeds * (len(trained) + self.sampled_base)
        return self._seconds(trained, evaluations, self.items * repeats / self.repeats)

    def _seconds(
        self, trained: Mapping[str, float], evaluations: float, items: float
    ) -> float | None:
        training, evaluation = self.training, self.evaluation
        if (trained and training is None) or (evaluations and evaluation is None):
            return None
        total = 0.0
        if training is not None:
            each = {arm: training.start + training.each * n for arm, n in self.steps.items()}
            total += sum(each[arm] * trained[arm] for arm in each)
        if evaluation is not None:
            total += evaluations * (evaluation.start + evaluation.each * items)
        return total


def forecast(plan: Plan, training_sd: float) -> Forecast:
    """Return the forecast of a plan, without times.

    ``training_sd`` is the assumed SD of a seed's score due to training, in units of the score, for
    the macro average and every benchmark.
    """
    rules, todo, repeats = plan.request.rules, jobs(plan), planned_repeats(plan)
    start = plan.request.design.start
    items = counts(plan)
    scored = {name: n for name, n in items.items() if name != PROBE}
    seeds = min((arm.seeds for arm in plan.arms if arm.arm != start), default=1)
    trained = [job.training for job in todo if job.training is not None]
    tested = scored if seeds > 1 or rules.inference == "items" else {}
    macro = _spread(scored, training_sd, repeats)
    kinds = {contrast.kind for contrast in plan.contrasts}
    equivalence = None
    if tested and "data" in kinds and rules.inference == "seeds":
        equivalence = power.equivalence_power(rules.margin, macro, seeds, rules.alpha)
    mdes = {
        name: _mde(rules, _spread({name: n}, training_sd, repeats), seeds)
        for name, n in tested.items()
    }
    return Forecast(
        trainings=len(trained),
        evaluations=len(todo),
        items=repeats * sum(items.values()),
        seeds=seeds,
        training_sd=training_sd,
        decoding_sd=macro.decoding**0.5,
        mde=_mde(rules, macro, seeds) if tested else None,
        seeds_needed=power.seeds_needed(rules.effect_size, macro, rules.alpha, rules.power),
        equivalence=equivalence,
        equivalence_seeds=power.equivalence_seeds(rules.margin, macro, rules.alpha, rules.power),
        benchmarks=tuple(BenchmarkForecast(name, tested[name], mde) for name, mde in mdes.items()),
        trained=Counter(training.arm for training in trained),
        steps=planned_steps(trained),
        repeats=repeats,
        sampled_base=any(
            arm.arm == start and arm.origin == "given" and arm.seeds > 1 for arm in plan.arms
        ),
    )


def _mde(rules: Rules, spread: Components, seeds: int) -> float:
    """Return the minimal detectable effect; over items, that of two independent checkpoints."""
    if rules.inference == "items":
        return power.mde((2 * spread.decoding) ** 0.5, math.inf, rules.alpha, rules.power)
    return power.planned_mde(spread, seeds, rules.alpha, rules.power)


def planned_repeats(plan: Plan) -> int:
    """Return the samples per item: ``--repeats`` in the study's ``--run-args``."""
    return int(run_options(plan.request)["repeats"])


def _spread(items: Mapping[str, int], training_sd: float, repeats: int) -> Components:
    accuracies = {name: (EXPECTED, n) for name, n in items.items()}
    decoding = power.sampling_variance(accuracies) if items else 0.0
    return Components(training_sd**2, decoding / repeats)


def planned_steps(trainings: Sequence[Training]) -> dict[str, int]:
    """Return the optimizer steps of every arm, as planned by ``harness train --dry-run``.

    `UsageError` if it rejects an arm: data is missing, wrong or too little.
    """
    alike: dict[tuple[str, ...], dict[str, Training]] = {}
    for training in trainings:
        alike.setdefault(training.given, {}).setdefault(training.arm, training)
    steps = [_steps_of(list(arms.values())) for arms in alike.values()]
    return {arm: count for of_some in steps for arm, count in of_some.items()}


def _steps_of(trainings: Sequence[Training]) -> dict[str, int]:
    first, *others = trainings
    more = (arg for training in others for arg in ("--arm", training.kind))
    process = begin((*first.args, *more, "--dry-run", "--json"), subprocess.PIPE, subprocess.PIPE)
    try:
        printed, errors = process.communicate()
    except BaseException:
        stop(process)
        raise
    if process.returncode:
        reason = _last_line(errors)
        raise UsageError(
            reason if process.returncode == 2 else f"harness train --dry-run: {reason}"
        )
    counted = ("rl_steps", "sft_steps", "selection_steps")
    rows = json.loads(printed)["arms"]
    # The document has the steps of every arm.
    return {t.arm: sum(rows[ARMS[t.kind].name][key] for key in counted) for t in trainings}


def timed(plan: Plan, of: Forecast) -> Forecast:
    """Return a forecast with times measured here; leaves nothing in the study's folder."""
    out = plan.folder / "calibration"
    made = [path for path in (plan.folder, plan.folder.parent) if not path.exists()]
    try:
        return replace(of, training=_training_time(plan, out), evaluation=_run_time(plan, out))
    finally:
        shutil.rmtree(out, ignore_errors=True)
        for path in made:
            with suppress(OSError):  # not created, or not empty
                path.rmdir()


def counts(plan: Plan) -> dict[str, int]:
    """Return the items each model is asked; if all runs are external, those that all hold.

    `UsageError` if they share no benchmark of the suite.
    """
    asked, held = plan.request, {}
    runs = [path for arm in plan.arms if arm.origin == "runs" for path in arm.paths]
    for name, fingerprint in plan.benchmarks.items():
        if fingerprint is not None:
            n = benchmark(asked, name).count()
            limited = asked.limit is not None and name != PROBE
            held[name] = min(n, asked.limit or n) if limited else n
        else:  # counted from the runs without reading a score
            items = [{item for item, _ in read_samples(run, name)} for run in runs]
            if common := set.intersection(*items):
                held[name] = len(common)
    if not held:
        raise UsageError(f"the runs hold no items of {asked.suite} in common")
    return held


def _run_time(plan: Plan, out: Path) -> Timing | None:
    """Time an evaluation of the first available model (else the base model) on a few items.

    Seconds per item from the first stored answer on; the time before is the start. None if every
    run is external.
    """
    todo = jobs(plan)
    if not todo:
        return None
    ready = [job.model for job in todo if job.training is None]
    model = ready[0] if ready else str(plan.request.model)
    _, args = todo[0].suites[0]
    few = ("run", "--model", model, *args, "--limit", str(FEW), "--out", str(out / "runs"))
    seen, seconds, code = _watch(few, out, lambda: _stored(out))
    stored = _stored(out)
    if code or not stored:
        raise UsageError(f"no evaluation could be measured: {_last_line((out / LOG).read_text())}")
    # If all arrived between two checks, an answer took at most one interval.
    first, last = seen[min(1, len(seen) - 1)], seen[-1]
    more = last[1] - first[1]
    item = (last[0] - first[0]) / more if more else TICK / stored
    return Timing(max(0.0, seconds - item * stored), item)


def _stored(out: Path) -> int:
    files = (out / "runs").glob("*/samples/*.jsonl")
    return sum(path.read_bytes().count(b"\n") for path in files)


def _watch(
    args: Sequence[str], out: Path, count: Callable[[], int], enough: float = math.inf
) -> tuple[list[tuple[float, int]], float, int | None]:
    """Run a command, logging to the calibration's log, until it ends or ``enough`` is done.

    Returns (seconds, ``count``) at each progress, total seconds, and the exit code (None: stopped).
    """
    say(f"$ harness {shlex.join(args)}")
    out.mkdir(parents=True, exist_ok=True)
    begun, seen = time.monotonic(), [(0.0, 0)]
    with open(out / LOG, "a", opener=plain.opener) as log:
        process = begin(args, stdout=log, stderr=log)
        try:
            while (code := process.poll()) is None and seen[-1][1] < enough:
                if (done := count()) > seen[-1][1]:
                    seen.append((time.monotonic() - begun, done))
                time.sleep(TICK)
        finally:
            if process.poll() is None:
                stop(process, waiting=ENDING)
    return seen, time.monotonic() - begun, code


def _last_line(errors: str) -> str:
    lines = errors.strip().splitlines() or ["no output"]
    return lines[-1].removeprefix("harness: ")


def _training_time(plan: Plan, out: Path) -> Timing | None:
    """Time the first steps of the arm with the most work per step, then stop it.

    The start is the time until the end of the first step, minus that step.
    """
    trained = {job.arm: job.training for job in jobs(plan) if job.training is not None}
    if not trained:
        return None
    training = trained.get(str(plan.request.design.method)) or next(iter(trained.values()))
    from ablations.training.ledger import read_steps

    lines = out / "training" / "training.jsonl"
    args = (*training.args, "--out", str(lines.parent))
    seen, seconds, _ = _watch(args, out, lambda: len(read_steps(lines)), enough=STEPS)
    steps = [float(step["seconds"]) for step in read_steps(lines)]
    if not steps:
        raise UsageError(
            f"no training step could be measured: {_last_line((out / LOG).read_text())}"
        )
    first = seen[1][0] if len(seen) > 1 else seconds
    # The first step includes warm-up.
    return Timing(max(0.0, first - steps[0]), fmean(steps[1:] or steps))
