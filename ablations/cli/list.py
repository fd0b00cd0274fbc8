"""``harness list``: what can be measured and trained; imports no benchmark."""

from __future__ import annotations

import json
from typing import Any

import click

from ablations.arms import ARMS
from benchmarks.cli.own import benchmark_files
from benchmarks.registry import SUITES, SUMMARIES, names
from harness.cli import options
from harness.cli.options import option
from harness.cli.output import echo, print_result
from harness.errors import UsageError


@click.command("list")
@option("--options with_options", bool, "Show the options for --set.")
@benchmark_files
@options.as_json
def list_(with_options: bool, as_json: bool) -> None:
    """Show suites, benchmarks and how each is scored, and the arms that can be trained."""
    if as_json and with_options:
        raise UsageError("--options cannot be combined with --json")
    if as_json:
        suites = {name: list(members) for name, members in SUITES.items()}
        document = {"suites": suites, "benchmarks": list(names()), "arms": list(ARMS)}
        print_result(json.dumps(document))
        return
    alone = [name for name in names() if not any(name in members for members in SUITES.values())]
    for suite, members in {**SUITES, "not in a suite": alone}.items():
        echo(f"{suite}: {len(members)} benchmark{'s'[: len(members) != 1]}")
        for name in filter(members.__contains__, names()):
            items, title, metric = _summary(name)
            echo(f"  {name:<22} {items:>5} items  {title}; {metric}")
            if with_options:
                from benchmarks.suites import options as options_of

                for setting, (default, help_) in options_of(name).items():
                    echo(f"      --set {name}.{setting}={_word(default)}  {help_}")
    echo(f"arms: {len(ARMS)}")
    for name, arm in ARMS.items():
        echo(f"  {name:<22} {arm.title}")


def _summary(name: str) -> tuple[int, str, str]:
    if name in SUMMARIES:
        return SUMMARIES[name]
    from benchmarks.suites import benchmark

    declared = benchmark(name).declaration
    return declared.n_items, declared.title, declared.metric


def _word(default: Any) -> str:
    """Return a default as a user would write it."""
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return "" if default is None else str(default).lower()
