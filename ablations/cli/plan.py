"""``harness plan``: what an effect needs in items, repeats and seeds, from what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ablations.statistics.text.formatting import width
from harness.cli import options
from harness.cli.options import POINTS, Finite, option
from harness.cli.output import json_text, print_result
from harness.cli.tables import aligned
from harness.errors import UsageError

if TYPE_CHECKING:
    from ablations.study.sizing import Row, Sizing


@click.command()
@option("--from source", click.Path(path_type=Path),
        "Study folder, or a file of 'harness compare --json'.",
        required=True, metavar="COMPARISON|STUDY")  # fmt: skip
@option("--effect", POINTS,
        "Effect to detect, in percentage points  [default: the one that was planned for; of a "
        "comparison twice its margin]")  # fmt: skip
@option("--power", Finite(0, 1, min_open=True, max_open=True),
        "Probability of detecting it  [default: as planned, else 0.8]")  # fmt: skip
@options.as_json
def plan(source: Path, effect: float | None, power: float | None, as_json: bool) -> None:
    """Compute what an effect needs, from the discordance and the seed variance of earlier results.

    Items, repeats and seeds are each given with the other two as measured.  docs/gate.md explains
    the table.
    """
    if effect is not None and not 0 < effect <= 1:
        raise UsageError(f"--effect {100 * effect:g}: it must be above 0 and at most 100 points")
    from ablations.study.sizing import size

    found = size(source, effect, power)
    print_result(json_text(found) if as_json else _text(found))


def _text(found: Sizing) -> str:
    heads = ("benchmark", "items", "repeats", "seeds", "detects", "needs")
    sizes = f"{100 * found.effect:g} points with {100 * found.power:g} % power"
    notes = [f"note: {note}" for note in found.notes]
    lines = [
        f"to detect {sizes} at alpha {found.alpha:g} (two-sided), from {found.source}",
        found.measured,
        "",
        *aligned([heads, *map(_row, found.rows)], left=(0, 5)),
        "",
        "items, repeats, seeds per arm: as measured; detects: the smallest effect in points "
        "that these detect; needs: each number alone, with the others as measured",
    ]
    return "\n".join(lines + notes)


def _row(row: Row) -> tuple[str, ...]:
    from ablations.statistics.design.needs import needs_text

    if row.design is None:
        return (row.name, "", "", "", "-", "-")
    seeds = getattr(row.design, "seeds", None)
    counts = (f"{row.design.items:,}", str(row.design.repeats), str(seeds or "-"))
    return (row.name, *counts, width(row.mde), needs_text(row.needs))
