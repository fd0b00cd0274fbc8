"""``--benchmark-file``: benchmarks of the user's own, for the commands that measure."""

from __future__ import annotations

from pathlib import Path

import click


def _add(ctx: click.Context, param: click.Parameter, files: tuple[Path, ...]) -> None:
    if files and not ctx.resilient_parsing:
        from benchmarks.suites import add_file

        for path in files:
            add_file(path)


benchmark_files = click.option(
    "--benchmark-file",
    type=click.Path(path_type=Path),
    multiple=True,
    expose_value=False,
    is_eager=True,  # before the names of benchmarks are looked up
    callback=_add,
    metavar="FILE",
    help="Add benchmarks of your own: a table (TSV, CSV, JSONL, JSON, parquet), a Python file or a "
    "package, whose code runs; repeatable.",
)
