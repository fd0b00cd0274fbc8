"""``harness conformance``: our scorers against an official grader's verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options

if TYPE_CHECKING:
    from benchmarks.scoring.conformance import Agreement


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE.jsonl..."
)
@click.option(
    "--from-extraction",
    is_flag=True,
    help="Score what the official grader extracted instead of the response.",
)
@options.as_json
def conformance(files: tuple[Path, ...], from_extraction: bool, as_json: bool) -> None:
    """Compare our verdicts on the graded responses in FILE.jsonl with the official ones.

    Rows with a note in brackets are subsets of the row with the model's name; docs/conformance.md
    explains them and the format of the files.
    """
    from benchmarks.scoring import conformance as measure

    rows = [row for path in files for row in measure.read(path)]
    agreements = measure.conformance(rows, from_extraction)
    click.echo(_json(agreements) if as_json else _table(agreements))


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
    for one in agreements:
        clean = "-" if one.agreement_clean is None else f"{one.agreement_clean:.2%}"
        counts = (one.false_accepts, one.false_rejects, one.unparsable)
        table.add_row(
            one.benchmark,
            Text(one.model),
            str(one.lines),
            f"{one.agreement:.2%}",
            str(one.lines_clean),
            clean,
            *map(str, counts),
            f"{one.accuracy:.2%}",
            f"{one.official_accuracy:.2%}",
        )
    console = Console(width=160, no_color=True)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
