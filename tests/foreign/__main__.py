"""Run other evaluation tools anew, import what they write, and hold it against their own scores.

    make test-foreign                      all tools
    python -m tests.foreign inspect harbor   these
    python -m tests.foreign inspect-ours     benchmarks that we have, with images, in a tool
    python -m tests.foreign skyrl            the trainer: a step of an exported arm in its own code

Each tool is installed into an environment of its own under ``.foreign/`` and asks a small server
here; nothing else is reached.  The recorded logs in ``tests/benchmarks/imports/logs`` were made so.
A line per log; exit code 1 if a tool does not run, or its log reads otherwise than it says.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.imports import formats
from benchmarks.imports.log import Log
from tests.benchmarks.imports import own_scores
from tests.foreign import ours
from tests.interpreters import interpreter
from tests.servers import Request, ScriptedServer

HERE = Path(__file__).parent
WORK = Path(".foreign")
Scores = Mapping[str, float]


@dataclass(frozen=True)
class Tool:
    """How a tool is had and run: ``script`` is started for a model and a seed."""

    package: str
    script: str
    log: str  # the folder that it writes, which `harness import` is given
    own: Callable[[Log], Scores]
    more: str = ""  # what its script needs beside it
    python: str = "3.12"


TOOLS: Mapping[str, Tool] = {
    "inspect": Tool("inspect-ai==0.3.285", "inspect_sums.py", "log", own_scores.inspect, "openai"),
    "eee": Tool("every-eval-ever==0.3.0", "eee_sums.py", "records", own_scores.eee,
                "inspect-ai==0.3.285 openai"),
    "nemo-evaluator": Tool("nemo-evaluator==0.3.0", "nemo_sums.py", "run", own_scores.nemo,
                           "scipy"),
    "evalscope": Tool("evalscope==1.14.1", "evalscope_sums.py", "work", own_scores.evalscope),
    "harbor": Tool("harbor==0.26.0", "harbor_sums.py", "jobs", own_scores.harbor),
    "lm-eval": Tool("lm-eval[api]==0.4.13", "lm_eval_sums.py", "log", own_scores.lm_eval),
    "lmms-eval": Tool("", "lmms_eval_sums.py", "log", own_scores.lmms_eval),
}  # fmt: skip


# Benchmarks that we have, in a tool: `python -m tests.foreign inspect-ours`.
OURS = {"inspect-ours": "inspect", "evalscope-ours": "evalscope"}


def answer(request: Request) -> str:
    """Answer a sum, rightly or by one too much, as a hash of model, seed and sum decides.

    To images other than those beside a sum it is a letter, by `ours.letter`.
    """
    text = request.text
    sums = re.findall(r"(\d+) ?\+ ?(\d+)", text)
    if not sums:
        return f"ANSWER: {ours.letter(request.body['model'], request.images)}"
    a, b = map(int, sums[-1])
    model, seed = request.body["model"], request.body.get("seed")
    drawn = int(hashlib.sha256(f"{model} {seed} {a}+{b}".encode()).hexdigest(), 16) % 100
    value = a + b + (drawn >= (80 if "tuned" in model else 50))
    options = dict(re.findall(r"^\s*\(?([A-D])[).:]\s*(\d+)\s*$", text, re.MULTILINE))
    letters = [letter for letter, option in options.items() if int(option) == value]
    return f"ANSWER: {letters[0]}" if letters else f"The sum is {value}"


def environment(name: str, tool: Tool) -> Path:
    """Return the interpreter of a tool's environment, which is made where it is not there.

    A tool without packages is in our own.  `SystemExit` if there is no such Python.
    """
    if not tool.package:
        return Path(sys.executable)
    base = interpreter(tool.python)
    if base is None:
        sys.exit(f"{name} needs Python {tool.python}, which is not installed here")
    folder = (WORK / name / "venv").absolute()
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", "--python", base, folder], check=True)
        python = ["--python", str(folder / "bin" / "python")]
        packages = [*tool.package.split(), *tool.more.split()]
        subprocess.run([*uv, "pip", "install", "--quiet", *python, *packages], check=True)
        (folder / "done").touch()
    return folder / "bin" / "python"


def run(name: str, tool: Tool, url: str) -> list[str]:
    """Run a tool for two models and two seeds; return what disagrees."""
    python = environment(name, tool)
    work = (WORK / name / "work").absolute()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for model in ("base", "tuned"):
        for seed in ("1", "2"):
            command = [str(python), str(HERE / "scripts" / tool.script), url, model, seed]
            path = f"{python.parent}:{os.environ['PATH']}"
            given = {**os.environ, "PATH": path, "LOCAL_API_KEY": "x", "LOCAL_BASE_URL": url}
            done = subprocess.run(command, cwd=work, env=given, capture_output=True, text=True)
            if done.returncode:
                return [f"{model}, seed {seed}: {done.stderr.strip()[-2000:]}"]
    return compare(name, tool, work / tool.log)


def compare(name: str, tool: Tool, folder: Path) -> list[str]:
    """Return what of a folder of logs reads otherwise than the tool says."""
    if (recognised := formats.recognise([folder])) != name:
        return [f"it was recognised as {recognised}"]
    wrong = []
    logs = list(formats.get(name).read([folder]))
    for log in logs:
        ours, own = own_scores.means(log), tool.own(log)
        shown = ", ".join(f"{task} {mean:.4f}" for task, mean in sorted(ours.items()))
        print(f"{name} {log.version}: {log.model}, seed {log.seed}: {shown}")
        if ours.keys() != own.keys() or any(abs(ours[t] - own[t]) > 5e-5 for t in ours):
            wrong.append(f"{log.model}, seed {log.seed}: {ours}, where the tool says {dict(own)}")
    return wrong if len(logs) >= 4 else [*wrong, f"{len(logs)} logs of four runs"]


def train_step() -> list[str]:
    """Return what of a step of an exported arm differs in SkyRL's own code."""
    from tests.foreign import skyrl

    return skyrl.run(environment("skyrl", Tool(skyrl.PACKAGES, "", "", own_scores.eee)))


def main(names: list[str]) -> int:
    failed = False
    with ScriptedServer(answer, models=("base", "tuned")) as server:
        for name in names or [*TOOLS, *OURS, "skyrl"]:
            for text in one(name, f"{server.url}/v1"):
                failed = True
                print(f"{name}: {text}", file=sys.stderr)
    return int(failed)


def one(name: str, url: str) -> list[str]:
    """Run what is named; return what disagrees."""
    if name in TOOLS:
        return run(name, TOOLS[name], url)
    if name in OURS:
        tool = OURS[name]
        python = environment(tool, TOOLS[tool])
        return ours.run(tool, python, url, (WORK / tool / "ours").absolute())
    return train_step()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
