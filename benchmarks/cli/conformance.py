"""``harness conformance``: check the strict scorers against official graders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options
from harness.cli.output import json_text, print_result
from harness.cli.tables import aligned
from harness.reasoning import extra_tags

if TYPE_CHECKING:
    from benchmarks.conformance.cases import Expectation
    from benchmarks.conformance.graded import Agreement

_COUNTS = ("false +", "false -", "unparsable", "accuracy", "official")
_AGREEMENT = ("benchmark", "model", "lines", "agree", "clean", "agree", *_COUNTS)
_EXPECTATION = ("benchmark", "model", "lines", "as expected", "wrong", "wrong credited")


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE.jsonl..."
)
@options.option(
    "--from-extraction",
    bool,
    "Score the official grader's extracted answer instead of the response.",
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
    from benchmarks.conformance import cases, graded

    rows = [row for path in files for row in graded.read(path)]
    with extra_tags(reasoning_tags):
        agreements = graded.conformance(
            (row for row in rows if isinstance(row, graded.Graded)), from_extraction
        )
        expectations = cases.expectations(row for row in rows if isinstance(row, cases.Case))
    if as_json:
        print_result(_json(agreements, expectations))
        return
    if agreements:
        print_result(_table(_AGREEMENT, agreements))
    if expectations:
        print_result(_table(_EXPECTATION, expectations))


def _json(agreements: list[Agreement], expectations: list[Expectation]) -> str:
    """Return the rows, and over all cases the totals of what was expected."""
    rows = [*map(asdict, agreements), *map(asdict, expectations[:-1])]
    document: dict[str, Any] = {"rows": rows}
    if expectations:
        whole = asdict(expectations[-1])
        document |= {name: whole[name] for name in whole if name not in {"benchmark", "model"}}
    return json_text(document)


def _table(header: tuple[str, ...], records: Sequence[Agreement | Expectation]) -> str:
    """Return records as a table; a rate is shown in percent, one of no lines as "-"."""
    rows = [
        [
            f"{value:.2%}" if isinstance(value, float) else "-" if value is None else str(value)
            for value in astuple(record)
        ]
        for record in records
    ]
    return "\n".join(aligned([header, *rows], left=(0, 1)))
