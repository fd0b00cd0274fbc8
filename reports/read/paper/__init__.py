"""The few numbers of the paper that a report shows in grey; README.md says where they are from."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

SOURCE = "arXiv 2606.17053, Figure 5, read off by eye (±1 point)"


def selection_vs_task() -> pd.DataFrame:
    """Return model, arm, selection_accuracy and end_task (both in percent), a row a point."""
    return _table("selection_vs_task.csv")


def vqa12() -> pd.DataFrame:
    """Return the printed VQA table: benchmark, category, a column a model and arm (percent)."""
    return _table("vqa12.csv")


def _table(name: str) -> pd.DataFrame:
    import pandas as pd

    with (files(__package__) / name).open(encoding="utf-8") as stream:
        return pd.read_csv(stream, comment="#")
