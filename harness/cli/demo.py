"""``harness demo``: the twelve benchmarks on the embedded model and data, nothing to download."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="Folder for the model, the data and the run.",
)
@click.pass_context
def demo(ctx: click.Context, out: Path) -> None:
    """Run vqa12 on the micro world: the embedded small model on the embedded data sets.

    The model is trained on other scenes of the same world; its accuracy is printed beside chance.
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
        "--suite": "vqa12",
        "--backend": "transformers",
        "--dtype": "float32",
        "--max-tokens": "32",
    }
    arguments = [word for pair in words.items() for word in pair]
    click.echo(f"$ harness run {' '.join(arguments)}")
    with run.make_context("harness run", arguments, parent=ctx) as context:
        folder: Path = run.invoke(context)
    click.echo("\nmicro world: accuracy beside chance")
    click.echo(tables.beside_chance(folder, resolve("vqa12")))
