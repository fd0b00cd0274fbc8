"""``harness pairs``: build and check contrastive pairs."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli import options


@click.group()
def pairs() -> None:
    """Check contrastive pairs."""


@pairs.command()
@click.argument("source")
@click.option("--model", metavar="FOLDER", help="Also see that this model's letters are one token.")
@click.option("--columns", "words", multiple=True, metavar="FIELD=COLUMN", help="As in train.")
@options.as_json
def check(source: str, model: str | None, words: tuple[str, ...], as_json: bool) -> None:
    """Read every pair of SOURCE: a file, a data set's folder or hub id, or micro."""
    from ablations.data.check import survey
    from ablations.data.sources import open_pairs
    from harness.cli.options import columns_of

    opened = open_pairs(source, columns=columns_of(words))
    found = survey(opened)
    if model:
        from ablations.settings import Settings
        from ablations.training.checkpoints import check_letters

        check_letters(opened[0], Path(model), Settings())
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(f"{found['pairs']} pairs, every one whole and with two contexts that differ")
    for name, number in found["domains"].items():
        click.echo(f"  {name:<22} {number}")
    click.echo(f"  the other context's answer is known of {found['answers_negative']}")
