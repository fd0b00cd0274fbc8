"""``harness runs``: the runs below a folder, with state and scores."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli import options
from harness.cli.output import echo, print_result
from harness.cli.tables import aligned, below, percent


@click.command("runs")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("runs"))
@options.as_json
def runs(folder: Path, as_json: bool) -> None:
    """List the runs in and below FOLDER (default: runs), with state and scores.

    A run is "running" while a command works on it, "stopped" if it lacks answers that its last
    command asked for (rerun it to continue), "errors" if responses failed (rerun to ask again),
    else "finished".  "unreadable" runs are listed with the reason.
    """
    from harness.runs.lookup import runs as found

    lines = list(found(folder))
    if as_json:
        print_result(json.dumps({"runs": [line.as_json() for line in lines]}))
        return
    if not lines:
        echo(f"no runs in {folder}")
        return
    table = [("run", "model", "suite", "state", "mean", "answers", "errors", "last worked on")]
    for line in lines:
        counts = percent(line.mean), str(line.answers), str(line.errors)
        when = line.worked.replace("T", " ").removesuffix("+00:00")
        table.append(
            (below(line.folder, folder), line.model, line.suite, line.state, *counts, when)
        )
    echo("\n".join(aligned(table, left=(0, 1, 2, 3, 7))))
    echo("mean: strict score over the benchmarks of the run, in percent; times in UTC")
    for line in lines:
        if line.reason:
            echo(f"{line.folder}: {line.reason}")
