"""Clusters of unequal size: CR2 by matrices, its degrees of freedom, and how often it errs."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from ablations.statistics import estimates
from ablations.statistics.clusters import ERROR_LIMIT, Array, Profile
from ablations.statistics.estimates import Items
from tests.examples import examples

# Instances per repository in SWE-bench Verified (django, sympy, sphinx, matplotlib, scikit-learn,
# astropy, xarray, pytest, pylint, requests, seaborn, flask): its data card.
SWE_BENCH_VERIFIED = (231, 75, 44, 34, 32, 22, 22, 19, 10, 8, 2, 1)
SIZES = st.lists(st.integers(1, 9), min_size=2, max_size=7)


def profile(*sizes: int) -> Profile:
    return Profile(np.array(sizes, dtype=float)[:, None])


def of(sizes: tuple[int, ...] | list[int]) -> Items:
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    return Items(clusters, np.ones((len(clusters), 1), dtype=bool))


def root(matrix: Array) -> Array:
    """The inverse square root of a positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors / np.sqrt(values) @ vectors.T)


def by_matrices(d: Array, clusters: Array, design: Array) -> tuple[float, float]:
    """CR2 and its degrees of freedom for the mean of the coefficients, as their authors write them.

    Bell and McCaffrey (2002), in the notation of Pustejovsky and Tipton (2018), working model
    independent and of equal variance.
    """
    bread, n = np.linalg.inv(design.T @ design), len(d)
    hat, contrast = design @ bread @ design.T, np.full(design.shape[1], 1 / design.shape[1])
    residual, variance, columns = d - hat @ d, 0.0, []
    for cluster in np.unique(clusters):
        own = clusters == cluster
        adjust = root(np.eye(own.sum()) - hat[np.ix_(own, own)])
        weight = adjust @ design[own] @ bread @ contrast
        variance += float(weight @ residual[own]) ** 2
        columns.append((np.eye(n) - hat)[:, own] @ weight)
    values = np.linalg.eigvalsh(np.array(columns) @ np.array(columns).T)
    return variance**0.5, float(values.sum() ** 2 / (values**2).sum())


@given(sizes=SIZES, seed=st.integers(0, 2**31), parts=st.integers(1, 3))
@examples(60)
def test_the_closed_form_is_cr2_by_matrices(sizes: list[int], seed: int, parts: int) -> None:
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    member = rng.integers(0, parts, len(clusters))
    # Every part in two clusters: else the part has no standard error.
    clusters = np.concatenate([clusters, np.tile([90, 91], parts)])
    member = np.concatenate([member, np.repeat(np.arange(parts), 2)])
    items, d = Items(clusters, member[:, None] == np.arange(parts)), rng.normal(size=len(clusters))
    se, df = by_matrices(d, clusters, items.parts.astype(float))
    assert np.sqrt((items.residuals(d) ** 2).sum()) == pytest.approx(se)
    assert items.profile.df == pytest.approx(df)
    both = items.residuals(np.stack([d, 2 * d]))
    assert both[1] == pytest.approx(2 * both[0])


@given(clusters=st.integers(2, 40), size=st.integers(1, 5), seed=st.integers(0, 2**31))
@examples(30)
def test_for_clusters_of_one_size_it_is_millers(clusters: int, size: int, seed: int) -> None:
    d = np.random.default_rng(seed).normal(size=(clusters, size))
    estimate = estimates.clustered(d.ravel(), of([size] * clusters))
    # Miller 2024, arXiv 2411.00640, with C / (C - 1).
    total = ((d - d.mean()).sum(1) ** 2).sum() * clusters / (clusters - 1)
    assert estimate.se == pytest.approx(np.sqrt(total) / d.size)
    assert estimate.df == pytest.approx(clusters - 1)
    sizes = profile(*[size] * clusters)
    assert sizes.effective == pytest.approx(clusters)
    assert sizes.error_rate() == pytest.approx(0.05)


# The last: two parts, of which large clusters hold different shares.
@pytest.mark.parametrize(
    ("counts", "rate"),
    [
        ([[size] for size in SWE_BENCH_VERIFIED], 0.056),
        ([[90], *[[1]] * 10], 0.061),
        ([[50], *[[1]] * 50], 0.052),
        ([[40], [40], *[[1]] * 20], 0.083),
        ([[90, 1], [5, 5], [5, 50], [3, 3]], 0.148),
    ],
)
def test_the_error_rate_is_that_of_simulated_clusters(counts: list[list[int]], rate: float) -> None:
    rng, sizes, reps = np.random.default_rng(0), Profile(np.array(counts, dtype=float)), 4000
    assert sizes.error_rate() == pytest.approx(rate, abs=0.001)
    member = np.array([k for row in counts for k, n in enumerate(row) for _ in range(n)])
    clusters = np.repeat(np.arange(len(counts)), np.sum(counts, axis=1))
    items = Items(clusters, member[:, None] == np.arange(len(counts[0])))
    rates = []
    for correlation in (0.05, 0.2, 0.5, 1.0):
        shared = rng.normal(0, np.sqrt(correlation), (reps, len(counts)))[:, clusters]
        d = shared + rng.normal(0, np.sqrt(1 - correlation), (reps, len(clusters)))
        se, df = np.sqrt((items.residuals(d) ** 2).sum(1)), sizes.df
        rates.append((np.abs(items.mean(d)) > scipy.stats.t.ppf(0.975, df) * se).mean())
    assert max(rates) == pytest.approx(rate, abs=4 * np.sqrt(rate / reps))


@given(sizes=st.lists(st.integers(1, 300), min_size=2, max_size=40))
@examples(60)
def test_there_is_a_standard_error_where_the_test_keeps_its_level(sizes: list[int]) -> None:
    of_sizes, d = profile(*sizes), np.random.default_rng(0).normal(size=sum(sizes))
    assert 0.03 < of_sizes.error_rate() < 0.5  # three clusters: down to 3.9 %
    assert 1 - 1e-9 <= of_sizes.effective <= len(sizes) + 1e-9
    reliable = of_sizes.error_rate() <= ERROR_LIMIT
    assert np.isnan(estimates.clustered(d, of(sizes)).p) == (not reliable)


def test_a_part_in_one_cluster_has_no_standard_error() -> None:
    items = Items(np.array([0, 0, 1, 2]), np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=bool))
    assert np.isnan(estimates.clustered(np.arange(4.0), items).se)
    assert "gives no verdict" in str(items.profile.warning)


@pytest.mark.parametrize(
    ("sizes", "warning"),
    [
        (
            [1] * 29,
            "only 29 clusters (fewer than 30), effectively 29.0, so inference over items is "
            "approximate",
        ),
        ([7] * 30, None),
        (
            [25] + [1] * 75,
            "76 clusters of unequal size, effectively 14.3, so inference over items is approximate",
        ),
        (
            SWE_BENCH_VERIFIED,
            "only 12 clusters (fewer than 30), effectively 3.9, so inference over "
            "items is approximate",
        ),
        (
            [40, 40] + [1] * 20,
            "only 22 clusters (fewer than 30), effectively 3.1, with 8.3% false "
            "positives where 5 % are meant, so inference over items gives no verdict",
        ),
        (
            [9],
            "only 1 cluster (fewer than 30), effectively 1.0, with a part of the score in one "
            "cluster, so inference over items gives no verdict",
        ),
    ],
)
def test_few_or_lopsided_clusters_are_warned_of(sizes: list[int], warning: str | None) -> None:
    assert profile(*sizes).warning == warning
