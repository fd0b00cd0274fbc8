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
    others = {str(item) for item in (*range(20), *range(40, 80))}
    assert set(found.left_out["sums"]) == others  # no item gained or lost of a page
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


def test_a_run_of_ours_that_lacks_items_is_to_be_filled(tmp_path: Path) -> None:
    """A killed run holds the answers that came first, which are of other items than the rest."""
    whole, part = log(tmp_path, "whole", range(60), 30), log(tmp_path, "part", range(40), 40)
    own(part)
    with pytest.raises(UsageError, match="40 of them in common: fill our runs with the same"):
        ablations.compare(whole, part)
    own(whole)
    with pytest.raises(UsageError, match="40 of them in common: fill our runs with the same"):
        ablations.compare(whole, part)
    assert ablations.compare(whole, log(tmp_path, "few", range(30), 9)).benchmarks[0].items == 30


def own(run: Path) -> None:
    """Make an imported run look like one of `harness run` at unknown settings."""
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"origin": "run"}))


def test_prompts_that_are_not_stored_whole_are_not_said_to_be_the_same(tmp_path: Path) -> None:
    for name, count, middle in (("whole", 60, "x"), ("part", 40, "y")):
        log(tmp_path, name, range(count), 30, "a" * 20_000 + middle + "b" * 20_000)
    runs = sorted((tmp_path / "runs").iterdir())
    assert any("not recorded by every run: " in n and "prompts" in n for n in notes(runs))
    runs = [log(tmp_path, "other", range(60), 30), log(tmp_path, "less", range(40), 30)]
    assert not any("prompts" in note for note in notes(runs))


def notes(runs: Iterable[Path]) -> tuple[str, ...]:
    return tuple(ablations.compare(*runs).notes)
