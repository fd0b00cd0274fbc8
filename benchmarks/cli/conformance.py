"""``harness conformance``: check the strict scorers against official graders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.cli.output import print_result

if TYPE_CHECKING:
    from benchmarks.scoring.conformance import Agreement


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE.jsonl..."
)
@click.option(
    "--from-extraction",
    is_flag=True,
    help="Score the official grader's extracted answer instead of the response.",
)
@options.as_json
def conformance(files: tuple[Path, ...], from_extraction: bool, as_json: bool) -> None:
    """Compare the strict scorers with official graders on the graded responses in FILE.jsonl.

    Rows with a note in brackets are subsets of the row above.  docs/conformance.md describes the
    file format and the columns.
    """
    from benchmarks.scoring import conformance as measure

    rows = [row for path in files for row in measure.read(path)]
    agreements = measure.conformance(rows, from_extraction)
    print_result(_json(agreements) if as_json else _table(agreements))


def _json(agreements: list[Agreement]) -> str:
    import orjson

    from benchmarks.scoring.conformance import records

    return orjson.dumps({"rows": records(agreements)}, option=orjson.OPT_INDENT_2).decode()


def _table(agreements: list[Agreement]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    names = ("benchmark", "model", "lines", "agree", "clean", "agree", "false +", "false -")
    for name in (*names, "unparsable", "accuracy", "official"):
        table.add_column(name, justify="left" if name in {"benchmark", "model"} else "right")
    for row in agreements:
        clean = "-" if row.agreement_clean is None else f"{row.agreement_clean:.2%}"
        counts = (row.false_accepts, row.false_rejects, row.unparsable)
        table.add_row(
            row.benchmark,
            Text(row.model),
            str(row.lines),
            f"{row.agreement:.2%}",
            str(row.lines_clean),
            clean,
            *map(str, counts),
            f"{row.accuracy:.2%}",
            f"{row.official_accuracy:.2%}",
        )
    console = Console(width=160, no_color=True)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
