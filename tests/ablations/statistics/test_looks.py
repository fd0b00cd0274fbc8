"""Planned looks: levels against published ones, and the error that they keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ablations.statistics.contrasts import Rules
from ablations.statistics.design import looks
from harness.errors import UsageError
from tests.examples import examples

# Bounds of z at five equal looks, alpha 0.05 two-sided (R package ldbounds, its manual's examples;
# Reboussin, DeMets, Kim and Lan 2000).
PUBLISHED: dict[looks.Spending, list[float]] = {
    "obrien-fleming": [4.8769, 3.3569, 2.6803, 2.2898, 2.0310],
    "pocock": [2.4380, 2.4268, 2.4101, 2.3966, 2.3859],
}


@pytest.mark.parametrize("spending", PUBLISHED)
def test_levels_are_the_published_ones(spending: looks.Spending) -> None:
    bounds = stats.norm.isf(np.array(looks.levels((1, 2, 3, 4, 5), spending, 0.05)) / 2)
    assert bounds.tolist() == pytest.approx(PUBLISHED[spending], abs=2e-4)


@given(
    seeds=st.sets(st.integers(2, 30), min_size=2, max_size=4).map(lambda s: tuple(sorted(s))),
    alpha=st.sampled_from([0.01, 0.05, 0.1]),
    spending=st.sampled_from(["obrien-fleming", "pocock"]),
)
@examples(25)
def test_normal_tests_at_these_levels_reject_a_true_null_at_alpha(
    seeds: tuple[int, ...], alpha: float, spending: looks.Spending
) -> None:
    at = looks.levels(seeds, spending, alpha)
    assert max(at) <= alpha
    assert min(at) > 0
    reps, steps = 20_000, np.diff([0, *seeds])
    walks = np.random.default_rng(1).normal(size=(reps, len(seeds))) * np.sqrt(steps)
    z = walks.cumsum(1) / np.sqrt(seeds)
    rejected = (2 * stats.norm.sf(np.abs(z)) < at).any(1).mean()
    assert rejected == pytest.approx(alpha, abs=4 * np.sqrt(alpha / reps))


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (((3,), 3), "at least two increasing"),
        (((5, 3, 8), 8), "at least two increasing"),
        (((1, 3), 3), "at least two increasing"),
        (((3, 5), 8), "the last look has all seeds"),
    ],
)
def test_looks_that_cannot_be_made_are_refused(
    at: tuple[tuple[int, ...], int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        looks.check(*at, "pocock")


def test_rules_at_a_look_have_its_level() -> None:
    rules = Rules(looks=(3, 5, 8))
    at = looks.levels((3, 5, 8), "obrien-fleming", 0.05)
    assert [rules.at_look(seeds).alpha for seeds in rules.looks] == list(at)
