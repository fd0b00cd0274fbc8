"""Fills a run in a folder and ends as the command line does; for tests on small disks."""

import sys
from pathlib import Path

import click

from harness.cli.main import COMMANDS, run_command
from tests.harness.runs.test_run import fill, planned


@click.command()
@click.argument("folder", type=Path)
def fill_run(folder: Path) -> None:
    """Fill a run."""
    fill(planned(folder, repeats=5))


if __name__ == "__main__":
    COMMANDS["fill"] = ("tests.harness.files.full_disk:fill_run", "Fill a run.")
    sys.exit(run_command(["fill", sys.argv[1]]))
