"""Logs of different items: shared items are compared, others counted by side, other words refused.

The expected numbers are counted by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

import ablations
import benchmarks
from ablations.statistics.comparison.sides import gate
from harness.errors import UsageError


def log(folder: Path, name: str, items: Iterable[int], right: int, question: str = "2 +") -> Path:
    """Import a log of a model that answers every item below ``right`` rightly."""
    path = folder / name / "sums.jsonl"
    path.parent.mkdir()
    rows = (
        {
            "id": str(n), "prompt": f"{question} {n} = ?", "target": str(2 + n),
            "response": str(2 + n), "score": float(n < right), "benchmark": "sums",
        }
        for n in items
    )  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run,) = benchmarks.import_log(path, form="predictions", model_name=name, out=folder / "runs")
    return run.path


def test_shared_items_are_compared_and_others_counted_by_side(tmp_path: Path) -> None:
    whole, part = log(tmp_path, "whole", range(60), 30), log(tmp_path, "part", range(40), 40)
    shifted = log(tmp_path, "shifted", range(20, 80), 60)

    found = ablations.compare(whole, part)
    assert (found.benchmarks[0].items, found.macro.delta) == (40, 0.25)  # 30 right of 40, then 40
    assert [(gap.arm, gap.left_out) for gap in found.gaps] == [("a", 20)]
    assert any(note.endswith("left out: 20 items of A") for note in found.notes)
    same = log(tmp_path, "same", range(40), 30)
    assert ablations.compare(same, part).macro == found.macro
    assert "different items" not in str(ablations.compare(same, part).notes)

    found = ablations.compare(part, shifted)
    assert any(note.endswith("left out: 20 items of A, 40 items of B") for note in found.notes)
    assert found.benchmarks[0].items == 20
    models = ablations.compare_models([whole, part, shifted])
    assert {gap.arm: gap.left_out for gap in models.gaps} == {
        "whole": 40,
        "part": 20,
        "shifted": 40,
    }
    with pytest.raises(UsageError, match=r"same items alone.*left out: 20 items of A"):
        gate(ablations.compare(whole, part), 0.01)


def test_logs_of_other_items_or_words_are_refused(tmp_path: Path) -> None:
    whole = log(tmp_path, "whole", range(60), 30)
    few = log(tmp_path, "few", range(50, 100), 60)
    reworded = log(tmp_path, "reworded", range(40), 40, "two +")
    with pytest.raises(UsageError, match=r"holds 60 items and .* 50, 10 of them in common"):
        ablations.compare(whole, few)
    with pytest.raises(UsageError, match="differ in the prompt of 0"):
        ablations.compare(whole, reworded)
