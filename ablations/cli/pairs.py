"""``harness pairs``: read and check contrastive pairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ablations.cli import pairs_check
from harness.cli import options
from harness.cli.groups import LateGroup
from harness.cli.output import echo, print_result

# Command -> (module:attribute, one line of help).
COMMANDS = {
    "check": ("ablations.cli.pairs:check", "Check every pair of a source."),
    "edit": ("ablations.cli.pairs_edit:edit", "Build pairs by editing images."),
    "images": ("ablations.cli.pairs_images:images", "Build pairs of similar images."),
}


@click.group(cls=LateGroup, commands_by_name=COMMANDS)
def pairs() -> None:
    """Read and check contrastive pairs."""


@click.command()
@click.argument("source")
@click.option(
    "--model",
    metavar="FOLDER",
    help="Also check that A and B are single tokens for this model, and no text a special one.",
)
@pairs_check.soundness_options
@options.columns
@options.as_json
def check(
    source: str, model: str | None, mapped: tuple[str, ...], as_json: bool, **given: Any
) -> None:
    """Check every pair of SOURCE: a file, a data set's folder or hub id, or micro."""
    from ablations.data.check import survey
    from ablations.data.sources import open_pairs

    opened = open_pairs(source, columns=options.columns_of(mapped))
    counts = survey(opened)
    if model:
        from ablations.data.check import check_texts
        from ablations.settings import Settings
        from ablations.training.prompting import Prompter, check_letters

        check_letters(opened[0], Path(model), Settings())
        check_texts(opened, Prompter.load(Path(model), Settings()).special_tokens)
    document = pairs_check.soundness(opened, {**given, "mapped": mapped})
    if as_json:
        print_result(json.dumps(counts | document))
        return
    echo(f"{counts['pairs']} pairs, all complete, each with two different contexts")
    for name, number in counts["domains"].items():
        echo(f"  {name:<22} {number}")
    echo(f"  the other context's answer is known for {counts['answers_negative']}")
    pairs_check.show(document)
