"""The table of designs that ``harness ablate --plan`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.cli.tables import aligned

if TYPE_CHECKING:
    from ablations.statistics.contrasts import Rules
    from ablations.study.designs import Design


def designs_text(offered: Sequence[Design], rules: Rules, correlation: float) -> list[str]:
    """Return the table of designs and which is cheapest for the planned effect; or nothing."""
    from ablations.study.designs import cheapest

    if not offered:
        return []
    effect = f"{100 * rules.effect_size:g} points"
    header = (
        "design",
        "power as planned",
        f"seeds for {rules.power:g}",
        "on average",
        "trainings",
        "minutes",
    )
    rows = [
        (
            design.name,
            "-" if design.power is None else f"{100 * design.power:.0f} %",
            "more than 60" if design.needed is None else str(design.needed),
            _number(design.expected, 1),
            _number(design.trainings, 0),
            _number(None if design.seconds is None else design.seconds / 60, 0),
        )
        for design in offered
    ]
    note = f"paired: at a correlation of {correlation:g} between the seeds of two arms"
    if not any(design.name == "paired" for design in offered):
        note = "paired is not offered: with this matching the arms of the total draw other items"
    if not any(design.repeats > offered[0].repeats for design in offered):
        note += "; more repeats are not offered: with greedy decoding they are all alike"
    best = cheapest(offered)
    conclusion = "no design reaches the power" if best is None else f"cheapest: {best.name}"
    return [
        f"designs for the total, to detect {effect} ({note}):",
        *aligned([header, *rows]),
        f"{conclusion} for {effect} at power {rules.power:g}",
    ]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
