"""A study on a Ray cluster of several nodes in this machine, two of which are killed.

``python -m tests.ray_nodes FOLDER`` does one study twice, by the local executor and on a cluster of
a head and three nodes: the node that runs a training dies in the middle of it, then one that runs
an evaluation.  Scores, answers and weights must be the same, and nothing may be done twice.  Before
that: what asks for a GPU runs where one is, and a command that fails is run once.  Several minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.micro.prepare import prepare
from harness.files.hashing import file_hash
from harness.files.jsonl import read_lines
from tests.commands import ROOT
from tests.processes import command_line

ARMS, SEEDS, STEPS, ITEMS = ("grpo", "contextrl"), 2, 6, 32
TRAIN = f"--config micro --prompts {8 * STEPS} --pair-count {4 * STEPS} --prompts-per-step 8 "
TRAIN += "--save-every 2 --norms-every 0 --report-to none"
RUN = "--backend transformers --dtype float32 --max-tokens 32 --no-native --batch-size 4"
TIMES = ("train_seconds", "run_seconds")


class Nodes:
    """A head without room for tasks, and nodes with one core each."""

    def __init__(self) -> None:
        """Start them."""
        os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  15 starves
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        self.nodes = [self.cluster.add_node(num_cpus=1) for _ in range(3)]
        self.cluster.wait_for_nodes()
        self.environment = {"RAY_ADDRESS": self.cluster.address}

    def of(self, command: psutil.Process) -> Any:
        """Return the node that runs a command."""
        above = {each.pid for each in command.parents()}
        return next(node for node in self.nodes if _raylet(node) in above)

    def kill(self, command: psutil.Process) -> None:
        """Kill the node that runs a command, as a machine dies: nothing is told first."""
        node = self.of(command)
        self.nodes.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)


def _raylet(node: Any) -> int:
    (raylet,) = node.all_processes["raylet"]
    pid: int = raylet.process.pid
    return pid


def words(folder: Path, world: tuple[Path, Path]) -> list[str]:
    """Return the study as a command."""
    model, data = world
    study = f"""ablate objective-vs-data --name study --arms {",".join(ARMS)} --seeds {SEEDS}
        --suite phyx --limit {ITEMS} --pairs micro:image --rl-data micro:image --matching steps
        """.split()
    study += ["--train-args", TRAIN, "--run-args", RUN, "--studies", str(folder)]
    return [*study, "--model", str(model), "--data-root", str(data)]


def start(arguments: list[str], log: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start one of our commands, its messages in a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    known = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    place = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-m", "harness", *arguments]
    with log.open("wb") as kept:
        return subprocess.Popen(command, stdout=kept, stderr=kept, env={**known, **place})


def running(kind: str, ready: Callable[[Path], bool]) -> psutil.Process | None:
    """Return a running ``harness train`` or ``run`` whose ``--out`` is ready to be disturbed."""
    for each in psutil.process_iter():
        line = command_line(each)
        ours = ["-m", "harness", kind] == line[1:4] and "--out" in line
        if ours and ready(Path(line[line.index("--out") + 1])):
            return each
    return None


def amid_training(out: Path) -> bool:
    """Whether a training has saved a checkpoint to resume from, and has steps to do."""
    log = out / "training.jsonl"
    saved = any(out.glob("stages/rl/checkpoint-*/trainer_state.json"))
    return saved and log.read_bytes().count(b"\n") < STEPS - 1


def amid_evaluation(out: Path) -> bool:
    """Whether an evaluation has stored some answers, and not nearly all."""
    stored = sum(f.read_bytes().count(b"\n") for f in out.glob("*/samples/*.jsonl"))
    return 0 < stored <= ITEMS - 8


def disturbed(folder: Path, world: tuple[Path, Path], nodes: Nodes) -> None:
    """Do the study on the cluster, and kill two nodes meanwhile."""
    given = [*words(folder, world), "--executor", "ray", "--gpus-per-job", "0"]
    study = start(given, folder / "log", **nodes.environment)
    for kind, ready in (("train", amid_training), ("run", amid_evaluation)):
        while (command := running(kind, ready)) is None:
            check(study.poll() is None, f"the study ended before a {kind} could be disturbed")
            time.sleep(0.02)
        say(f"the node of {' '.join(command_line(command)[3:6])} is killed")
        nodes.kill(command)
    check(study.wait() == 0, f"exit code {study.returncode}: {folder / 'log'}")


def kept(folder: Path) -> dict[str, Any]:
    """Return all that a study stored, without places, times and what a resume adds."""
    study = folder / "study"
    analysis = json.loads((study / "analysis.json").read_text())
    models = [{k: v for k, v in m.items() if k not in (*TIMES, "run")} for m in analysis["models"]]
    found: dict[str, Any] = {"analysis": {**analysis, "models": models, "read": ""}}
    for path in sorted(study.rglob("model.safetensors")):
        found[str(path.relative_to(study))] = file_hash(path)
    for path in sorted(study.rglob("samples/*.jsonl")):
        rows = [json.loads(line.text) for line in read_lines(path)]
        name = str(path.relative_to(study / "runs")).partition("/")[0]
        twice = [key for key, n in Counter((r["id"], r["repeat"]) for r in rows).items() if n > 1]
        check(not twice, f"{path} has answers twice: {twice}")
        found[name] = sorted((r["id"], r["repeat"], r["response"]["text"]) for r in rows)
    for path in sorted(study.rglob("training.jsonl")):
        steps = [json.loads(line.text)["step"] for line in read_lines(path)]
        check(steps == list(range(1, STEPS + 1)), f"{path} has the steps {steps}")
    return found


def graphics(folder: Path, nodes: Nodes) -> None:
    """Jobs that ask for a GPU run on the node that has one; a command that fails runs once."""
    node = nodes.cluster.add_node(num_cpus=1, num_gpus=1)
    nodes.nodes.append(node)
    nodes.cluster.wait_for_nodes()
    empty = folder / "empty"
    empty.mkdir(parents=True)
    program = (
        "import json; from pathlib import Path; from ablations.study.jobs import Job, on_ray\n"
        f"jobs = [Job('a', n, None, {str(empty)!r}, (), 'rules', Path({str(folder)!r}))"
        " for n in (0, 1)]\n"
        "print(json.dumps([o.reason for o in on_ray(jobs, 1)]))\n"
        "list(on_ray(jobs, 2))"
    )
    known = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True,
        env={**known, "PYTHONPATH": str(ROOT), **nodes.environment},
    )  # fmt: skip
    say(f"{time.monotonic() - begun:.0f} s: {done.stderr.splitlines()[-1]}")
    check("takes 2 GPUs, and no machine" in done.stderr, done.stderr)
    failed = json.loads(done.stdout.splitlines()[0])
    check(len(failed) == 2 and all(failed), done.stdout)
    say(f"a job that fails: {failed[0]}")
    begins = done.stderr.count("a seed 0: begins")
    check(begins == 1, f"a job that fails began {begins} times")
    nodes.nodes.remove(node)
    nodes.cluster.remove_node(node, allow_graceful=False)


def check(holds: bool, otherwise: str) -> None:
    """End with a message where something does not hold."""
    if not holds:
        sys.exit(f"FAILED: {otherwise}")


def say(text: str) -> None:
    """Print a line."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def main(folder: Path) -> None:
    """Do all of it in a new folder."""
    world = prepare(folder / "micro")
    nodes = Nodes()
    try:
        graphics(folder / "graphics", nodes)
        disturbed(folder / "cluster", world, nodes)
    finally:
        nodes.cluster.shutdown()
    say("the same study by the local executor")
    local = start(words(folder / "local", world), folder / "local" / "log")
    check(local.wait() == 0, f"exit code {local.returncode}: {folder / 'local' / 'log'}")
    one, other = kept(folder / "cluster"), kept(folder / "local")
    differing = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
    check(not differing, f"these differ: {differing}")
    say(f"the same: {', '.join(one)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
