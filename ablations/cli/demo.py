"""``harness demo``: the whole ablation on the embedded micro world, nothing to download.

It writes the model and the data, then runs the ``harness ablate`` command that it prints.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from harness.cli.tables import aligned, percent


@dataclass(frozen=True)
class _Suite:
    """What makes a suite small enough for minutes: the pairs' domain, items a benchmark."""

    domain: str
    limit: int
    settings: tuple[str, ...] = ()


# The amounts are what fits into the time that the command promises, and nothing else.
_TRAIN = "--config micro --prompts 560 --pair-count 1680 --warmup-steps 12 --norms-every 15"
_RUN = "--backend transformers --dtype float32 --max-tokens 32"
_SUITES: Mapping[str, _Suite] = {
    "vqa12": _Suite("image", 50),
    "longhorizon5": _Suite(
        "trajectory",
        9,
        (
            "niah.lengths=512,1024,2048",
            "niah.depths=0,50,100",
            "niah.per_cell=6",
            "longbench_v2.max_prompt_tokens=2000",
            "swebench_verified.step_limit=2",
            "swebench_lite.step_limit=2",
        ),
    ),
}


@click.command()
@click.option(
    "--suite",
    type=click.Choice(list(_SUITES)),
    default="vqa12",
    show_default=True,
    help="Suite to evaluate on; longhorizon5 trains on trajectory pairs.",
)
@click.option("--quick", is_flag=True, help="One seed, a third of the time: no verdict.")
@click.option("--base", is_flag=True, help="Only evaluate the base model, on all items.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="Folder for the model, the data, studies and runs.",
)
@click.pass_context
def demo(ctx: click.Context, suite: str, quick: bool, base: bool, out: Path) -> int:
    """Separate objective from data on the micro world: an embedded small model and data sets.

    Seven arms are trained with three seeds each, measured on the suite and on held-out pairs, and
    compared, by the command 'harness ablate objective-vs-data' that is printed first.  The same
    command continues a demo that was stopped, and shows a finished one.
    """
    from benchmarks.micro.prepare import prepare
    from harness.errors import UsageError

    if base and quick:
        raise UsageError("--base and --quick are mutually exclusive")
    click.echo(f"micro world in {out}: a small trained Qwen3-VL, small data sets")
    model, data = prepare(out)
    words = ["--model", str(model), "--data-root", str(data), "--suite", suite]
    words += [word for setting in _SUITES[suite].settings for word in ("--set", setting)]
    return _run(ctx, suite, words, out) if base else _ablate(ctx, suite, words, out, quick)


def _ablate(ctx: click.Context, suite: str, places: Sequence[str], out: Path, quick: bool) -> int:
    from ablations.cli.ablate import NAME, objective_vs_data
    from benchmarks.micro.prepare import LABEL

    small, name = _SUITES[suite], f"{suite}{'-quick' * quick}"
    data = f"micro:{small.domain}"
    words = [*places, "--pairs", data, "--rl-data", data, "--probe", data]
    words += ["--seeds", "1" if quick else "3", "--matching", "steps"]
    words += ["--limit", str(small.limit)]
    words += ["--train-args", _TRAIN, "--run-args", _RUN, "--note", LABEL]
    words += ["--preload", "--jobs", str(len(os.sched_getaffinity(0)))]
    words += ["--studies", str(out / "studies"), "--name", name]
    click.echo(f"$ harness ablate {NAME} {shlex.join(words)}")
    if quick:
        click.echo(
            "one seed gives no verdict about the method; three do: "
            f"harness demo --suite {suite} --out {out}"
        )
    with objective_vs_data.make_context(f"harness ablate {NAME}", words, parent=ctx) as context:
        failed: int = objective_vs_data.invoke(context)
    study = out / "studies" / name  # click has emptied the words
    for run in study.glob(f"runs/base-seed-0/model-{suite}-*"):
        _print_chance(run, suite)
    if (page := study / "report.html").exists():
        click.echo(f"\nreport {page}")
    return failed


def _run(ctx: click.Context, suite: str, places: Sequence[str], out: Path) -> int:
    from benchmarks.cli.run import run

    words = [*places, *shlex.split(_RUN), "--out", str(out / "runs")]
    click.echo(f"$ harness run {shlex.join(words)}")
    with run.make_context("harness run", words, parent=ctx) as context:
        folder: Path = run.invoke(context)
    _print_chance(folder, suite)
    return 0


def _print_chance(run: Path, suite: str) -> None:
    """Print the base model's accuracy beside what guessing scores, where that is known."""
    from benchmarks.suites import resolve

    if suite == "vqa12":
        click.echo("\nmicro world: the base model's accuracy beside chance")
        click.echo(beside_chance(run, resolve(suite)))


def beside_chance(run: Path, benchmarks: Sequence[str]) -> str:
    """Return a table of a run's accuracies with 95 % intervals, beside what guessing scores.

    Both are over the items that have a score; the intervals are clustered.
    """
    table: list[tuple[str, ...]] = [
        ("benchmark", "accuracy", "95 % interval", "chance", "items", "clusters")
    ]
    table += [_beside_chance(run, name) for name in benchmarks]
    return "\n".join([*aligned(table), "in percent; clusters are what the benchmark says they are"])


def _beside_chance(run: Path, name: str) -> tuple[str, ...]:
    import numpy as np

    from ablations.statistics.estimates import Items, clustered
    from benchmarks.micro.data.chance import chance
    from harness.runs.store import read_samples

    every = read_samples(run, name).values()
    samples = [sample for sample in every if sample.score.value is not None]
    if not samples:
        return name, "-", "-", "-", "0", "0"
    _, clusters = np.unique([sample.cluster for sample in samples], return_inverse=True)
    items = Items(clusters, np.ones((len(samples), 1), dtype=bool))
    found = clustered(np.array([sample.score.value for sample in samples]), items)
    low, high = (float(bound) for bound in found.interval())
    guess = chance([sample.target for sample in samples])
    between = f"{percent(max(0.0, low))} to {percent(min(1.0, high))}"
    counts = str(len(samples)), str(clusters.max() + 1)
    return name, percent(float(found.delta)), between, percent(guess), *counts
