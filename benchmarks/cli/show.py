"""``harness show``: one item of a run in full."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options
from harness.cli.output import echo, print_result

if TYPE_CHECKING:
    from harness.runs.lookup import ShownAnswer


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.argument("item")
@options.as_json
def show(run: Path, item: str, as_json: bool) -> None:
    """Show one item of a run: prompt, response, extracted answer, target, and why it got its score.

    ITEM is an item id, or BENCHMARK/ID if several benchmarks have that id.
    """
    from harness.runs.lookup import find

    samples = find(run, item)
    if as_json:
        print_result(json.dumps({"samples": [_row(sample) for sample in samples]}))
        return
    from harness.cli.tables import sample_text

    for sample in samples:
        echo(sample_text(sample))


def _row(answer: ShownAnswer) -> dict[str, Any]:
    """Return one stored answer as JSON."""
    verdicts: dict[str, Any] = {}
    for kind, verdict in (("native", answer.native), ("judged", answer.judged)):
        verdicts[kind] = verdict.value if verdict else None
        verdicts[f"{kind}_why"] = verdict.why if verdict else None
        verdicts[f"{kind}_by"] = verdict.by if verdict else None
    return {
        "benchmark": answer.benchmark,
        "note": answer.note,
        **verdicts,
        **dataclasses.asdict(answer.sample),
        "source": answer.source,
        **answer.around,
    }
