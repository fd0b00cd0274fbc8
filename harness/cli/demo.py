"""``harness demo``: a suite on the embedded model and data, nothing to download."""

from __future__ import annotations

from pathlib import Path

import click

# What makes the long-horizon suite small enough for the embedded model and a few minutes.
_SHORT = (
    *("niah.lengths=512,1024,2048", "niah.depths=0,50,100", "niah.per_cell=6"),
    *("longbench_v2.max_prompt_tokens=2000",),
    *("swebench_verified.step_limit=3", "swebench_lite.step_limit=3"),
)


@click.command()
@click.option(
    "--suite",
    type=click.Choice(["vqa12", "longhorizon5"]),
    default="vqa12",
    show_default=True,
    help="What to run.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="Folder for the model, the data and the run.",
)
@click.pass_context
def demo(ctx: click.Context, suite: str, out: Path) -> None:
    """Run a suite on the micro world: the embedded small model on the embedded data sets.

    The model is trained on other scenes of the same world; on vqa12 its accuracy is printed beside
    chance.  It is no agent: longhorizon5 shows that agent, sandbox and graders work, and that its
    answers there are wrong.
    """
    from benchmarks.micro.world import prepare
    from benchmarks.suites import resolve
    from harness.cli import tables
    from harness.cli.run import run

    click.echo(f"micro world in {out}: a small trained Qwen3-VL, small data sets")
    model, data = prepare(out)
    words = {
        "--model": str(model),
        "--data-root": str(data),
        "--out": str(out / "runs"),
        "--suite": suite,
        "--backend": "transformers",
        "--dtype": "float32",
        "--max-tokens": "32",
    }
    arguments = [word for pair in words.items() for word in pair]
    if suite == "longhorizon5":
        arguments += [word for setting in _SHORT for word in ("--set", setting)]
    click.echo(f"$ harness run {' '.join(arguments)}")
    with run.make_context("harness run", arguments, parent=ctx) as context:
        folder: Path = run.invoke(context)
    if suite == "vqa12":
        click.echo("\nmicro world: accuracy beside chance")
        click.echo(tables.beside_chance(folder, resolve(suite)))
