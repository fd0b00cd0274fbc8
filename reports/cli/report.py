"""``harness report``: a study, a comparison or a run as one HTML page; LaTeX, CSV, figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ablations.cli.compare import exclude_option
from harness.cli import options
from harness.cli.options import FILE, FOLDER, option
from harness.cli.output import echo
from harness.errors import UsageError


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path),
        metavar="PATH [PATH...]")  # fmt: skip
@option("--out", FILE,
        "Output file (overwritten if it exists)  [default: report.html in PATH, next to a file, or "
        "in the working folder for two runs]")  # fmt: skip
@option("--latex", FILE, "Also write the tables as LaTeX.")
@option("--csv", FILE, "Also write the tables, and all items gained or lost, as CSV.")
@option("--figures", FOLDER, "Also write the figures as SVG files to this folder.")
@exclude_option
@options.data_root
def report(
    paths: tuple[Path, ...], out: Path | None, latex: Path | None, csv: Path | None, **given: Any
) -> None:
    """Write one HTML page for PATH: a study, a run, or a saved `compare --json` or `gate --json`.

    Two PATHs are run folders, compared as two fixed checkpoints, B - A; of more, each with the
    first.  The folder of a build of
    pairs gives the page of `harness pairs review`.  The page works offline.  docs/report.md
    explains its sections.
    """
    from ablations.pairs.build import is_build
    from reports import output

    if len(paths) == 1 and is_build(paths[0]):
        if latex or csv or given["figures"]:
            raise UsageError("--latex, --csv, --figures: a page of pairs to review has no tables")
        output.review(paths[0], out or paths[0] / "review.html")
        return
    page, home = output.page_of(paths, given["data_root"], given["exclude"])
    target = out or home / "report.html"
    output.save(page, target, latex, csv, given["figures"])
    echo(f"{page.headline}\n{target}")
