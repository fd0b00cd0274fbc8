"""The tables of responses: every row, and that each table is large and has look-alikes."""

from __future__ import annotations

from types import ModuleType

import pytest

from benchmarks.scoring import Target, score
from benchmarks.suites import SUITES
from tests.benchmarks.scoring.tables import (
    RIGHT,
    UNREAD,
    WRONG,
    blink,
    mathverse,
    mathvision,
    mathvista,
    mme_realworld_lite,
    mmmu,
    mmmu_pro,
    mmstar,
    olympiadbench_physics,
    phyx,
    scienceqa,
    vstar,
)

# The benchmarks whose official outputs are not at hand: their tables are all there is.
ALONE = (mathverse, mme_realworld_lite, mmstar, olympiadbench_physics, phyx, scienceqa, vstar)
TABLES = {
    module.__name__.rpartition(".")[2]: module.ROWS
    for module in (*ALONE, blink, mathvision, mathvista, mmmu, mmmu_pro)
}
CASES = [
    pytest.param(target, response, verdict, id=f"{name}-{number}")
    for name, rows in TABLES.items()
    for number, (target, response, verdict) in enumerate(rows)
]


@pytest.mark.parametrize(("target", "response", "verdict"), CASES)
def test_row(target: Target, response: str, verdict: str) -> None:
    given = score(response, target)
    got = {("scored", 1.0): RIGHT, ("scored", 0.0): WRONG}.get((given.status, given.value), UNREAD)
    assert got == verdict, f"{response!r}: {given}"
    assert given.why
    assert (given.prediction is None) == (verdict == UNREAD)


def test_every_benchmark_has_a_table() -> None:
    assert set(TABLES) == set(SUITES["vqa12"])


@pytest.mark.parametrize("table", ALONE)
def test_table_is_large_and_has_look_alikes(table: ModuleType) -> None:
    verdicts = [verdict for _, _, verdict in table.ROWS]
    assert len(verdicts) >= 40
    assert verdicts.count(WRONG) >= 9
    assert verdicts.count(UNREAD) >= 2
