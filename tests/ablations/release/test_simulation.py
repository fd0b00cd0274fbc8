"""Simulated gates: the rates that docs/gate.md promises, and nel's rule by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ablations.statistics.release import simulation
from ablations.statistics.release.policy import Limits
from ablations.statistics.release.rule import Cells

REPS = 400
WRONG = 0.025 + 3 * (0.025 * 0.975 / REPS) ** 0.5  # three standard errors above


def test_neither_go_nor_no_go_is_wrong_more_often_than_promised() -> None:
    rows = {
        (r.setting, r.policy, r.truth): r.rates for r in simulation.simulate([400] * 4, REPS, 1)
    }
    for (_, _, truth), rates in rows.items():
        if truth in ("no change", "all lose the limit", "one loses the limit"):
            assert rates["ours"]["NO-GO"] <= WRONG
        if truth != "no change":
            assert rates["ours"]["GO"] <= WRONG
    # A limit judged by the point estimate: nothing changed, and NO-GO.
    unchanged = rows["15 % of answers differ", "1 point, 2 %", "no change"]
    assert unchanged["nel"]["NO-GO"] > 0.5
    assert rows["5 % of answers differ", "5 points", "no change"]["ours"]["GO"] > 0.5


def test_a_rate_is_the_same_again() -> None:
    first, again = (simulation.simulate([50, 60], 20, 3) for _ in range(2))
    assert first == again
    assert first != simulation.simulate([50, 60], 20, 4)


@pytest.mark.parametrize(
    ("counts", "limits", "status"),
    [
        ((500, 10, 40, 450), Limits("critical", 0.01), "inferior"),
        ((500, 20, 20, 460), Limits("critical", 0.02), "non-inferior"),
        ((500, 20, 20, 460), Limits("critical", 0.01), "not enough data"),
        ((500, 20, 33, 447), Limits("critical", 0.05, 0.02), "inferior"),  # 13 / 533
        (
            (500, 20, 33, 447),
            Limits("critical", 0.05, 0.02, 0.5),
            "non-inferior",
        ),  # above the guard
    ],
)
def test_nels_rule_by_its_definition(counts: tuple[int, ...], limits: Limits, status: str) -> None:
    """Paired t interval of item differences (``_paired_delta_ci``), by scipy."""
    cells = Cells(*(np.array([float(n)]) for n in counts))
    assert simulation._nel(cells, limits).tolist() == [status]
    d = np.repeat([0.0, 1, -1, 0], counts)
    interval = stats.ttest_1samp(d, 0).confidence_interval()
    expected = "not enough data"
    if -interval.high > limits.max_drop or status == "inferior":
        expected = "inferior"
    elif -interval.low <= limits.max_drop:
        expected = "non-inferior"
    assert status == expected
