"""``harness pairs review``: decide about the pairs of which the judge was uncertain."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ablations.cli.pairs import built
from harness.cli import options
from harness.cli.options import FILE, FOLDER, option
from harness.cli.output import echo, print_result
from harness.errors import UsageError
from harness.files.text import counted


@click.command()
@click.argument("build", type=FOLDER)
@option("--decisions", FILE, "File that the page saved: move the pairs that were accepted or "
        "rejected.")  # fmt: skip
@options.as_json
def review(build: Path, decisions: Path | None, as_json: bool) -> int:
    """Decide about the pairs of BUILD of which the judge was uncertain.

    Writes a page with a button to accept and one to reject each pair; --decisions then reads what
    the page saved.
    """
    from ablations.pairs.review import decide, uncertain
    from ablations.study.children import FailedError, child

    if decisions is not None:
        return built.shown(decide(build, decisions), build, as_json=as_json)
    number, page = len(uncertain(build)), build / "review.html"
    if number:
        try:
            child(("report", str(build), "--out", str(page)), build / "review.log")
        except FailedError as error:
            raise UsageError(f"no page: {error}") from error
    if as_json:
        print_result(json.dumps({"uncertain": number, "page": str(page) if number else None}))
    elif number:
        echo(f"{counted(number, 'pair')} to review: open {page}")
        echo(f"then: harness pairs review {build} --decisions FILE")
    else:
        echo(f"{build} has no pair that waits for a decision")
    return 0
