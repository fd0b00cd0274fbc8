"""Part ``study``: two arms with two seeds each, trained and evaluated as tasks of Ray."""

from __future__ import annotations

import json
import math
from pathlib import Path

from ablations.selftest.trials import Measured
from ablations.study.children import child
from benchmarks.micro.prepare import prepare
from harness.runs.store import read_json

TRAIN = "--config micro --prompts 16 --pair-count 48 --norms-every 0 --report-to none"
RUN = "--backend transformers --dtype float32 --max-tokens 32 --no-native"
ARMS, SEEDS, ITEMS = ("base", "grpo", "contextrl"), 2, 10


def run(name: str, folder: Path, gpus: int) -> Measured:
    """Run the study (two jobs share a GPU) to its verdict, which means nothing."""
    model, data = prepare(folder / "micro")
    words = f"""ablate objective-vs-data --suite mathvista --limit {ITEMS} --seeds {SEEDS}
        --arms {",".join(ARMS)} --pairs micro:image --rl-data micro:image --matching steps
        --executor ray --gpus-per-job {0.5 if gpus else 0} --json""".split()
    words += ["--model", str(model), "--data-root", str(data), "--studies", str(folder)]
    words += ["--train-args", TRAIN, "--run-args", RUN, "--name", f"study-{name}"]
    result = json.loads(child(words, folder / "ablate.log"))
    analysis = read_json(folder / f"study-{name}" / "analysis.json")
    scores = [score for seeds in analysis["macro"].values() for score in seeds]
    wanted = 1 + SEEDS * (len(ARMS) - 1)
    wrong = []
    if len(scores) != wanted or not all(map(math.isfinite, scores)):
        wrong.append(f"{len(scores)} of {wanted} models were measured: {scores}")
    if not result["verdict"] or not result["contrasts"]:
        wrong.append("there is no verdict")
    figures = {
        "models": (float(len(scores)), ""),
        "trainings": (float(SEEDS * (len(ARMS) - 1)), ""),
        "mean score": (sum(scores) / max(len(scores), 1), f"share of {ITEMS} items"),
    }
    return Measured(figures, wrong)
