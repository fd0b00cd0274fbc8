"""The tables of responses: every row, and that each table is large and has look-alikes."""

from __future__ import annotations

import pytest

from benchmarks.scoring import Target, score
from tests.benchmarks.scoring.tables import (
    RIGHT,
    UNREAD,
    WRONG,
    mathverse,
    mme_realworld_lite,
    mmstar,
    olympiadbench_physics,
    phyx,
    scienceqa,
    vstar,
)

TABLES = {
    module.__name__.rpartition(".")[2]: module.ROWS
    for module in (
        *(mathverse, mme_realworld_lite, mmstar, olympiadbench_physics),
        *(phyx, scienceqa, vstar),
    )
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


@pytest.mark.parametrize("name", TABLES)
def test_table_is_large_and_has_look_alikes(name: str) -> None:
    verdicts = [verdict for _, _, verdict in TABLES[name]]
    assert len(verdicts) >= 40
    assert verdicts.count(WRONG) >= 9
    assert verdicts.count(UNREAD) >= 2
