"""``harness conformance``: check the strict scorers against official graders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options
from harness.cli.output import print_result
from harness.reasoning import extra_tags

if TYPE_CHECKING:
    from benchmarks.scoring.cases import Expectation
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
@options.reasoning_tags
@options.as_json
def conformance(
    files: tuple[Path, ...],
    from_extraction: bool,
    reasoning_tags: tuple[tuple[str, str], ...],
    as_json: bool,
) -> None:
    """Compare the strict scorers with official graders on the graded responses in FILE.jsonl.

    Lines with ``expected`` (1 or 0) instead of an official verdict are compared with that value.
    Rows with a note in brackets are subsets of the row above.  docs/conformance.md describes the
    file format and the columns.
    """
    from benchmarks.scoring import cases
    from benchmarks.scoring import conformance as measure

    rows = [row for path in files for row in measure.read(path)]
    expected = [cases.read(row, "a case") for row in rows if "expected" in row]
    with extra_tags(reasoning_tags):
        agreements = measure.conformance((r for r in rows if "expected" not in r), from_extraction)
        expectations = cases.expectations(expected)
    if as_json:
        print_result(_json(agreements, expectations))
        return
    if agreements:
        print_result(_agreements(agreements))
    if expectations:
        print_result(_expectations([*expectations, cases.total(expectations)]))


def _json(agreements: list[Agreement], expectations: list[Expectation]) -> str:
    """Return the rows, and over all cases the totals of what was expected."""
    import orjson

    from benchmarks.scoring import cases

    rows = [*map(asdict, agreements), *map(asdict, expectations)]
    document: dict[str, Any] = {"rows": rows}
    if expectations:
        whole = asdict(cases.total(expectations))
        document |= {name: whole[name] for name in whole if name not in {"benchmark", "model"}}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _agreements(rows: list[Agreement]) -> str:
    counts = ("false +", "false -", "unparsable", "accuracy", "official")
    return _table(
        ("benchmark", "model", "lines", "agree", "clean", "agree", *counts),
        (
            (
                row.benchmark,
                row.model,
                row.lines,
                f"{row.agreement:.2%}",
                row.lines_clean,
                "-" if row.agreement_clean is None else f"{row.agreement_clean:.2%}",
                row.false_accepts,
                row.false_rejects,
                row.unparsable,
                f"{row.accuracy:.2%}",
                f"{row.official_accuracy:.2%}",
            )
            for row in rows
        ),
    )


def _expectations(rows: list[Expectation]) -> str:
    return _table(
        ("benchmark", "model", "lines", "as expected", "wrong", "wrong credited"),
        (
            (
                row.benchmark,
                row.model,
                row.lines,
                f"{row.expected_agreement:.2%}",
                row.wrong,
                row.wrong_credited,
            )
            for row in rows
        ),
    )


def _table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, justify="left" if name in {"benchmark", "model"} else "right")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console = Console(width=160, no_color=True)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
