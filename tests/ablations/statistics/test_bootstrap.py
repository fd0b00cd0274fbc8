"""The hierarchical bootstrap against a slow loop that copies rows, and its exact properties."""

from __future__ import annotations

import numpy as np
import pytest

from ablations.statistics.analysis import analyse
from ablations.statistics.contrasts import Rules
from ablations.statistics.estimates import Array, Items, clustered
from ablations.statistics.simulation.bootstrap import hierarchical

RNG = np.random.default_rng(11)


def study(sizes: dict[str, int], arms: tuple[str, ...], seeds: int) -> dict[str, dict[str, Array]]:
    rng = np.random.default_rng(2)
    shift = {arm: rng.normal(0, 0.05, seeds) for arm in arms}
    scores = {}
    for name, n in sizes.items():
        p = rng.beta(1, 0.8, n)
        scores[name] = {
            arm: (rng.random((seeds, n)) < np.clip(p + shift[arm][:, None], 0, 1)).astype(float)
            for arm in arms
        }
    return scores


SIZES = {"one": 120, "two": 60}
ITEMS = {
    "one": Items(np.repeat(np.arange(30), 4), np.ones((120, 1), dtype=bool)),
    "two": Items(np.tile(np.arange(30), 2), np.arange(60)[:, None] // 30 == np.arange(2)),
}


def slow(scores: dict[str, dict[str, Array]], a: str, b: str, resamples: int) -> Array:
    """Copy the rows of drawn seeds and drawn clusters, and score them again."""
    differences = np.empty(resamples)
    for r in range(resamples):
        seeds = {arm: RNG.integers(0, 3, 3) for arm in (a, b)}
        deltas = []
        for name, arms in scores.items():
            clusters, parts = ITEMS[name].clusters, ITEMS[name].parts
            drawn = RNG.choice(np.unique(clusters), len(np.unique(clusters)))
            rows = np.concatenate([np.flatnonzero(clusters == c) for c in drawn])
            means = []
            for arm in (a, b):
                copied = arms[arm][seeds[arm]][:, rows]
                by_part = [copied[:, parts[rows, k]].mean() for k in range(parts.shape[1])]
                means.append(sum(by_part) / len(by_part))
            deltas.append(means[0] - means[1])
        differences[r] = np.mean(deltas)
    return differences


def test_counts_stand_for_copied_rows() -> None:
    scores = study(SIZES, ("x", "y"), 3)
    reference = slow(scores, "x", "y", 6000)
    deltas = hierarchical(scores, ITEMS, 20_000).combined({"x": 1, "y": -1})
    # Monte Carlo errors: of a mean sd / sqrt(n), of an sd sd / sqrt(2 n), of quantiles more.
    sd = reference.std()
    assert deltas.mean() == pytest.approx(reference.mean(), abs=4 * sd / np.sqrt(6000))
    assert deltas.std() == pytest.approx(sd, rel=4 / np.sqrt(12_000))
    for q in (0.025, 0.25, 0.75, 0.975):
        expected = np.quantile(reference, q)
        assert np.quantile(deltas, q) == pytest.approx(expected, abs=0.12 * sd)


def test_with_one_seed_its_spread_is_the_closed_form() -> None:
    # Items alone: the variance of the bootstrap mean is the plain variance over n.
    scores = study({"one": 400, "two": 900}, ("x", "y"), 1)
    items = {name: Items.plain(len(arms["x"][0])) for name, arms in scores.items()}
    deltas = hierarchical(scores, items, 20_000).combined({"x": 1, "y": -1})
    d = [(arms["x"] - arms["y"])[0] for arms in scores.values()]
    assert deltas.std() == pytest.approx(np.sqrt(sum(x.var() / x.size for x in d)) / 2, rel=0.02)
    assert deltas.mean() == pytest.approx(np.mean([x.mean() for x in d]), abs=5e-4)


def test_with_one_seed_it_is_the_multinomial_of_equal_differences() -> None:
    # Equal difference vectors collapsed and drawn as one multinomial: the same distribution.
    scores = study({"one": 400, "two": 900}, ("x", "y"), 1)
    items = {name: Items.plain(len(arms["x"][0])) for name, arms in scores.items()}
    deltas = hierarchical(scores, items, 20_000).combined({"x": 1, "y": -1})
    total = np.zeros(20_000)
    for arms in scores.values():
        values, counts = np.unique((arms["x"] - arms["y"])[0], return_counts=True)
        n = counts.sum()
        total += RNG.multinomial(n, counts / n, size=20_000) @ values / n / 2
    for q in (0.025, 0.5, 0.975):
        expected = np.quantile(total, q)
        assert np.quantile(deltas, q) == pytest.approx(expected, abs=0.06 * total.std())


def test_total_is_objective_plus_data_in_every_resample() -> None:
    drawn = hierarchical(study(SIZES, ("c", "d", "g"), 3), ITEMS, 500)
    sums = drawn.combined({"c": 1, "d": -1}) + drawn.combined({"d": 1, "g": -1})
    assert np.abs(drawn.combined({"c": 1, "g": -1}) - sums).max() < 1e-12


def test_neither_other_arms_nor_the_order_of_items_change_an_interval() -> None:
    scores = study(SIZES, ("c", "d", "g"), 3)
    whole = hierarchical(scores, ITEMS, 500).interval({"c": 1, "g": -1})
    fewer = {name: {arm: arms[arm] for arm in ("c", "g")} for name, arms in scores.items()}
    assert hierarchical(fewer, ITEMS, 500).interval({"c": 1, "g": -1}) == whole
    turned, items = {}, {}
    for name in reversed(scores):
        order = RNG.permutation(SIZES[name])
        turned[name] = {arm: y[:, order] for arm, y in scores[name].items()}
        items[name] = Items(ITEMS[name].clusters[order], ITEMS[name].parts[order])
    assert hierarchical(turned, items, 500).interval({"c": 1, "g": -1}) == pytest.approx(
        whole, abs=1e-9
    )


def clusters_of(*sizes: int) -> Items:
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    return Items(clusters, np.ones((clusters.size, 1), dtype=bool))


FEW = {
    "equal": clusters_of(*[20] * 8),
    "SWE-bench Verified": clusters_of(231, 75, 44, 34, 32, 22, 22, 19, 10, 8, 2, 1),
    "one large": clusters_of(200, *[5] * 20),
    "harmonic": clusters_of(*(300 // k for k in range(1, 31))),
    "nearly equal": clusters_of(*[20] * 9, 19),
    "parts": Items(
        np.repeat(np.arange(4), [60, 20, 20, 20]), np.tile(np.eye(2, dtype=bool), (60, 1))
    ),
}


@pytest.mark.parametrize("name", FEW)
def test_with_few_clusters_the_interval_is_about_that_of_the_clustered_test(name: str) -> None:
    """One seed per arm: Bell and McCaffrey's t interval with the CR2 standard error."""
    items = FEW[name]
    rng = np.random.default_rng(8)
    effects = rng.normal(0, 0.3, (2, len(np.unique(items.clusters))))[:, items.clusters]
    x, y = ((rng.random(effects.shape) < 0.5 + effects).astype(float))[:, None]
    low, high = clustered((x - y)[0], items).interval()
    drawn = hierarchical({"b": {"x": x, "y": y}}, {"b": items}, 40_000).interval({"x": 1, "y": -1})
    assert drawn[0] is not None
    width = high - low
    assert drawn[1] - drawn[0] == pytest.approx(width, rel=0.12)
    assert sum(drawn) / 2 == pytest.approx((low + high) / 2, abs=0.08 * width)


def test_clusters_that_allow_no_error_allow_no_interval() -> None:
    rng = np.random.default_rng(9)
    for items in (clusters_of(40), clusters_of(40, 40, *[1] * 20)):
        n = items.clusters.size
        scores = {"b": {arm: rng.random((3, n)) for arm in ("x", "y")}}
        assert not items.profile.has_error
        assert hierarchical(scores, {"b": items}, 50).interval({"x": 1, "y": -1}) == (None, None)
        # The mean over benchmarks has none either.
        scores["even"] = {arm: rng.random((3, 60)) for arm in ("x", "y")}
        both = {"b": items, "even": Items.plain(60)}
        assert hierarchical(scores, both, 50).interval({"x": 1, "y": -1}) == (None, None)


def test_a_single_cluster_in_the_analysis_shows_nothing_for_new_items() -> None:
    rng = np.random.default_rng(10)
    for items, shown in ((clusters_of(400), False), (Items.plain(400), True)):
        scores = {
            arm: (rng.random((3, 400)) < mean).astype(float)
            for arm, mean in (("grpo", 0.3), ("contextrl", 0.6))
        }
        found = analyse({"b": scores}, {"b": items}, Rules(resamples=500))
        (line,) = found.contrasts
        assert line.verdict is not None
        assert line.verdict.is_better
        assert (line.boot_low is not None) == (line.boot_high is not None) == shown
        assert ("(not shown for new items)" in found.verdict) != shown
