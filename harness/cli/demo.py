"""``harness demo``: the whole ablation on the embedded micro world, nothing to download.

It writes the model and the data, and calls ``harness ablate`` with the words that it prints.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click


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
            *("niah.lengths=512,1024,2048", "niah.depths=0,50,100", "niah.per_cell=6"),
            *("longbench_v2.max_prompt_tokens=2000",),
            *("swebench_verified.step_limit=2", "swebench_lite.step_limit=2"),
        ),
    ),
}
_NOTE = "micro world: generated scenes and traces, no evidence about real models"


@click.command()
@click.option(
    "--suite",
    type=click.Choice(list(_SUITES)),
    default="vqa12",
    show_default=True,
    help="What to measure on; longhorizon5 trains on trajectory pairs.",
)
@click.option("--quick", is_flag=True, help="One seed, a third of the time: no verdict.")
@click.option("--base", is_flag=True, help="Train nothing: only run the base model, all items.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="Folder for the model, the data, studies and runs.",
)
@click.pass_context
def demo(ctx: click.Context, suite: str, quick: bool, base: bool, out: Path) -> int:
    """Tell objective from data on the micro world: the embedded small model and data sets.

    Seven arms are trained with three seeds each, measured on the suite and on held-out pairs, and
    compared, by the command 'harness ablate objective-vs-data' that is printed first.  The same
    command continues a demo that was stopped, and shows a finished one.
    """
    from benchmarks.micro.world import prepare
    from harness.errors import UsageError

    if base and quick:
        raise UsageError("--base and --quick exclude each other: give one of them")
    click.echo(f"micro world in {out}: a small trained Qwen3-VL, small data sets")
    model, data = prepare(out)
    places = ["--model", str(model), "--data-root", str(data), "--suite", suite]
    return (_run if base else _ablate)(ctx, _SUITES[suite], places, out, quick)


def _ablate(
    ctx: click.Context, small: _Suite, places: Sequence[str], out: Path, quick: bool
) -> int:
    from harness.cli.ablate import NAME, objective_vs_data

    data, name = f"micro:{small.domain}", f"{places[-1]}{'-quick' * quick}"
    words = [*places, "--pairs", data, "--rl-data", data, "--probe", data]
    words += ["--seeds", "1" if quick else "3", "--matching", "steps"]
    words += ["--limit", str(small.limit), *_set(small)]
    words += ["--train-args", _TRAIN, "--run-args", _RUN, "--note", _NOTE]
    words += ["--preload", "--jobs", str(len(os.sched_getaffinity(0)))]
    words += ["--studies", str(out / "studies"), "--name", name]
    click.echo(f"$ harness ablate {NAME} {shlex.join(words)}")
    if quick:
        click.echo(
            "one seed gives no verdict about the method; three do: "
            f"harness demo --suite {places[-1]} --out {out}"
        )
    with objective_vs_data.make_context(f"harness ablate {NAME}", words, parent=ctx) as context:
        failed: int = objective_vs_data.invoke(context)
    study = out / "studies" / name  # click has emptied the words
    if small.domain == "image":
        for run in study.glob("runs/base-seed-0/model-vqa12-*"):
            _beside_chance(run, places[-1])
        if (page := study / "report.html").exists():
            click.echo(f"\nreport {page}")
    return failed


def _run(ctx: click.Context, small: _Suite, places: Sequence[str], out: Path, quick: bool) -> int:
    from harness.cli.run import run

    words = [*places, *shlex.split(_RUN), *_set(small), "--out", str(out / "runs")]
    click.echo(f"$ harness run {shlex.join(words)}")
    with run.make_context("harness run", words, parent=ctx) as context:
        folder: Path = run.invoke(context)
    if small.domain == "image":
        _beside_chance(folder, places[-1])
    return 0


def _beside_chance(run: Path, suite: str) -> None:
    from benchmarks.suites import resolve
    from harness.cli import tables

    click.echo("\nmicro world: the base model's accuracy beside chance")
    click.echo(tables.beside_chance(run, resolve(suite)))


def _set(small: _Suite) -> list[str]:
    return [word for setting in small.settings for word in ("--set", setting)]
