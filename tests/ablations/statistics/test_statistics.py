"""The tests of differences against scipy, statsmodels, loops, closed forms and root finding."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from ablations.statistics import estimates
from ablations.statistics.design import power
from ablations.statistics.estimates import Array, Components, Estimate, Items
from harness.runs.summary import benchmark_score
from tests.examples import examples

RNG = np.random.default_rng(7)
SCORE = st.floats(0, 1, allow_nan=False).map(lambda x: round(x, 6))
SEEDS = st.lists(SCORE, min_size=2, max_size=8).filter(lambda x: len(set(x)) > 1).map(np.array)


def draw(n: int, mean: float, sd: float) -> Array:
    return RNG.normal(mean, sd, n)


@given(a=SEEDS, b=SEEDS)
@examples(100)
def test_welch_is_scipys(a: Array, b: Array) -> None:
    estimate, reference = estimates.welch(a, b), stats.ttest_ind(a, b, equal_var=False)
    interval = reference.confidence_interval(0.95)
    assert estimate.p == pytest.approx(reference.pvalue, rel=1e-9, abs=1e-12)
    assert estimate.df == pytest.approx(reference.df)
    assert estimate.interval() == (pytest.approx(interval.low), pytest.approx(interval.high))


@given(a=SEEDS, b=SEEDS, margin=st.floats(0.001, 0.3))
@examples(100)
def test_equivalence_is_statsmodels_tost(a: Array, b: Array, margin: float) -> None:
    from statsmodels.stats.weightstats import ttost_ind

    reference = ttost_ind(a, b, -margin, margin, usevar="unequal")[0]
    assert estimates.welch(a, b).equivalence_p(margin) == pytest.approx(reference, abs=1e-12)


@given(a=SEEDS, b=SEEDS, data=st.data())
@examples(100)
def test_swapping_arms_turns_the_sign_and_the_order_of_seeds_says_nothing(
    a: Array, b: Array, data: st.DataObject
) -> None:
    estimate, other = estimates.welch(a, b), estimates.welch(b, a)
    assert (estimate.delta, estimate.se, estimate.df, estimate.p) == (
        -other.delta,
        other.se,
        other.df,
        other.p,
    )
    low, high = estimate.interval()
    assert other.interval() == (-high, -low)
    shuffled = estimates.welch(np.array(data.draw(st.permutations(list(a)))), b)
    assert shuffled.delta == pytest.approx(estimate.delta, abs=1e-12)
    assert shuffled.p == pytest.approx(estimate.p)


def test_many_comparisons_at_once_are_those_one_by_one() -> None:
    a, b = RNG.normal(0.5, 0.01, (40, 3)), RNG.normal(0.51, 0.02, (40, 5))
    many = estimates.welch(a, b)
    verdicts = estimates.verdicts(many.delta, many.p, many.equivalence_p(0.02), 0.05)
    for k in range(40):
        estimate = estimates.welch(a[k], b[k])
        assert (many.delta[k], many.p[k]) == (estimate.delta, estimate.p)
        assert verdicts[k] == estimates.verdicts(
            estimate.delta, estimate.p, estimate.equivalence_p(0.02), 0.05
        )


def test_pooled_over_two_arms_is_students_t() -> None:
    a, b = draw(3, 0.5, 0.01), draw(5, 0.52, 0.01)
    estimate = estimates.welch(a, b, estimates.pooled_variance([a, b]))
    assert estimate.p == pytest.approx(stats.ttest_ind(a, b, equal_var=True).pvalue)


def test_pooled_over_all_arms_is_the_contrast_of_a_one_way_layout() -> None:
    import statsmodels.api as sm

    arms = [draw(n, mean, 0.01) for n, mean in ((3, 0.5), (4, 0.53), (3, 0.51), (5, 0.52))]
    design = np.zeros((15, 4))
    design[np.arange(15), np.repeat(np.arange(4), [3, 4, 3, 5])] = 1
    reference = sm.OLS(np.concatenate(arms), design).fit().t_test([-1, 1, 0, 0])
    estimate = estimates.welch(arms[1], arms[0], estimates.pooled_variance(arms))
    assert (estimate.delta, estimate.se) == (
        pytest.approx(reference.effect[0]),
        pytest.approx(reference.sd[0][0]),
    )
    assert estimate.p == pytest.approx(float(reference.pvalue))
    assert estimate.df == 11


def test_holm_steps_down_and_leaves_out_what_was_not_tested() -> None:
    # Holm 1979: the k-th smallest of m times m - k + 1, made monotone.
    assert estimates.holm(np.array([0.04, 0.01, math.nan, 0.03])) == pytest.approx(
        [0.06, 0.03, math.nan, 0.06], nan_ok=True
    )
    assert estimates.holm(np.array([])).size == 0


def test_holm_is_that_of_statsmodels_for_each_of_many() -> None:
    from statsmodels.stats.multitest import multipletests

    p = RNG.random((5, 30)) ** 3
    adjusted = estimates.holm(p)
    for k in range(30):
        assert adjusted[:, k] == pytest.approx(multipletests(p[:, k], method="holm")[1])


@pytest.mark.parametrize(
    ("delta", "p", "equivalence_p", "word"),
    [
        (0.02, 0.01, 0.9, "better"),
        (-0.02, 0.01, 0.9, "worse"),
        (0.001, 0.01, 0.01, "better (within the margin)"),
        (-0.001, 0.01, 0.01, "worse (within the margin)"),
        (0.001, 0.5, 0.01, "equivalent"),
        (0.02, 0.2, 0.9, "inconclusive"),
        (0.02, math.nan, math.nan, "inconclusive"),
    ],
)
def test_words(delta: float, p: float, equivalence_p: float, word: str) -> None:
    numbers = (np.asarray(x) for x in (delta, p, equivalence_p))
    assert estimates.verdicts(*numbers, 0.05) == word


def test_seeds_that_do_not_vary_support_nothing() -> None:
    estimate = estimates.welch(np.array([0.5, 0.5, 0.5]), np.array([0.4, 0.4, 0.4]))
    assert np.isnan([estimate.p, estimate.equivalence_p(0.01), *estimate.interval()]).all()
    assert (
        estimates.verdicts(estimate.delta, estimate.p, estimate.equivalence_p(0.2), 0.05)
        == "inconclusive"
    )


@pytest.mark.parametrize(("x", "y"), [(0.02, 0.03), (0.05, 0.03), (-0.01, 0.03), (0.02, -0.03)])
def test_fieller_is_where_the_difference_just_reaches_t(x: float, y: float) -> None:
    var_x, var_y, covariance, df = 3e-5, 2e-5, 1e-5, 6.5
    t = stats.t.ppf(0.975, df)

    def excess(ratio: float) -> float:
        variance = var_x - 2 * ratio * covariance + ratio**2 * var_y
        return abs(x - ratio * y) - t * math.sqrt(variance)

    ratio = estimates.fieller(x, y, (var_x, var_y, covariance), df)
    assert ratio.value == x / y
    assert ratio.low == pytest.approx(optimize.brentq(excess, x / y - 50, x / y), abs=1e-9)
    assert ratio.high == pytest.approx(optimize.brentq(excess, x / y, x / y + 50), abs=1e-9)


def test_fieller_is_unbounded_where_the_denominator_may_be_0() -> None:
    ratio = estimates.fieller(0.02, 0.001, (1e-5, 1e-5, 0), 8)
    assert (ratio.low, ratio.high) == (None, None)


def test_a_share_covers_the_truth_as_often_as_it_says() -> None:
    rng, hits, n = np.random.default_rng(3), 0, 2000
    for _ in range(n):
        gain, reused, start = (rng.normal(m, 0.004, 4) for m in (0.53, 0.51, 0.5))
        ratio = estimates.share(gain, reused, start)
        low = -np.inf if ratio.low is None else ratio.low
        high = np.inf if ratio.high is None else ratio.high
        hits += low <= (0.53 - 0.51) / (0.53 - 0.5) <= high
    assert 0.935 <= hits / n <= 0.975


def test_the_clustered_standard_error_is_that_of_a_regression_on_a_constant() -> None:
    import statsmodels.api as sm

    clusters = np.repeat(np.arange(60), 5)
    d = RNG.choice([-1.0, 0.0, 1.0], 300) + RNG.choice([-1.0, 0, 1], 60)[clusters]
    fit = sm.OLS(d, np.ones(300)).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
    estimate = estimates.clustered(d, Items(clusters, np.ones((300, 1), dtype=bool)))
    assert (estimate.se, estimate.p) == (pytest.approx(fit.bse[0]), pytest.approx(fit.pvalues[0]))


def test_without_clusters_it_is_the_paired_t() -> None:
    a, b = RNG.random(50), RNG.random(50)
    estimate, reference = estimates.clustered(a - b, Items.plain(50)), stats.ttest_rel(a, b)
    assert estimate.p == pytest.approx(reference.pvalue)
    assert estimate.interval()[0] == pytest.approx(reference.confidence_interval().low)


def test_a_score_over_parts_is_the_mean_of_their_means() -> None:
    # MMMU-Pro: two forms of each question; here with a few questions in one form only.
    question = np.concatenate([np.arange(100), np.arange(80)])
    parts = np.zeros((180, 2), dtype=bool)
    parts[:100, 0], parts[100:, 1] = True, True
    d, items = RNG.normal(0.1, 1, 180), Items(question, parts)
    estimate = estimates.clustered(d, items)
    assert estimate.delta == pytest.approx((d[:100].mean() + d[100:].mean()) / 2)
    total = 0.0
    for k in range(100):  # CR2: each residual over the root of 1 - its share of its part
        share = (d[k] - d[:100].mean()) / 100 / math.sqrt(1 - 1 / 100)
        if k < 80:
            share += (d[100 + k] - d[100:].mean()) / 80 / math.sqrt(1 - 1 / 80)
        total += (share / 2) ** 2
    assert estimate.se == pytest.approx(math.sqrt(total))


def test_one_cluster_has_no_standard_error() -> None:
    estimate = estimates.clustered(RNG.random(10), Items(np.zeros(10, int), np.ones((10, 1), bool)))
    assert np.isnan([estimate.se, estimate.p]).all()


@given(st.integers(0, 2**31))
@examples(30)
def test_the_order_of_items_says_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clusters, order = rng.integers(0, 12, 50), rng.permutation(50)
    parts = np.stack([np.arange(50) < 20, np.arange(50) >= 20], axis=1)
    d = rng.normal(size=50)
    estimate = estimates.clustered(d, Items(clusters, parts))
    other = estimates.clustered(d[order], Items(clusters[order], parts[order]))
    assert other.delta == pytest.approx(estimate.delta)
    assert other.se == pytest.approx(estimate.se)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (7, 1), (12, 9), (3, 30)])
def test_mcnemar_is_the_binomial_test_of_discordant_items(gained: int, lost: int) -> None:
    d = np.concatenate([np.ones(gained), -np.ones(lost), np.zeros(60)])
    test = estimates.mcnemar(d)
    p = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert (test.gained, test.lost, test.p) == (gained, lost, pytest.approx(p))


@pytest.mark.parametrize("n", [30, 100])
@pytest.mark.parametrize(("up", "down"), [(0.02, 0.02), (0.1, 0.05), (0.3, 0.02)])
def test_its_interval_covers_the_truth(n: int, up: float, down: float) -> None:
    # Exactly, over every outcome of the multinomial.
    law, covered = stats.multinomial(n, [up, down, 1 - up - down]), 0.0
    for gained, lost in combinations_with_replacement(range(n + 1), 2):
        for first, other in {(gained, lost), (lost, gained)}:
            chance = law.pmf([first, other, n - first - other]) if first + other <= n else 0.0
            if chance > 1e-9:
                d = np.concatenate([np.ones(first), -np.ones(other), np.zeros(n - first - other)])
                low, high = estimates.mcnemar(d).adjusted.interval()
                covered += chance * (low <= up - down <= high)
    assert covered >= 0.945


def test_an_average_of_benchmarks_is_that_of_one_pooled_sample_of_equal_benchmarks() -> None:
    # Two benchmarks of equal size: the variance of the mean is a quarter of the sum.
    d, e = RNG.normal(0, 1, 200), RNG.normal(0.3, 2, 200)
    estimate = estimates.average([estimates.clustered(x, Items.plain(200)) for x in (d, e)])
    welch = stats.ttest_ind(d, -e, equal_var=False)  # mean(d) + mean(e), by the same variances
    assert estimate.delta == pytest.approx((d.mean() + e.mean()) / 2)
    assert estimate.p == pytest.approx(welch.pvalue)
    assert estimate.df == pytest.approx(welch.df)


def test_seed_variance_splits_into_training_and_decoding() -> None:
    # Two benchmarks of coins whose chance a seed moves: both variances are known.
    rng, sizes, spread = np.random.default_rng(5), (400, 900), 0.02
    splits = []
    for _ in range(30):  # of 60 seeds, so that nothing is cut at 0
        shift = rng.normal(0, spread, 60)
        y = [(rng.random((60, n)) < 0.5 + shift[:, None]).astype(float) for n in sizes]
        splits.append(estimates.components(y, [Items.plain(n) for n in sizes]))
    decoding = sum(0.25 / n for n in sizes) / 4
    assert np.mean([split.decoding for split in splits]) == pytest.approx(decoding, rel=0.02)
    # 1800 seeds: a variance estimate is good to sqrt(2 / 1800), 3 %.
    assert np.mean([split.training for split in splits]) == pytest.approx(spread**2, rel=0.15)


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
@pytest.mark.parametrize("effect", [0.005, 0.018])
def test_power_is_statsmodels_for_equal_arms(seeds: int, effect: float) -> None:
    from statsmodels.stats.power import TTestIndPower

    sd = 0.007
    se, df = sd * math.sqrt(2 / seeds), 2 * (seeds - 1)
    reference = TTestIndPower().power(effect / sd, seeds, 0.05)
    assert power.power(effect, se, df) == pytest.approx(reference, abs=1e-4)
    wanted = TTestIndPower().solve_power(None, seeds, 0.05, 0.8)
    assert power.mde(se, df) == pytest.approx(wanted * sd, rel=1e-3)


@pytest.mark.parametrize(("n", "m", "sd"), [(3, 3, 1.0), (3, 5, 2.0), (8, 8, 0.5)])
def test_the_power_of_welch_is_that_of_simulated_tests(n: int, m: int, sd: float) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(2.5, 1, (20_000, n)), rng.normal(0, sd, (20_000, m))
    simulated = (stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue < 0.05).mean()
    of = Components(0.4, 0.6), Components(sd**2, 0)
    chance = power.welch_power(2.5, *of, (n, m))
    assert chance == pytest.approx(simulated, abs=4 * math.sqrt(0.25 / 20_000))


def test_seeds_needed_is_the_first_number_with_the_power() -> None:
    of = Components(0.005**2, 0.004**2)
    needed = power.seeds_needed(0.018, of)
    assert needed is not None
    assert power.planned_mde(of, needed) <= 0.018 < power.planned_mde(of, needed - 1)
    assert power.welch_power(power.planned_mde(of, 3), of, of, (3, 3)) == pytest.approx(0.8)
    assert power.seeds_needed(1e-6, of) is None
    # Without any variance two seeds, the fewest that there can be, see every effect.
    assert power.seeds_needed(0.018, Components(0.0, 0.0)) == 2


@pytest.mark.parametrize(("seeds", "margin"), [(3, 1.0), (3, 3.0), (5, 2.0), (8, 2.5)])
def test_the_power_of_equivalence_is_that_of_simulated_tests(seeds: int, margin: float) -> None:
    from statsmodels.stats.weightstats import ttost_ind

    rng = np.random.default_rng(seeds)
    a, b = rng.normal(0, 1, (2, seeds, 20_000))
    simulated = (ttost_ind(a, b, -margin, margin, usevar="unequal")[0] < 0.05).mean()
    chance = power.equivalence_power(margin, Components(0.4, 0.6), seeds)
    assert chance == pytest.approx(simulated, abs=4 * math.sqrt(0.25 / 20_000))


def test_the_seeds_for_equivalence_are_the_first_number_with_the_power() -> None:
    of = Components(0.005**2, 0.004**2)
    needed = power.equivalence_seeds(0.009, of)
    assert needed is not None
    reached = [power.equivalence_power(0.009, of, seeds) >= 0.8 for seeds in (needed - 1, needed)]
    assert reached == [False, True]
    # Many seeds: the normal's, n = 2 sd^2 (z_{1-alpha} + z_{1-beta/2})^2 / margin^2 (Schuirmann).
    sd, z = math.sqrt(of.training + of.decoding), stats.norm.ppf(0.95) + stats.norm.ppf(0.9)
    assert power.equivalence_seeds(0.0009, of) == pytest.approx(
        2 * (sd * z / 0.0009) ** 2, rel=0.01
    )
    assert power.equivalence_seeds(1e-6, of) is None


def test_what_two_fixed_checkpoints_could_show_on_300_items() -> None:
    # SWE-bench Lite at 5 % discordance: 3.6 points (2.80 standard errors).
    assert power.mde(math.sqrt(0.05 / 300), math.inf) == pytest.approx(0.036, abs=0.0005)


def test_power_agrees_with_a_simulation_of_real_items() -> None:
    # +1.8 points at 0.5 points seed sd on the twelve at half size: 47 % and 90 % in a simulation
    # of 200 studies, whose chance of a right answer was Beta(1, 0.8).
    sizes = [500, 1970, 1520, 865, 450, 95, 750, 950, 1008, 500, 228, 959]
    decoding = sum(0.8 / (1.8 * 2.8 * n) for n in sizes) / 144
    of = Components(0.005**2 + 0.003**2 / 12, decoding)
    for seeds, simulated in ((3, 0.47), (5, 0.90)):
        error = 3 * math.sqrt(simulated * (1 - simulated) / 200)
        assert power.welch_power(0.018, of, of, (seeds, seeds)) == pytest.approx(
            simulated, abs=error
        )


def test_sampling_variance_is_that_of_independent_coins() -> None:
    rng = np.random.default_rng(1)
    macro = [
        np.mean([(rng.random(n) < p).mean() for p, n in ((0.3, 50), (0.7, 200))])
        for _ in range(4000)
    ]
    expected = power.sampling_variance({"a": (0.3, 50), "b": (0.7, 200)})
    assert np.var(macro) == pytest.approx(expected, rel=0.1)


def test_one_seed_is_refused_by_welch() -> None:
    with pytest.raises(ValueError, match="two seeds"):
        estimates.welch(np.array([0.5]), np.array([0.4, 0.5]))


def test_an_estimate_without_spread_has_no_detectable_effect() -> None:
    assert math.isnan(power.mde(0.0, 4))
    assert np.isnan(Estimate(np.asarray(0.1), np.asarray(0.0), np.asarray(4.0)).p)


@given(data=st.data(), n=st.integers(1, 12), headline=st.sampled_from([(), ("a",), ("a", "b")]))
@examples(100)
def test_the_score_of_many_seeds_is_that_of_a_run(
    data: st.DataObject, n: int, headline: tuple[str, ...]
) -> None:
    """The score of a run's summary and that of a study are one function of the items."""
    parts = data.draw(st.lists(st.sets(st.sampled_from("abc")), min_size=n, max_size=n))
    values = data.draw(st.lists(st.lists(SCORE, min_size=n, max_size=n), min_size=1, max_size=3))
    names = [str(number) for number in range(n)]
    of_item = dict(zip(names, parts, strict=True))
    runs = [dict(zip(names, row, strict=True)) for row in values]
    scores = [benchmark_score(run, of_item, headline) for run in runs]
    if any(all(part not in own for own in parts) for part in headline):
        assert scores == [None] * len(runs)
        return
    members = np.array([[part in own for part in headline] for own in parts])
    items = Items(np.arange(n), members) if headline else Items.plain(n)
    assert items.mean(np.array(values)) == pytest.approx(scores, abs=1e-12)
