"""Part ``train``: one arm on the micro world, its checkpoint served and scored."""

from __future__ import annotations

import json
import math
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ablations.selftest.trials import Measured, other_vllm
from ablations.study.children import child
from ablations.training.ledger import read_steps
from benchmarks.micro.prepare import prepare
from harness.errors import UsageError
from harness.runs.store import read_json

STEPS, PROMPTS, PAIRS = 6, 8, 24  # the recipe's prompts and pairs per step
SCORED = 20  # items
# TRL's mean over tokens, both in float32; docs/selftest.md says what unsynchronised weights give.
FURTHEST = 0.01  # nats
LAUNCH = {
    "fsdp2": """--mixed_precision bf16 --use_fsdp --fsdp_version 2
        --fsdp_auto_wrap_policy TRANSFORMER_BASED_WRAP --fsdp_cpu_ram_efficient_loading false""",
    "deepspeed": "--mixed_precision bf16 --use_deepspeed --zero_stage 2",
}


def run(name: str, folder: Path, gpus: int) -> Measured:
    """Train `contextrl` for some steps, in bf16 on a GPU, and score the checkpoint."""
    model, data = prepare(folder / "micro")
    out = folder / f"train-{name}"
    words = f"""train --arm contextrl --config micro --prompts {STEPS * PROMPTS} --norms-every 1
        --pair-count {STEPS * PAIRS} --report-to none --json""".split()
    words += ["--model", str(model), "--out", str(out)]
    memory: dict[str, tuple[float, str]] = {}
    if name in LAUNCH:
        launch = f"-m accelerate.commands.launch --num_processes 2 {LAUNCH[name]} -m harness"
        subprocess.run([sys.executable, *launch.split(), *words], check=True)
    elif name == "vllm-server":
        # The same precision on both sides, and steps that would show in the log-probabilities.
        words += ["--no-bf16", "--learning-rate", "1e-3"]
        with _vllm_server(model, folder) as url:
            memory = _trained([*words, "--vllm-server", url])
    else:
        memory = _trained(words)
    figures, wrong = _learned(out, gpus)
    if name == "vllm-server":
        _compare(out, figures, wrong)
    score, errors, backend = _scored(out / "checkpoint", data, folder / f"scored-{name}", gpus)
    figures[f"score by {backend}"] = (score, f"share of {SCORED} items")
    wrong += [f"{errors} of {SCORED} questions to the checkpoint failed"] if errors else []
    return Measured({**figures, **memory}, wrong)


def _trained(words: list[str]) -> dict[str, tuple[float, str]]:
    """Train in this process; return the most memory that it took."""
    import torch

    from harness.cli.main import run_command

    if code := run_command(words):
        raise UsageError(f"harness train ended with exit code {code}; the log says why")
    if torch.cuda.is_available():
        most = torch.cuda.max_memory_allocated()
        torch.cuda.empty_cache()
        return {"most GPU memory": (most / 1e9, "GB")}
    return {"most memory": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, "GB")}


def _learned(out: Path, gpus: int) -> tuple[dict[str, tuple[float, str]], list[str]]:
    """Return a training's figures, and what is wrong with them."""
    ledger, steps = read_json(out / "ledger.json"), read_steps(out / "training.jsonl")
    norms = [float(step.get("grad_norm", math.nan)) for step in steps]
    terms = {f"gradient of {n}": (v, "norm") for n, v in ledger["gradient_norms"].items() if v}
    figures = {
        "steps": (float(len(steps)), ""),
        "step": (statistics.median(step["seconds"] for step in steps), "s"),
        "gradient, largest": (max(norms), "norm"),
        **terms,
        "changed weights": (ledger["changed_weights"], "share"),
    }
    wrong = []
    if not all(map(math.isfinite, norms)) or not max(norms) > 0:
        wrong.append(f"the gradient norms are {norms}")
    if len(steps) != STEPS:
        wrong.append(f"{len(steps)} of {STEPS} steps were logged")
    if not ledger["changed_weights"] > 0:
        wrong.append("the checkpoint's weights are those of the start")
    return figures, wrong


def _compare(out: Path, figures: dict[str, tuple[float, str]], wrong: list[str]) -> None:
    """Add how far the server's log-probabilities are from the trainer's, after updates."""
    steps = read_steps(out / "training.jsonl")[1:]  # before the first update they agree anyway
    apart = max(float(s["sampling/sampling_logp_difference/mean"]) for s in steps)
    figures["log-probabilities, vLLM against trainer"] = (apart, "nats apart")
    figures["divergence from the start"] = (float(steps[-1]["kl"]), "nats a token")
    if not apart <= FURTHEST:
        wrong.append(f"log-probabilities are {apart:.2g} nats apart: the weights do not agree")


def _scored(model: Path, data: Path, folder: Path, gpus: int) -> tuple[float, int, str]:
    """Evaluate a checkpoint, on a GPU by vLLM if it runs; return score, errors and the backend."""
    backend = "vllm" if gpus and not other_vllm(gpus) else "transformers"
    words = f"""run --suite mathvista --limit {SCORED} --max-tokens 32 --no-native --json
        --max-errors 100% --backend {backend}""".split()
    if backend == "vllm":  # this process keeps some of the GPU's memory
        words += ["--vllm-arg", "gpu-memory-utilization=0.5"]
    paths = ["--model", str(model), "--data-root", str(data), "--out", str(folder)]
    (row,) = json.loads(child([*words, *paths], folder / "run.log"))["benchmarks"]
    errors = int(row["errors"]) + SCORED - int(row["n"])
    return math.nan if row["strict"] is None else float(row["strict"]), errors, backend


@contextmanager
def _vllm_server(model: Path, folder: Path) -> Iterator[str]:
    """Serve rollouts on the second GPU, as TRL wants it; this process keeps the first one."""
    from harness.backends.http.urls import without_keys
    from harness.backends.vllm import cause_of_death

    first, second = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    os.environ["CUDA_VISIBLE_DEVICES"] = first
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = folder / "trl-server.log"
    words = f"-m trl.scripts.vllm_serve --host 127.0.0.1 --port {port} --dtype float32"
    command = [sys.executable, *words.split(), "--max_model_len", "4096", "--model", str(model)]
    env = {**without_keys(os.environ), "CUDA_VISIBLE_DEVICES": second}
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, env=env)
    try:
        url = f"http://127.0.0.1:{port}"
        while not _healthy(url):
            if server.poll() is not None:
                raise UsageError(f"the server stopped: {cause_of_death(log.read_text())}")
            time.sleep(1)
        yield url
    finally:
        server.terminate()
        server.wait()


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
