"""The jobs of a study: what is done is not done again, and what fails costs no more than itself."""

from __future__ import annotations

import _thread
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from ablations.statistics.contrasts import BASELINE, METHOD
from ablations.study import plan as plans
from ablations.study.jobs import Job, Outcome, _cancellable, jobs, rules_of, told, work
from ablations.study.plan import PROBE, ArmPlan, Plan
from ablations.study.study import analysed
from benchmarks.suites import benchmark
from harness.errors import UsageError
from harness.runs.summary import read_summaries
from tests.ablations.conftest import HIGH, LOW, names_of
from tests.commands import ROOT
from tests.planted import BENCHMARKS
from tests.processes import with_word
from tests.servers import Reply, Request, ScriptedServer, asking


@dataclass
class Harness:
    """Runs ``harness run`` as far as a job sees it: a folder, and the errors that it tells of."""

    failing: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def __call__(self, args: Sequence[str], log: Path) -> str:
        suite, out = (args[args.index(option) + 1] for option in ("--suite", "--out"))
        self.asked.append(suite)
        run = Path(out) / f"model-{suite}"
        run.mkdir(parents=True, exist_ok=True)
        (run / "manifest.json").write_text("{}")
        rows = [{"benchmark": suite, "errors": int(suite in self.failing)}]
        return json.dumps({"run": str(run), "benchmarks": rows})


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Return a job on a checkpoint that is there: a suite, and the probe."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_text("weights")
    suites = tuple((name, ("--suite", name)) for name in ("vqa12", PROBE))
    return Job(METHOD, 0, None, str(model), suites, "rules", tmp_path / "runs")


def test_the_probe_of_a_study_is_asked_as_it_is_told(tmp_path: Path) -> None:
    """Its options leave the suite's alone, and count in what is measured; its pairs are --probe."""
    (tmp_path / "model").mkdir()
    told_ = ("probe.prefill=It is", "mathvista.prompt=x", "probe.orders=written")
    request = plans.Request(tmp_path, "vqa12", benchmarks=BENCHMARKS, probe="micro", settings=told_)
    arms = (ArmPlan(METHOD, "checkpoints", 1, paths=(tmp_path / "model",)),)
    (made,) = jobs(Plan(request, None, {}, {}, arms))
    (_, suite), (_, probe) = made.suites
    assert [word for word in suite if "=" in word] == ["mathvista.prompt=x"]
    options = [word for word in probe if "=" in word]
    assert options == ["probe.pairs=micro", "probe.prefill=It is", "probe.orders=written"]
    asked = plans.benchmark(dataclasses.replace(request, settings=(told_[0], told_[2])), PROBE)
    stated = asked.declaration.protocol["asked"]
    assert (stated["prefill"], stated["orders"]) == ("It is", "written")
    with pytest.raises(UsageError, match="--probe names the pairs"):
        plans.benchmark(dataclasses.replace(request, settings=("probe.pairs=micro",)), PROBE)
    with pytest.raises(UsageError, match="'probe' is not among"):
        plans.benchmark(dataclasses.replace(request, probe=None, settings=told_[:1]), "mmmu")


def test_a_failed_probe_costs_the_probe_alone(job: Job) -> None:
    harness = Harness(failing={PROBE})
    failed = work(job, harness)
    suite = ("vqa12", job.out / "model-vqa12")
    assert (failed.failed, failed.runs) == (PROBE, dict([suite]))
    assert "1 of probe" in failed.reason
    harness.failing.clear()
    assert work(job, harness).runs == dict([suite, (PROBE, job.out / "model-probe")])
    assert harness.asked == ["vqa12", PROBE] * 2
    assert work(job, harness).failed is None
    assert len(harness.asked) == 4
    # A suite that fails leaves nothing to keep.
    harness.failing.add("vqa12")
    failed = work(dataclasses.replace(job, rules="new"), harness)
    assert (failed.failed, failed.runs) == ("evaluation", {})


def test_new_prompts_and_scorers_are_run_again(job: Job) -> None:
    harness = Harness()
    for _ in range(2):
        work(job, harness)
    assert harness.asked == ["vqa12", PROBE]
    work(dataclasses.replace(job, rules="new"), harness)
    assert harness.asked == ["vqa12", PROBE] * 2
    declared = benchmark("phyx", None).declaration
    rules = rules_of([declared])
    assert rules_of([dataclasses.replace(declared, title="another")]) == rules
    assert rules_of([dataclasses.replace(declared, scoring="another")]) != rules
    protocol = {**declared.protocol, "another": "word"}
    assert rules_of([dataclasses.replace(declared, protocol=protocol)]) != rules


def test_a_model_without_its_probe_is_in_the_verdict(
    planted_runs: dict[str, Path], tmp_path: Path
) -> None:
    levels = {BASELINE: LOW, METHOD: HIGH}
    arms = tuple(ArmPlan(arm, "checkpoints", 3, paths=(tmp_path,) * 3) for arm in levels)
    request = plans.Request(tmp_path / "study", "vqa12", benchmarks=BENCHMARKS, probe="micro")
    data: dict[str, str | None] = dict.fromkeys((*BENCHMARKS, PROBE), "x")
    outcomes = [
        Outcome(arm, seed, {"vqa12": planted_runs[name]}, PROBE, "no memory")
        for arm, level in levels.items()
        for seed, name in enumerate(names_of(arm, level))
    ]
    report = analysed(Plan(request, None, {}, data, arms), outcomes)
    assert [arm.seeds for arm in report.analysis.arms] == [3, 3]
    assert report.analysis.contrasts[0].verdict == "better"
    assert [model.selection for model in report.models] == [None] * 6
    assert not report.complete
    assert [(gap.step, gap.reason) for gap in report.missing] == [(PROBE, "no memory")] * 6
    assert "Missing from the plan: grpo seed 0 (probe failed), grpo seed 1 (pro" in report.verdict


def test_a_study_says_how_many_models_are_done(capsys: pytest.CaptureFixture[str]) -> None:
    """Models that were there already tell nothing of the time that is left."""

    def outcomes() -> Iterator[Outcome]:
        yield Outcome(BASELINE, 0)
        time.sleep(2.5)
        yield Outcome(METHOD, 0)
        yield Outcome(BASELINE, 1, failed="training")
        yield Outcome(METHOD, 1)

    assert len(list(told(outcomes(), 4))) == 4
    assert capsys.readouterr().err.splitlines() == [
        "1 of 4 models done",
        "2 of 4 models done, 1 min left",
        "2 of 4 models done, 1 failed, 1 min left",
        "3 of 4 models done, 1 failed",
    ]


@pytest.mark.slow
def test_a_cancelled_task_of_ray_interrupts_its_command(tmp_path: Path) -> None:
    """Ray's cancel is a flag for the main thread of the worker, which waits for the command.

    A worker blocks the signal that the command is interrupted by.
    """
    from benchmarks.micro.model.build import WEIGHTS

    def cancel(server: ScriptedServer) -> None:
        while not server.requests:
            time.sleep(0.05)
        _thread.interrupt_main()

    with ScriptedServer(lambda _: Reply("A", delay=300), models=(str(WEIGHTS),)) as server:
        args = ("--endpoint", server.url, "--suite", "probe", "--set", "probe.pairs=micro:image")
        args += ("--limit", "1")
        job = Job(METHOD, 0, None, str(WEIGHTS), (("vqa12", args),), "rules", tmp_path / "runs")
        threading.Thread(target=cancel, args=(server,), daemon=True).start()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with pytest.raises(KeyboardInterrupt):
                _cancellable(job)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert not asking()
    assert "all responses so far are stored" in (tmp_path / "runs" / "vqa12.log").read_text()


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.external
def test_a_job_whose_ray_worker_dies_is_done_by_another(tmp_path: Path) -> None:
    from benchmarks.micro.model.build import WEIGHTS

    killed: list[int] = []

    def reply(request: Request) -> Reply:
        if not killed:
            family = psutil.Process().children(recursive=True)
            (command,) = with_word(server.url, family)
            killed.append(command.ppid())
            psutil.Process(command.ppid()).kill()
        return Reply("A")

    with ScriptedServer(reply, models=(str(WEIGHTS),)) as server:
        args = ("--endpoint", server.url, "--suite", "probe", "--set", "probe.pairs=micro:image")
        suites = (("vqa12", (*args, "--limit", "3")),)
        program = (
            "import json; from pathlib import Path; from ablations.study.jobs import Job, on_ray\n"
            f"job = Job('a', 0, None, {str(WEIGHTS)!r}, {suites!r}, 'rules', Path('runs'))\n"
            "(outcome,) = on_ray([job], 0)\n"
            "told = [outcome.failed, outcome.reason, str(outcome.runs.get('vqa12'))]\n"
            "Path('told.json').write_text(json.dumps(told))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    failed, reason, run = json.loads((tmp_path / "told.json").read_text())
    assert (failed, reason) == (None, "")
    assert killed
    assert read_summaries(tmp_path / run)["probe"].n == 3


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.external
def test_ray_joins_no_cluster_that_another_user_names() -> None:
    """Ray reads an address from a folder of all users, and keeps its token where they may read."""
    program = "from ablations.study.jobs import on_ray; print(list(on_ray([], 0)))"
    with tempfile.TemporaryDirectory(prefix="r") as folder:  # short: a socket's path has a limit
        (Path(folder) / "ray").mkdir()
        (Path(folder) / "ray" / "ray_current_cluster").write_text("127.0.0.1:9")
        inherited = {n: value for n, value in os.environ.items() if not n.startswith("RAY_")}
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**inherited, "RAY_TMPDIR": folder, "HOME": folder},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
        assert not (Path(folder) / ".ray").exists()
