"""The rule against scipy, constrained likelihood, its sizes by simulation, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from ablations.statistics import estimates
from ablations.statistics.estimates import Array, Estimate, Items
from ablations.statistics.release import rule
from ablations.statistics.release.policy import Limits
from ablations.statistics.release.rule import (
    Cells,
    Limit,
    OverItems,
    OverSeeds,
    benchmark_status,
    decision,
    judge,
)

COUNTS = [(100, 10, 15, 66), (60, 2, 9, 30), (50, 3, 3, 44), (80, 5, 30, 85)]


def cells(counts: tuple[int, ...]) -> Cells:
    return Cells(*(np.asarray(float(n)) for n in counts))


def answers(counts: tuple[int, ...]) -> tuple[Array, Array]:
    """Return answers of candidate and baseline with these outcomes."""
    candidate, baseline = np.repeat([1.0, 1, 0, 0], counts), np.repeat([1.0, 0, 1, 0], counts)
    return candidate, baseline


def most_likely(counts: tuple[int, ...], values: Array, mean: float) -> Array:
    """Return the multinomial shares that are most likely where the values have a mean."""

    def unlikely(p: Array) -> float:
        return -float(np.dot(counts, np.log(p)))

    bounds = [{"type": "eq", "fun": lambda p: p.sum() - 1},
              {"type": "eq", "fun": lambda p: p @ values - mean}]  # fmt: skip
    start = np.array([0.4, 0.1, 0.15, 0.35])
    found = optimize.minimize(
        unlikely, start, constraints=bounds, bounds=[(1e-9, 1)] * 4, method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 500},
    )  # fmt: skip
    assert found.success
    return np.asarray(found.x)


def at_limit(counts: tuple[int, ...], limit: Limit) -> float:
    """Return the standard error where the limit is just reached, by constrained likelihood."""
    keeps = np.array([1 - limit.kept, 1.0, -limit.kept, 0.0]) * limit.sign
    p = most_likely(counts, keeps, -limit.allowed)
    return float(np.sqrt((p @ keeps**2 - (p @ keeps) ** 2) / sum(counts)))


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize(
    "limit", [Limit(1, 1.0, 0.03), Limit(-1, 1.0, 0.1), Limit(1, 0.9, 0.0), Limit(-1, 1.2, 0.0)]
)
def test_the_error_is_the_larger_of_likelihood_at_the_limit_and_bonett_price(
    counts: tuple[int, ...], limit: Limit
) -> None:
    room = cells(counts).room(limit)
    measured = cells(counts).combined(1, -limit.kept).se
    assert float(room.se) == pytest.approx(max(at_limit(counts, limit), measured), rel=1e-4)
    candidate, baseline = (y.mean() for y in answers(counts))
    expected = limit.sign * (candidate - limit.kept * baseline) + limit.allowed
    assert float(room.delta) == pytest.approx(expected)


@pytest.mark.parametrize("counts", COUNTS)
def test_the_interval_of_single_answers_is_that_of_compare(counts: tuple[int, ...]) -> None:
    candidate, baseline = answers(counts)
    ours = Cells.of(candidate, baseline).combined(1, -1)
    compare = estimates.mcnemar(candidate - baseline).adjusted
    assert (float(ours.delta), float(ours.se)) == pytest.approx(
        (float(compare.delta), float(compare.se))
    )


def test_seeds_are_judged_by_welch() -> None:
    """Against scipy's one-sided Welch test of candidate > baseline - limit."""
    a, b = np.array([0.60, 0.62, 0.61]), np.array([0.58, 0.61, 0.595, 0.60])
    absolute, relative = Limit(1, 1.0, 0.03), Limit(1, 0.95, 0.0)
    rooms = [OverSeeds(b, a).room(limit) for limit in (absolute, relative)]
    judged = judge(rooms, [False, False])
    for p, shifted in zip(judged.p, (a - 0.03, a * 0.95), strict=True):
        test = stats.ttest_ind(b, shifted, equal_var=False, alternative="less")
        assert float(p) == pytest.approx(float(test.pvalue))


def test_repeats_and_clusters_enter_by_the_clustered_t() -> None:
    rng = np.random.default_rng(3)
    items = Items(np.repeat(np.arange(40), 3), np.ones((120, 1), dtype=bool))
    candidate, baseline = rng.integers(0, 3, (2, 120)) / 2
    room = OverItems(candidate, baseline, items).room(Limit(1, 0.9, 0.0))
    expected = estimates.clustered(candidate - 0.9 * baseline, items)
    assert (float(room.delta), float(room.se)) == (float(expected.delta), float(expected.se))
    assert float(room.df) == pytest.approx(39)


def test_two_runs_that_agree_on_every_item_do_not_pass_any_limit() -> None:
    """Rule of about 3.8 / limit: z^2 (1 - m) / m items show that at most m were lost."""
    for n, kept in ((300, False), (400, True)):
        room = cells((n // 2, 0, 0, n - n // 2)).room(Limit(1, 1.0, 0.01))
        assert bool(judge([room], [True]).kept[0]) == kept
    same, items = (
        np.tile([0.0, 1.0], 30),
        Items(np.repeat(np.arange(20), 3), np.ones((60, 1), bool)),
    )
    assert not judge([OverItems(same, same, items).room(Limit(1, 1.0, 0.01))], [True]).kept[0]
    assert judge([OverItems(same, same, items).room(Limit(1, 1.0, 0.5))], [True]).kept[0]


def test_fieller_and_the_linear_test_agree_at_the_limit() -> None:
    a, b = np.array([0.60, 0.63, 0.61]), np.array([0.58, 0.60, 0.585])
    evidence = OverSeeds(b, a)
    for kept in np.linspace(0.85, 1.1, 26):
        ratio = rule.relative_change(evidence, float(kept))
        low, high = evidence.room(Limit(1, float(kept), 0.0)).interval()
        assert ratio.low is not None
        assert ratio.high is not None
        assert (low <= 0 <= high) == (ratio.low <= kept - 1 <= ratio.high)


@given(st.permutations(range(5)), st.lists(st.floats(-3, 3), min_size=5, max_size=5))
def test_statuses_follow_a_permutation_of_the_benchmarks(
    order: list[int], rooms: list[float]
) -> None:
    estimated = [Estimate(np.asarray(r), np.asarray(1.0), np.asarray(20.0)) for r in rooms]
    judged, again = judge(estimated, [True] * 5), judge([estimated[i] for i in order], [True] * 5)
    assert again.p == pytest.approx(judged.p[order])
    assert (again.kept == judged.kept[order]).all()
    assert not (judged.kept & judged.exceeded).any()


@given(st.lists(st.floats(-6, 3), min_size=2, max_size=6), st.floats(-3, 3))
def test_an_advisory_benchmark_changes_nothing(rooms: list[float], other: float) -> None:
    estimated = [Estimate(np.asarray(r), np.asarray(1.0), np.asarray(20.0)) for r in rooms]
    extra = Estimate(np.asarray(other), np.asarray(1.0), np.asarray(20.0))
    judged = judge(estimated, [True] * len(rooms))
    with_extra = judge([*estimated, extra], [*[True] * len(rooms), False])
    assert (with_extra.p[:-1] == judged.p).all()
    assert float(with_extra.p[-1]) == pytest.approx(float(stats.t.cdf(other, 20)))


def test_what_has_no_error_is_undecided_and_leaves_holm_alone() -> None:
    none = Estimate(np.asarray(-1.0), np.asarray(0.0), np.asarray(1.0))
    some = Estimate(np.asarray(-2.1), np.asarray(1.0), np.asarray(np.inf))
    judged = judge([none, some], [True, True])
    assert (judged.kept.any(), judged.exceeded.tolist()) == (False, [False, True])
    assert float(judged.p[1]) == pytest.approx(float(stats.norm.cdf(-2.1)))


VERDICTS = {
    ("non-inferior", "non-inferior"): "GO",
    ("non-inferior", "not enough data"): "INCONCLUSIVE",
    ("not enough data", "inferior"): "NO-GO",
    ("non-inferior", "inferior"): "NO-GO",
}


@pytest.mark.parametrize("statuses", VERDICTS)
def test_the_verdict_of_statuses(statuses: tuple[str, ...]) -> None:
    assert str(decision(np.array(statuses))) == VERDICTS[statuses]


def test_a_benchmark_needs_both_limits_kept_and_one_exceeded() -> None:
    kept = np.array([[True, True, False], [True, False, False]])
    exceeded = np.array([[False, False, False], [False, False, True]])
    statuses = ["non-inferior", "not enough data", "inferior"]
    assert benchmark_status(kept, exceeded).tolist() == statuses


@pytest.mark.parametrize("n", [191, 1000])
@pytest.mark.parametrize("loss", [0.01, 0.05])
@pytest.mark.parametrize("gained", [0.0, 0.01, 0.05])
def test_at_the_limit_each_test_of_single_answers_errs_at_most_as_meant(
    n: int, loss: float, gained: float
) -> None:
    """20,000 draws with the loss at the limit; 2.5 % each, within three standard errors."""
    shares = [0.6 - loss - gained, gained, loss + gained, 0.4 - gained]
    drawn = Cells(*np.random.default_rng(n).multinomial(n, shares, 20_000).T.astype(float))
    for limit in (Limit(1, 1.0, loss), Limit(1, 1 - loss / 0.6, 0.0)):
        judged = judge([drawn.room(limit)], [True])
        assert max(judged.kept.mean(), judged.exceeded.mean()) < 0.025 + 0.0035


def test_limits_of_a_policy() -> None:
    both = rule.limits_of(Limits("critical", 0.01, 0.02, 0.2), 0.1)
    assert both == (Limit(1, 1.0, 0.01), Limit(1, 0.98, 0.0))
    assert rule.limits_of(Limits("critical", 0.01, 0.02, 0.2), 0.3) == both[:1]
    lower = rule.limits_of(
        Limits(max_drop=0.1, max_relative_drop=0.5, direction="lower_is_better"), 0.1
    )
    assert lower == (Limit(-1, 1.0, 0.1), Limit(-1, 1.5, 0.0))
