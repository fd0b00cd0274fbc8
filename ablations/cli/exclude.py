"""``--exclude`` of ``compare`` and ``ablate``: the option, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.cli.options import FILE, option

if TYPE_CHECKING:
    from ablations.statistics.exclusions import WithAllItems

exclude_option = option("--exclude", FILE,
    "Leave out the items in this file of 'harness pairs check --tainted'; the result with "
    "them is shown next to it.", metavar="FILE")  # fmt: skip


def exclusion_lines(excluded: Mapping[str, int], with_all: Sequence[WithAllItems]) -> list[str]:
    """Return which items were left out, and the differences with them."""
    from ablations.statistics.text.formatting import interval, points

    if not excluded:
        return []
    counts = ", ".join(f"{name} {number}" for name, number in excluded.items())
    lines = [f"items left out (--exclude): {counts}"]
    for line in with_all:
        bounds = "" if line.low is None else f" {interval(line.low, line.high)}"
        lines.append(
            f"with them: {line.name} {points(line.delta)}{bounds} {line.verdict or ''}".rstrip()
        )
    return lines
