"""``harness demo``: the whole ablation on the embedded micro world, nothing to download.

It writes the model and the data, then runs the ``harness ablate`` command that it prints.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.cli.options import FOLDER, option
from harness.cli.output import echo
from harness.cli.tables import aligned, percent
from harness.errors import UsageError

# Chosen so that the demo takes the minutes that its help promises, and for no other reason.
_TRAIN = "--config micro --prompts 560 --pair-count 1680 --warmup-steps 12 --norms-every 15"
_TRAIN_QUICK = "--config micro --prompts 96 --pair-count 288 --warmup-steps 3 --norms-every 10"
_RUN = "--backend transformers --dtype float32 --max-tokens 32"
_DOMAINS = {"vqa12": "image", "longhorizon5": "trajectory"}
_LIMITS = {"vqa12": 50, "longhorizon5": 9}
_LIMITS_QUICK = {"vqa12": 20, "longhorizon5": 3}
_SETTINGS = {
    "vqa12": "",
    "longhorizon5": "--set niah.lengths=512,1024,2048 --set niah.depths=0,50,100 "
    "--set niah.per_cell=6 --set longbench_v2.max_prompt_tokens=2000 "
    "--set swebench_verified.step_limit=2 --set swebench_lite.step_limit=2",
}


@click.command()
@option("--suite", list(_DOMAINS), "Suite to evaluate on; longhorizon5 trains on trajectory pairs.",
        default="vqa12")  # fmt: skip
@option("--quick", bool, "A third of the time: fewer training steps and items.")
@option("--base", bool, "Only evaluate the base model, on all items.")
@option("--out", FOLDER, "Folder for the model, the data, studies and runs.", default=Path("demo"))
@click.pass_context
def demo(ctx: click.Context, suite: str, quick: bool, base: bool, out: Path) -> int:
    """Separate objective from data on the micro world: an embedded small model and data sets.

    Seven arms are trained with three seeds each, measured on the suite and on held-out pairs, and
    compared, by the command 'harness ablate objective-vs-data' that is printed first.  The same
    command continues a demo that was stopped, and shows a finished one.
    """
    from benchmarks.micro.prepare import prepare

    if base and quick:
        raise UsageError("--base and --quick are mutually exclusive")
    echo(f"micro world in {out}: a small trained Qwen3-VL, small data sets")
    model, data = prepare(out)
    words = ["--model", str(model), "--data-root", str(data), "--suite", suite]
    words += shlex.split(_SETTINGS[suite])
    return _run(ctx, suite, words, out) if base else _ablate(ctx, suite, words, out, quick)


def _ablate(ctx: click.Context, suite: str, words: Sequence[str], out: Path, quick: bool) -> int:
    from ablations.cli.ablate import ablate
    from benchmarks.micro.prepare import LABEL

    name, data = f"{suite}{'-quick' * quick}", f"micro:{_DOMAINS[suite]}"
    words = ["objective-vs-data", *words, "--pairs", data, "--rl-data", data, "--probe", data]
    words += ["--seeds", "3", "--matching", "steps"]
    words += ["--limit", str(_LIMITS_QUICK[suite] if quick else _LIMITS[suite])]
    words += ["--train-args", _TRAIN_QUICK if quick else _TRAIN]
    words += ["--run-args", _RUN + " --no-native" * quick, "--note", LABEL]
    words += ["--preload", "--jobs", str(len(os.sched_getaffinity(0)))]
    words += ["--studies", str(out / "studies"), "--name", name]
    echo(f"$ harness ablate {shlex.join(words)}")
    failed: int = _invoke(ctx, "harness ablate", ablate, words)
    study = out / "studies" / name
    for run in study.glob(f"runs/base-seed-0/model-{suite}-*"):
        _print_chance(run, suite)
    if (page := study / "report.html").exists():
        echo(f"\nreport {page}")
    return failed


def _run(ctx: click.Context, suite: str, words: Sequence[str], out: Path) -> int:
    from benchmarks.cli.run import run

    words = [*words, *shlex.split(_RUN), "--out", str(out / "runs")]
    echo(f"$ harness run {shlex.join(words)}")
    _print_chance(_invoke(ctx, "harness run", run, words), suite)
    return 0


def _invoke(ctx: click.Context, name: str, command: click.Command, words: Sequence[str]) -> Any:
    """Run a command in this process and return its result."""
    with command.make_context(name, list(words), parent=ctx) as context:
        return command.invoke(context)


def _print_chance(run: Path, suite: str) -> None:
    """Print the base model's accuracy next to the chance level, where that is known."""
    from benchmarks.suites import resolve

    if suite == "vqa12":
        echo("\nmicro world: the base model's accuracy beside chance")
        echo(beside_chance(run, resolve(suite)))


def beside_chance(run: Path, benchmarks: Sequence[str]) -> str:
    """Return a table of a run's accuracies with clustered 95 % intervals, next to chance levels."""
    header = ("benchmark", "accuracy", "95 % interval", "chance", "items", "clusters")
    table = aligned([header, *(_beside_chance(run, name) for name in benchmarks)])
    return "\n".join([*table, "in percent; clusters: groups of items that share a source"])


def _beside_chance(run: Path, name: str) -> tuple[str, ...]:
    import numpy as np

    from ablations.statistics.estimates import Items, clustered
    from benchmarks.micro.data.chance import chance
    from harness.runs.store import read_samples

    stored = read_samples(run, name).values()
    samples = [sample for sample in stored if sample.score.value is not None]
    if not samples:
        return name, "-", "-", "-", "0", "0"
    _, clusters = np.unique([sample.cluster for sample in samples], return_inverse=True)
    items = Items(clusters, np.ones((len(samples), 1), dtype=bool))
    accuracy = clustered(np.array([sample.score.value for sample in samples]), items)
    low, high = (float(bound) for bound in accuracy.interval())
    interval = f"{percent(max(0.0, low))} to {percent(min(1.0, high))}"
    guess = chance([sample.target for sample in samples])
    counts = str(len(samples)), str(clusters.max() + 1)
    return name, percent(float(accuracy.delta)), interval, percent(guess), *counts
