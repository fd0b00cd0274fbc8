"""``harness list``: what can be measured."""

from __future__ import annotations

import json
from typing import Any

import click

from harness.cli import options
from harness.cli.output import print_result


@click.command("list")
@click.option("--options", "with_options", is_flag=True, help="Show the options for --set.")
@options.as_json
def list_(with_options: bool, as_json: bool) -> None:
    """Show suites, benchmarks and how each is scored, and the arms that can be trained."""
    from ablations.arms import ARMS
    from benchmarks import suites
    from benchmarks.suites import SUITES, declarations
    from harness.errors import UsageError

    if as_json and with_options:
        raise UsageError("--options cannot be combined with --json")
    if as_json:
        members_of = {name: list(members) for name, members in SUITES.items()}
        document = {
            "suites": members_of,
            "benchmarks": list(suites.names()),
            "arms": list(ARMS),
        }
        print_result(json.dumps(document))
        return
    declared = declarations()
    alone = [d.id for d in declared if not any(d.id in members for members in SUITES.values())]
    for name, members in {**SUITES, "not in a suite": tuple(alone)}.items():
        click.echo(f"{name}: {len(members)} benchmark{'s'[: len(members) != 1]}")
        for declaration in declared:
            if declaration.id in members:
                row = f"  {declaration.id:<22} {declaration.n_items:>5} items  {declaration.title}"
                click.echo(f"{row}; {declaration.metric}")
                known = suites.options(declaration.id) if with_options else {}
                for option, (default, text) in known.items():
                    click.echo(f"      --set {declaration.id}.{option}={_word(default)}  {text}")
    click.echo(f"arms: {len(ARMS)}")
    for name, arm in ARMS.items():
        click.echo(f"  {name:<22} {arm.title}")


def _word(default: Any) -> str:
    """Return a default as a user would write it."""
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return "" if default is None else str(default).lower()
