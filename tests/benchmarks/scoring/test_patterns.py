"""Every pattern of the scorers reads its first example and leaves the second alone."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

from benchmarks import scoring
from benchmarks.scoring.phrases import Pattern, Row

MODULES = [
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(scoring.__path__, "benchmarks.scoring.")
]
ROWS = [
    pytest.param(row, pattern, id=f"{module.__name__.rpartition('scoring.')[2]}-{name}-{number}")
    for module in MODULES
    for name, pattern in vars(module).items()
    if isinstance(pattern, Pattern)
    for number, row in enumerate(pattern.rows)
]


@pytest.mark.parametrize(("row", "pattern"), ROWS)
def test_a_row_reads_its_example_and_no_more(row: Row, pattern: Pattern) -> None:
    assert re.search(row.source, row.reads, pattern.flags)
    assert pattern.search(row.reads)
    assert not re.search(row.source, row.leaves, pattern.flags)


def test_the_rows_are_found() -> None:
    assert len(ROWS) > 50
