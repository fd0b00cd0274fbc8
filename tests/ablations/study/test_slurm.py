"""Studies on Slurm: the settings file, what sbatch is told, and a cluster of small scripts.

The real one-machine cluster on which studies were tried by hand is described in docs/study.md.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from ablations.statistics.contrasts import METHOD
from ablations.study.jobs import Job, Training
from ablations.study.slurm.arrays import Cluster, on_slurm
from ablations.study.slurm.settings import SlurmSettings, read_settings
from ablations.study.slurm.task import Task, told
from benchmarks.micro.model.build import WEIGHTS
from harness.errors import UsageError
from tests.commands import ROOT, harness, one_line
from tests.servers import Reply, ScriptedServer, asking

FULL = """
partition: gpu
account: vision
modules: [cuda/12.8, "python 3"]
hours: 4
cpus: 8
memory: 1.5
options: {constraint: h100, exclusive: true}
training: {gpus: 1, hours: 23.99, options: {constraint: h200}}
evaluation: {gpus: 2, qos: short}
save_seconds: 120
at_once: 2
"""


def settings_of(folder: Path, text: str) -> SlurmSettings:
    path = folder / "slurm.yaml"
    path.write_text(text)
    return read_settings(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("partition: gpu", "slurm.yaml: give hours, the time limit of a job"),
        ("training: {hours: 1}", "slurm.yaml: give hours"),
        ("hour: 4", "line 1: hour: unknown name: did you mean hours?"),
        ("hours: 4\ntraining: {gpu: 8}", "line 2: training.gpu: unknown name"),
        ("hours: 4\ngpus: many", "line 2: gpus: must be a whole number"),
        ("hours: 0", "line 1: hours: must be above 0"),
        ("hours: .inf", "line 1: hours: must be at most 8784"),
        ("hours: 4\nmemory: .inf", "line 2: memory: must be at most 1000000"),
        ("hours: 24:00:00", "line 1: YAML reads 24:00:00 in base 60"),
        ("hours: 0.05", "save_seconds (300) must be below the time limit (hours: 0.05)"),
        ("hours: 4\noptions: {cpus_per_task: 5}", "options.cpus_per_task cannot be given"),
        ("hours: 4\noptions: {chdir: other}", "options.chdir cannot be given"),
        ("hours: 4\noptions: {clusters: other}", "options.clusters cannot be given"),
        ("hours: 4\ncpus: 0", "line 2: cpus: must be at least 1"),
        ("hours: 4\noptions: {time: 5}", "options.time cannot be given: the study sets it"),
        ("hours: 4\noptions: {--nice: 5}", "options.--nice is no option of sbatch"),
        ("hours: 4\noptions: {exclusive: false}", "true where it takes no value"),
        ('hours: 4\noptions: {comment: "a\\nrm x"}', r"'a\nrm x' is not one line of text"),
    ],
)
def test_a_wrong_settings_file_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        settings_of(tmp_path, text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_and_the_executor_go_together(tmp_path: Path) -> None:
    words = ["ablate", "objective-vs-data", "--studies", tmp_path]
    one_line(harness(*words, "--executor", "slurm"), "needs --executor-settings FILE.yaml")
    (tmp_path / "x.yaml").write_text("hour: 1")
    given = [*words, "--executor-settings", tmp_path / "x.yaml"]
    one_line(harness(*given), "--executor-settings is for --executor slurm")
    for option, of in ((["--jobs", 2], "local"), (["--gpus-per-job", 1], "ray")):
        of_another = harness(*given, "--executor", "slurm", *option)
        one_line(of_another, f"{option[0]} is for --executor {of}")
    one_line(harness(*given, "--executor", "slurm"), "line 1: hour: ", "did you mean hours?")
    missing = tmp_path / "none.yaml"
    one_line(
        harness(*words, "--executor", "slurm", "--executor-settings", missing), "cannot be read"
    )


def test_the_example_of_the_page_is_read(tmp_path: Path) -> None:
    page = (ROOT / "docs/study.md").read_text()
    (text,) = re.findall(r"```yaml\n(# slurm.yaml\n.*?)```", page, re.DOTALL)
    asked = settings_of(tmp_path, text).parameters("run")
    assert asked["additional_parameters"]["exclude"] == "node[3-4]"
    wanted = {"gpus_per_node": 2, "time": 240, "mem": "131072MB", "qos": "short"}
    assert wanted.items() <= asked.items()


# A cluster of one machine: sbatch begins the tasks of an array one after the other, as its script
# says, and squeue lists those that have not ended.  What depends on others never begins.
SBATCH = """#!/bin/sh
cp "$1" "$CLUSTER/script-$$"
echo "Submitted batch job $$"
grep -q '^#SBATCH --dependency' "$1" && exit
array=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' "$1")
name=$(sed -n 's/^#SBATCH --job-name=//p' "$1")
ids=$$
[ -n "$array" ] && ids=$(seq -f "$$_%.0f" 0 "$array")
for id in $ids; do echo "$id PENDING $name" >"$CLUSTER/$id"; done
(
  for id in $ids; do
    echo "$id RUNNING $name" >"$CLUSTER/$id"
    export SLURM_JOB_ID=$$ SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0
    case $id in *_*) export SLURM_ARRAY_JOB_ID=$$ SLURM_ARRAY_TASK_ID=${id#*_} ;; esac
    sh "$CLUSTER/script-$$" >"$CLUSTER/log-$id" 2>&1
    rm "$CLUSTER/$id"
  done
) >/dev/null 2>&1 &
"""
SRUN = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do
  case $1 in --output | --error) shift ;; esac
  shift
done
exec "$@"
"""
SQUEUE = """#!/bin/sh
cat "$CLUSTER"/[0-9]* 2>/dev/null || true
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a cluster of scripts, which are on the path."""
    pytest.importorskip("submitit")
    folder = tmp_path / "cluster"
    folder.mkdir()
    (tmp_path / "bin").mkdir()
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "squeue": SQUEUE}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.setenv("CLUSTER", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    return folder


def job_of(folder: Path, seed: int, trained: bool = False) -> Job:
    """Return a job whose model is not there; where it is trained, with arguments that fail."""
    arm = folder / "arms" / METHOD / f"seed-{seed}"
    args = ("train", "--arm", METHOD, "--out", str(arm), "--model", str(folder / "none"))
    training = Training(METHOD, METHOD, (), args, arm, "key") if trained else None
    suites = (("vqa12", ("--suite", "vqa12")),)
    out = folder / "runs" / f"{METHOD}-seed-{seed}"
    return Job(METHOD, seed, training, str(arm / "checkpoint"), suites, "rules", out)


def flags(script: str) -> dict[str, str]:
    lines = [line.removeprefix("#SBATCH --") for line in script.splitlines() if "#SBATCH" in line]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def test_what_sbatch_is_told(cluster: Path, tmp_path: Path) -> None:
    (cluster.parent / "bin" / "sbatch").write_text(
        '#!/bin/sh\ncp "$1" "$CLUSTER/script-$$"\necho "Submitted batch job $$"\n'
    )
    study = Cluster(tmp_path / "mine", settings_of(tmp_path, FULL))
    jobs = [job_of(tmp_path, seed, trained=True) for seed in range(3)]
    brought = job_of(tmp_path, 4)
    study.submit({**dict.fromkeys(jobs, "train"), brought: "run"})
    scripts = [path.read_text() for path in sorted(cluster.glob("script-*"), key=_written)]
    train, after, alone = map(flags, scripts)
    wanted = {
        "array": "0-2%2",
        "account": "vision",
        "constraint": "h200",
        "cpus-per-task": "8",
        "exclusive": "",
        "gpus-per-node": "1",
        "job-name": "mine-training",
        "kill-on-invalid-dep": "yes",
        "mem": "1536MB",
        "open-mode": "append",
        "partition": "gpu",
        "requeue": "",
        "signal": "USR2@120",
        "time": "1440",
    }
    assert wanted.items() <= train.items()
    assert not {"dependency", "qos"} & train.keys()
    assert "module load cuda/12.8 || exit 1\nmodule load 'python 3' || exit 1\n" in scripts[0]
    number = study.entries[jobs[0].name]["tasks"]["train"].partition("_")[0]
    assert (after["array"], after["dependency"]) == ("0-2%2", f"aftercorr:{number}")
    others = {"constraint": "h100", "gpus-per-node": "2", "qos": "short", "time": "240"}
    assert others.items() <= after.items()
    assert not {"array", "dependency"} & alone.keys()
    submitted = [sorted(entry["tasks"]) for entry in study.entries.values()]
    assert submitted == [["run", "train"]] * 3 + [["run"]]


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns


def _coreutils(folder: Path) -> Path:
    """Return a folder with what the scripts call, and no Slurm of this machine."""
    made = folder / "coreutils"
    made.mkdir()
    for name in ("sh", "cat"):
        (made / name).symlink_to(shutil.which(name) or name)
    return made


def test_a_cluster_that_refuses_or_is_not_there_is_one_line(
    cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, job = SlurmSettings(hours=1), job_of(tmp_path, 0, trained=True)
    (cluster.parent / "bin" / "sbatch").write_text(
        "#!/bin/sh\necho 'sbatch: error: invalid partition specified: x' >&2\nexit 1\n"
    )
    with pytest.raises(UsageError, match=r"^Slurm refuses the trainings: sbatch: error: invalid"):
        list(on_slurm([job], settings, tmp_path))
    (cluster.parent / "bin" / "sbatch").unlink()
    monkeypatch.setenv("PATH", f"{cluster.parent / 'bin'}{os.pathsep}{_coreutils(tmp_path)}")
    with pytest.raises(UsageError, match=r"^there is no sbatch here"):
        list(on_slurm([job], settings, tmp_path))
    for text in ("{]", "[1]", '{"a": 1}'):
        (tmp_path / "slurm" / "tasks.json").write_text(text)
        with pytest.raises(UsageError, match=r"tasks.json is corrupt: end the study's tasks"):
            list(on_slurm([job], settings, tmp_path))
    (tmp_path / "slurm" / "tasks.json").unlink()
    (cluster.parent / "bin" / "squeue").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(UsageError, match="squeue failed; run this on a login node"):
        list(on_slurm([job], settings, tmp_path))


def test_tasks_that_are_in_the_queue_are_not_submitted_again(cluster: Path, tmp_path: Path) -> None:
    jobs = [job_of(tmp_path, seed, trained=True) for seed in range(2)]
    todo = dict.fromkeys(jobs, "train")
    (cluster.parent / "bin" / "sbatch").write_text(
        '#!/bin/sh\ntouch "$CLUSTER/script-$$"\necho "Submitted batch job $$"\n'
    )
    settings = SlurmSettings(hours=1)
    first = Cluster(tmp_path / "mine", settings)
    first.submit(todo)
    tasks = [entry["tasks"] for entry in first.entries.values()]
    # Of the first job both tasks are there still, of the second nothing, nor another user's.
    names = {"train": "mine-training", "run": "mine-evaluation"}
    lines = [f"{tasks[0][step]} RUNNING {name}" for step, name in names.items()]
    (cluster / "0").write_text("\n".join([*lines, f"{tasks[1]['train']} RUNNING other"]) + "\n")
    again = Cluster(tmp_path / "mine", settings)
    again.recall()
    again.submit(todo)
    kept, new = (entry["tasks"] for entry in again.entries.values())
    assert kept == tasks[0]
    assert not set(new.values()) & set(tasks[1].values())
    assert len(list(cluster.glob("script-*"))) == 4
    # What else has its name, as a study in another folder, is not to be cancelled.
    (cluster / "1").write_text("77777 RUNNING mine-training\n")
    (cluster / "2").write_text(f"{new['run']} PENDING mine-evaluation\n")
    found = {tasks[0]["train"], tasks[0]["run"], new["run"]}
    assert again.numbers() == sorted({one.partition("_")[0] for one in found}, key=int)
    # Another plan does not take over what the earlier one has in the queue.
    other = dataclasses.replace(jobs[0], rules="other")
    with pytest.raises(UsageError, match=f"as it was before \\({tasks[0]['train']}, .*scancel"):
        again.submit({other: "train"})


@pytest.mark.slow
def test_a_failed_training_and_a_failed_evaluation_are_told(cluster: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_text("weights")
    brought = dataclasses.replace(job_of(tmp_path, 1), model=str(model))
    failing = job_of(tmp_path, 0, trained=True)
    outcomes = on_slurm([failing, brought], SlurmSettings(hours=1), tmp_path, poll=0.1)
    found = {one.seed: one for one in outcomes}
    logs = [path.read_text() for path in cluster.glob("log-*")]
    assert [found[seed].failed for seed in (0, 1)] == ["training", "evaluation"], logs
    assert found[0].reason.endswith(f"(exit code 2; {tmp_path}/arms/contextrl/seed-0/train.log)")
    assert found[1].reason.endswith(f"; {tmp_path}/runs/contextrl-seed-1/vqa12.log)")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_of_slurm_saves_and_ends_the_task(number: int, tmp_path: Path) -> None:
    """Slurm sends it to all processes of a task: SIGTERM ends all, SIGUSR2 only asks us to save."""
    pytest.importorskip("submitit")
    args = ("--suite", "probe", "--set", "probe.pairs=micro:image", "--limit", "1")
    record = tmp_path / "record.json"
    again: list[Any] = []
    with ScriptedServer(lambda _: Reply("A", delay=300), models=(str(WEIGHTS),)) as server:
        suites = (("vqa12", ("--endpoint", server.url, *args)),)
        job = Job(METHOD, 0, None, str(WEIGHTS), suites, "rules", tmp_path / "runs")
        task = Task(job, "run", record)

        def as_submitit(*_: object) -> None:
            again.append(task.checkpoint())
            sys.exit(-1)

        def send() -> None:
            while not server.requests:
                time.sleep(0.05)
            for process in (*psutil.Process().children(), psutil.Process()):
                process.send_signal(number)

        before = signal.signal(signal.SIGUSR2, as_submitit)
        threading.Thread(target=send, daemon=True).start()
        try:
            with pytest.raises(SystemExit) as ended:
                task()
        finally:
            signal.signal(signal.SIGUSR2, before)
    assert not asking()
    failure = told(job, record)
    assert failure is not None
    assert failure.failed == "evaluation"
    if number == signal.SIGTERM:
        assert (ended.value.code, failure.reason) == (143, "it was stopped by a signal (SIGTERM)")
    else:
        assert "time limit" in failure.reason
        assert again[0].function.job == job
        assert "all responses so far are stored" in (tmp_path / "runs" / "vqa12.log").read_text()
