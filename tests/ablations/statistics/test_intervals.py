"""The error of a single score: by `run` from the samples, by `compare` and `report` from arrays."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ablations.statistics.estimates import Items, clustered
from ablations.statistics.intervals import run_intervals, score_interval
from ablations.statistics.lines import MEAN
from harness.runs.store import read_samples
from harness.runs.summary import read_summaries, standard_error
from tests.ablations.statistics.test_compare import Alone, made
from tests.sums import Sums


def test_the_error_in_a_summary_is_the_clustered_one(tmp_path: Path) -> None:
    halves = Sums(40, id="halves", headline=("even",))
    members = [Alone(40, id="alone"), Sums(40, id="pairs"), halves]
    run = made(tmp_path, "a", frozenset({0, 1, 2, 7, 12, 13}), *members)
    rows = read_summaries(run)
    # scipy's standard error of a mean; clusters are pairs of items: the mean of their sums.
    right = np.ones(40)
    right[[0, 1, 2, 7, 12, 13]] = 0
    assert rows["alone"].stderr == pytest.approx(stats.sem(right))
    assert rows["pairs"].stderr == pytest.approx(stats.sem(right.reshape(20, 2).mean(1)))
    assert rows["halves"].stderr == pytest.approx(stats.sem(right[::2]))
    # The estimate of `compare` and `report` is the same where clusters are of one size.
    pairs = Items(np.arange(40) // 2, np.ones((40, 1), dtype=bool))
    assert rows["pairs"].stderr == pytest.approx(float(clustered(right, pairs).se))
    found = run_intervals(run)
    assert set(found) == {"alone", "pairs", "halves", MEAN}
    half = stats.t.ppf(0.975, 19) * rows["pairs"].stderr
    assert (found["pairs"].low, found["pairs"].high) == (
        pytest.approx(0.85 - half), pytest.approx(min(0.85 + half, 1)),
    )  # fmt: skip


def test_the_mean_of_one_benchmark_is_that_benchmark(tmp_path: Path) -> None:
    for member in (Alone(40, id="alone"), Sums(40, id="pairs")):
        found = run_intervals(made(tmp_path, member.id, frozenset({0, 1, 2, 7}), member))
        assert found[MEAN] == found[member.id]
    both = run_intervals(made(tmp_path, "both", frozenset({0}), Alone(40, id="a"), Sums(40)))
    assert both[MEAN] not in [value for name, value in both.items() if name != MEAN]


def test_one_cluster_has_no_error(tmp_path: Path) -> None:
    run = made(tmp_path, "a", frozenset({1}), Alone(4, id="alone"))
    samples = read_samples(run, "alone")
    together = {key: dataclasses.replace(s, cluster="c") for key, s in samples.items()}
    declaration = Alone(4, id="alone").declaration
    assert standard_error(declaration, samples) is not None
    assert standard_error(declaration, together) is None
    assert standard_error(declaration, {}) is None
    single = Items(np.zeros(4, dtype=int), np.ones((4, 1), dtype=bool))
    interval = score_interval(np.array([[1.0, 0.0, 1.0, 1.0]]), single)
    assert (interval.score, interval.low, interval.high) == (0.75, None, None)


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_a_score_of_0_or_1_has_an_interval(right: float) -> None:
    z = stats.norm.ppf(0.975)
    interval = score_interval(np.full((1, 30), right), Items.plain(30))
    # Wilson's closed form at 0 and 1: n / (n + z^2) and 1 less that.
    bound = 30 / (30 + z**2)
    assert (interval.low, interval.high) == (
        pytest.approx(bound if right else 0.0), pytest.approx(1.0 if right else 1 - bound),
    )  # fmt: skip


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_an_interval_holds_its_score(right: float) -> None:
    """Also after rounding: n times 1 / n is a little less or more than 1 for some n."""
    for n in range(1, 400):
        interval = score_interval(np.full((1, n), right), Items.plain(n))
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low <= interval.score <= interval.high


@pytest.mark.parametrize(("right", "of"), [(0, 7), (7, 7), (1, 7), (31, 250)])
def test_one_run_of_right_and_wrong_has_the_interval_of_statsmodels(right: int, of: int) -> None:
    from statsmodels.stats.proportion import proportion_confint

    values = (np.arange(of) < right).astype(float)[None]
    found = score_interval(values, Items(np.arange(of), np.ones((of, 1), dtype=bool)))
    expected = proportion_confint(right, of, method="wilson")
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-12)
