"""Seeds of unequal number and seeds that are one: simulated rates, and when a note says so."""

from __future__ import annotations

import numpy as np
import pytest

from ablations.statistics.seeds import false_positives, twin_notes, unequal_note


def test_unequal_numbers_of_seeds_have_the_rates_of_the_simulation() -> None:
    # 2 against 5: 6.6 % where both vary alike, 10 % where the smaller side varies more.
    assert false_positives(2, 5) == (pytest.approx(0.066, abs=0.006), pytest.approx(0.1, abs=0.008))
    assert max(false_positives(3, 5)) < 0.065


@pytest.mark.parametrize(
    ("seeds", "noted"),
    [
        ({"a": 2, "b": 5}, True),
        ({"a": 3, "b": 8}, True),
        ({"a": 2, "b": 4, "c": 4}, True),
        ({"a": 3, "b": 5}, False),
        ({"a": 2, "b": 3}, False),
        ({"a": 5, "b": 5}, False),
        ({"a": 1, "b": 5}, False),  # no test, no verdict
    ],
)
def test_sides_of_unequal_size_are_noted(seeds: dict[str, int], noted: bool) -> None:
    notes = unequal_note(seeds)
    assert len(notes) == noted
    assert all("false positives instead of 5 %" in note for note in notes)


def test_seeds_that_score_alike_throughout_are_noted() -> None:
    rng = np.random.default_rng(1)
    scores = {
        name: {arm: rng.integers(0, 2, (3, 30)) * 1.0 for arm in ("a", "b")} for name in ("x", "y")
    }
    assert twin_notes(scores) == []
    scores["x"]["b"][2] = scores["x"]["b"][0]  # alike on one benchmark only
    assert twin_notes(scores) == []
    scores["y"]["b"][2] = scores["y"]["b"][0]
    (note,) = twin_notes(scores)
    assert note.startswith("b: seeds 0 and 2 score alike on every item")
