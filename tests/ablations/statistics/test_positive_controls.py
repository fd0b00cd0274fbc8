"""Positive controls: an effect is planted in scripted servers and must come out as the verdict.

Real runs through the command line over embedded items, one an arm, level and seed; a study of each
plan with ``--runs``; its verdict must be what was planted, in the words of the statistics.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ablations.conftest import PLANNED, study_words
from tests.commands import harness

CONCLUSIONS = {
    "none": "No gain of contextrl over grpo is shown: total equivalent within 4 points",
    "objective": "The gain of contextrl over grpo is real on these 180 items and comes from the "
    "objective, not from the data (not compared with base): ",
    "data": "The gain of contextrl over grpo is real on these 180 items, but the objective adds "
    "nothing to what its data gives (within the margin): ",
    "both": "The gain of contextrl over grpo is real on these 180 items and comes from the "
    "objective and from the data (not compared with base; contextrl-shuffled gains over grpo, "
    "too): ",
}
WORDS = {
    "none": {"total": "equivalent"},
    "objective": {"total": "better", "objective": "better", "placebo": "better"}
    | {"data": "equivalent"},
    "data": {"total": "better", "objective": "equivalent"},
    "both": {"total": "better", "objective": "better", "placebo": "better", "data": "better"},
}


@pytest.mark.parametrize("planted", PLANNED)
def test_the_verdict_is_what_was_planted(
    planted: str, planted_runs: dict[str, Path], tmp_path: Path
) -> None:
    arms = PLANNED[planted]
    done = harness(*study_words(tmp_path, planted_runs, arms), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"].startswith(CONCLUSIONS[planted])
    assert len(found["contrasts"]) == 1 + 3 + 1 + 3
    for line in found["contrasts"]:
        assert line["verdict"] == WORDS[planted].get(line["kind"]), line
        assert line["tested"] == (line["kind"] in WORDS[planted])
        plus, minus = line["name"].split(" - ")
        # The planted difference, but for seeds (three of sd 0.7 points a side) and whole items.
        assert line["delta"] == pytest.approx((arms[plus] - arms[minus]) / 100, abs=0.025)
