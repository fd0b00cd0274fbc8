"""``harness studies``: the studies below a folder, with state and verdict."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli import options
from harness.cli.output import echo, print_result
from harness.cli.tables import aligned, below


@click.command("studies")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("studies"))
@options.as_json
def studies(folder: Path, as_json: bool) -> None:
    """List the studies in and below FOLDER (default: studies), with state and verdict.

    A study is "running" while a command works on it, "complete" if it has a verdict on all models
    of its plan, "incomplete" if models or benchmarks are missing, "stopped" if it has none yet;
    rerun its `harness ablate` command to continue.  "unreadable" ones are listed with the reason.
    """
    from ablations.study.listing import studies as found

    lines = list(found(folder))
    if as_json:
        print_result(json.dumps({"studies": [line.as_json() for line in lines]}))
        return
    if not lines:
        echo(f"no studies in {folder}")
        return
    table = [("study", "suite", "state", "trained", "measured")]
    for line in lines:
        trained = f"{line.trained}/{line.to_train}"
        measured = f"{line.measured}/{line.to_measure}"
        table.append((below(line.folder, folder), line.suite, line.state, trained, measured))
    echo("\n".join(aligned(table, left=(0, 1, 2))))
    echo("trained, measured: models done of all in the plan")
    for line in lines:
        if line.verdict or line.reason:
            echo(f"\n{line.folder}: {line.verdict or line.reason}")
            for arm, mean in line.scores.items():
                echo(f"  {arm:<22} {100 * mean:.1f} %")
