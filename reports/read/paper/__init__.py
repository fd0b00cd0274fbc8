"""The paper's numbers that a report shows in grey; README.md gives their sources."""

from __future__ import annotations

import csv
from importlib.resources import files

SOURCE = "arXiv 2606.17053, Figure 5, read off by eye (±1 point)"


def selection_vs_task() -> list[dict[str, str]]:
    """Return the points: model, arm, selection_accuracy and end_task (both in percent)."""
    return _rows("selection_vs_task.csv")


def vqa12() -> list[dict[str, str]]:
    """Return the printed VQA table: benchmark, category, a column per model and arm (percent)."""
    return _rows("vqa12.csv")


def _rows(name: str) -> list[dict[str, str]]:
    lines = (files(__package__) / name).read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))
