"""The paper's numbers that a report shows in grey; README.md gives their sources."""

from __future__ import annotations

import csv
from importlib.resources import files

SOURCE = "arXiv 2606.17053, Figure 5, read off by eye (±1 point)"


def selection_vs_task() -> list[dict[str, str]]:
    """Return the points: model, arm, selection_accuracy and end_task (both in percent)."""
    text = (files(__package__) / "selection_vs_task.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
