"""The hand-made cases of the kinds that public bug reports name."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from benchmarks import registry
from benchmarks.conformance.cases import Case, expectations, target_of
from benchmarks.conformance.graded import read
from benchmarks.scoring import score

AGREEMENT, CREDITED = 0.97, 0.03


@pytest.fixture(scope="module")
def hand_made(shared: Path) -> Path:
    folder = shared / "cases"
    if not folder.is_dir():
        pytest.skip("the hand-made cases are not there")
    return folder


def _cases(path: Path) -> list[Case]:
    return [row for row in read(path) if isinstance(row, Case)]


def test_a_case_and_its_row_have_one_target(hand_made: Path) -> None:
    """The documents of `document` and the data set's own rows give the same targets."""
    row_of = runpy.run_path(str(hand_made / "rows.py"))["make_row"]
    for number, case in enumerate(_cases(hand_made / "scoring.jsonl")):
        row, _ = row_of(case.benchmark, number, case.item)
        adapter = registry.kind(case.benchmark)(Path())
        assert adapter.target(row) == target_of(case), case


@pytest.mark.parametrize("name", ["scoring", "hand-read"])
def test_the_aims_are_met(hand_made: Path, name: str) -> None:
    """At least 97 % agreement, and at most 3 % of wrong answers credited."""
    cases = _cases(hand_made / f"{name}.jsonl")
    other = [
        (case.response, given)
        for case in cases
        if (given := score(case.response, target_of(case))).value != case.expected
    ]
    total = expectations(cases)[-1]
    assert total.expected_agreement >= AGREEMENT, other
    assert total.wrong_credited <= CREDITED * total.wrong, other
