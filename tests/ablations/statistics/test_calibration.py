"""The simulation against a direct one of single answers, and the rates that ship."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import scipy

from ablations.cli.calibrate import COVERAGE, FALSE_POSITIVES
from ablations.cli.calibrate import calibrate as command
from ablations.statistics.design import power
from ablations.statistics.estimates import Array, Items
from ablations.statistics.simulation import calibration
from ablations.statistics.simulation.bootstrap import hierarchical
from ablations.statistics.simulation.calibration import (
    World,
    bootstrap_errors,
    calibrate,
)
from benchmarks.suites import SUITES, benchmark

ROOT = Path(__file__).parents[3]
SHIPPED = json.loads(
    (ROOT / "ablations" / "statistics" / "simulation" / "calibration.json").read_text()
)


def answers(world: World, rng: np.random.Generator, shift: Array) -> list[Array]:
    """Draw every single answer, seeds x items, benchmark by benchmark."""
    scores = []
    for counts, chances in zip(world.counts, world.chances, strict=True):
        p = np.repeat(chances, counts)
        scores.append((rng.random((len(shift), p.size)) < p + shift[:, None]).astype(float))
    return scores


def test_the_world_has_the_items_and_the_variance_that_it_says() -> None:
    world, rng = World.of([100, 257]), np.random.default_rng(0)
    assert world.counts.sum(1).tolist() == [100, 257]
    direct = [np.mean([y.mean() for y in answers(world, rng, np.zeros(1))]) for _ in range(4000)]
    quick = world.macro(rng, (4000, 1), 0.0, 0.0)
    for macro in (np.array(direct), quick):
        assert macro.var() == pytest.approx(world.decoding_variance, rel=4 * np.sqrt(2 / 4000))
    assert quick.mean() == pytest.approx(np.mean(direct), abs=0.003)


def test_a_planted_effect_and_spread_are_what_comes_out() -> None:
    world, rng = World.of([500] * 4), np.random.default_rng(1)
    moved = world.macro(rng, (3000, 2), 0.02, 0.01)
    still = world.macro(rng, (3000, 2), 0.0, 0.01)
    assert moved.mean() - still.mean() == pytest.approx(0.02, abs=0.001)
    # A common part, and four parts of 0.6 that average out to a quarter of their variance.
    expected = 0.01**2 * (1 + 0.36 / 4) + world.decoding_variance
    assert moved.var() == pytest.approx(expected, rel=0.1)


def test_the_simulated_bootstrap_rejects_as_the_real_one() -> None:
    # Many small studies: 0 outside the real bootstrap's interval, and by the quick one.
    world, rng = World.of([300, 300, 300]), np.random.default_rng(2)
    real, quick = [], []
    for study in range(150):
        shift = rng.normal(0, 0.03, 6)
        drawn = answers(world, rng, shift)
        scores = {f"b{k}": {"a": y[:3], "b": y[3:]} for k, y in enumerate(drawn)}
        items = {name: Items.plain(300) for name in scores}
        low, high = hierarchical(scores, items, 600, study).interval({"b": 1, "a": -1})
        real.append(not low <= 0 <= high)
        macro = np.mean([y.mean(1) for y in drawn], axis=0)
        b, a = macro[None, 3:], macro[None, :3]
        variance = world.decoding_variance
        quick.append(bool(calibration._bootstrap_rejects(b, a, variance, rng)[0]))
    assert 5 < sum(real) < 75
    assert np.mean(np.equal(real, quick)) > 0.93


def test_arms_that_differ_on_single_items_differ_alike_in_all_their_seeds() -> None:
    world, rng = World.of([50] * 12), np.random.default_rng(4)
    macro = world.macro(rng, (20_000, 2), 0.0, 0.0, 0.2)
    between, within = np.cov(macro.T)[0, 1], macro.var(1, ddof=1).mean()
    assert between == pytest.approx(world.interaction_variance(0.2), rel=0.1)
    # Moving a chance up or down by m takes m^2 from the variance of its answer, on average.
    answers_alone = world.decoding_variance - world.interaction_variance(0.2)
    assert within == pytest.approx(answers_alone, rel=0.05)
    assert macro.mean() == pytest.approx(world.macro(rng, (20_000, 2), 0.0, 0.0).mean(), abs=0.001)


def test_more_seeds_do_not_help_against_items_on_which_arms_differ() -> None:
    null = {(r["seeds"], r["limit"], r["interaction"]): r for r in SHIPPED["interactions"]}
    assert null[8, 50, 0.3]["significant"]["welch"] > 0.3  # as the statement in the documentation
    for limit in calibration.LIMITS:
        rates = [null[seeds, limit, 0.3]["significant"]["welch"] for seeds in (3, 5, 8)]
        assert rates == sorted(rates)
    # Items resampled keep the level, for which they are shown.
    assert max(row["significant"]["bootstrap"] for row in null.values()) <= FALSE_POSITIVES


@pytest.mark.parametrize(
    ("effect", "word"), [(0.018, "better"), (-0.018, "worse"), (0.0, "equivalent")]
)
def test_with_many_seeds_the_planted_word_comes_out(effect: float, word: str) -> None:
    world, rng = World.of([2000] * 12), np.random.default_rng(3)
    row = calibration._pair(world, rng, (200, 12), 0.002, effect)
    # "better (within the margin)" may be said of nothing, at alpha.
    assert row.verdicts[word] >= (0.99 if effect else 0.90)


def test_a_calibration_is_the_same_again_and_another_with_another_seed() -> None:
    rates = calibrate([60, 80], 40, 0, lambda _: None)
    assert rates == calibrate([60, 80], 40, 0, lambda _: None)
    assert rates != calibrate([60, 80], 40, 1, lambda _: None)
    assert len(rates.pairs) == 27
    for row in rates.pairs:
        assert sum(row.verdicts.values()) == pytest.approx(1)
        assert 0 <= row.coverage <= 1


def test_what_ships_is_a_full_calibration_that_meets_its_aims() -> None:
    assert SHIPPED["reps"] >= 10_000
    assert SHIPPED["sizes"] == [benchmark(name).declaration.n_items for name in SUITES["vqa12"]]
    nothing = [row for row in SHIPPED["pairs"] if row["effect"] == 0]
    assert {(row["seeds"], row["spread"]) for row in nothing} == {
        (seeds, spread) for seeds in (3, 5, 8) for spread in (0.0, 0.005, 0.01)
    }
    assert max(row["significant"]["welch"] for row in nothing) <= FALSE_POSITIVES
    assert min(row["coverage"] for row in SHIPPED["pairs"]) >= COVERAGE
    # What the field does: with training variance it calls nothing significant far too often.
    naive = [row["significant"]["items"] for row in nothing if row["spread"] == 0.01]
    assert min(naive) > 0.3
    rates = [100 * row["significant"]["bootstrap"] for row in nothing if row["seeds"] == 5]
    assert f"with 5 seeds {min(rates):.1f} to {max(rates):.1f} % false" in bootstrap_errors([7])


def test_the_fewest_seeds_say_how_often_the_bootstrap_errs() -> None:
    # The bootstrap's column at 3 seeds and +0.0 points, in docs/calibration.md.
    measured = "in simulations with 3 seeds 0.3 to 10.0 % false positives (5 % meant)"
    assert bootstrap_errors([8, 3]) == measured
    assert (
        bootstrap_errors([2])
        == bootstrap_errors([5, 2])
        == "with so few seeds its error rates were not measured"
    )


def test_the_documentation_has_the_tables_that_ship() -> None:
    text = (ROOT / "docs" / "calibration.md").read_text()
    for row in SHIPPED["pairs"]:
        cells = [str(row["seeds"]), f"{100 * row['spread']:g}", f"{100 * row['effect']:+.1f}"]
        rates = [*row["verdicts"].values(), row["coverage"]]
        rates += [row["significant"][name] for name in ("welch", "pooled", "bootstrap", "items")]
        cells += [f"{100 * rate:.1f}" for rate in rates]
        assert f"\n| {' | '.join(cells)} |\n" in text
    for row in SHIPPED["studies"]:
        cells = [str(row["seeds"]), f"{100 * row['spread']:g}", row["planted"]]
        steps = ("total", "objective", "placebo", "data_nothing", "data_better")
        cells += [f"{100 * row[step]:.1f}" for step in steps]
        assert f"\n| {' | '.join(cells)} |\n" in text
    for row in SHIPPED["interactions"]:
        cells = [str(row["seeds"]), str(row["limit"] or "all"), f"±{100 * row['interaction']:g}"]
        cells += [f"{100 * row['significant'][name]:.1f}" for name in ("welch", "bootstrap")]
        assert f"\n| {' | '.join(cells)} |\n" in text
    for row in SHIPPED["designs"]:
        cells = [row["design"], ", ".join(map(str, row["seeds"])), f"{row['correlation']:g}"]
        cells += [f"{100 * row[name]:.1f}" for name in ("false_positives", "power")]
        cells.append(f"{row['stopped']:.1f}")
        assert f"\n| {' | '.join(cells)} |\n" in text


def test_designs_have_the_error_and_power_of_closed_forms() -> None:
    rows = [row for row in SHIPPED["designs"] if row["design"] in ("welch", "paired")]
    assert {tuple(row["seeds"]) for row in rows} == {(3,), (5,), (8,)}
    for row in rows:
        (n,), r = row["seeds"], row["correlation"]
        if row["design"] == "paired":  # exact: the non-central t with n - 1 degrees of freedom
            noncentrality = calibration.DESIGN_EFFECT / np.sqrt(2 * (1 - r) / n)
            needed = scipy.stats.t.ppf(0.975, n - 1)
            expected = scipy.stats.nct.sf(needed, n - 1, noncentrality)
            assert row["power"] == pytest.approx(expected, abs=0.015)
            assert row["false_positives"] == pytest.approx(0.05, abs=0.009)
        elif r == 0:
            unit = power.Components(1.0, 0.0)
            expected = power.welch_power(calibration.DESIGN_EFFECT, unit, unit, (n, n))
            assert row["power"] == pytest.approx(expected, abs=0.015)
        assert row["false_positives"] <= FALSE_POSITIVES
    # Planned looks keep the level; unplanned ones do not.
    *planned, unplanned = (row for row in SHIPPED["designs"] if len(row["seeds"]) > 1)
    assert max(row["false_positives"] for row in planned) <= 0.05
    assert unplanned["false_positives"] > 0.11


def test_a_short_calibration_says_where_its_primary_test_stands() -> None:
    from click.testing import CliRunner

    done = CliRunner().invoke(command, ["--reps", "20"], standalone_mode=False)
    rows = [line for line in done.output.splitlines() if line.startswith("| ")]
    # Four heads with their rules; 3 numbers of seeds x 3 spreads x 3 effects, and x 4 sources;
    # x 2 limits x 4 interactions; 2 tests x 3 numbers of seeds x 3 correlations, and 3 with looks.
    assert len(rows) == 4 * 2 + 27 + 36 + 24 + 21
    rates = re.search(r"at most ([\d.]+) % false positives .* at least ([\d.]+) % cov", done.output)
    assert rates is not None
    missed = float(rates[1]) > 100 * FALSE_POSITIVES or float(rates[2]) < 100 * COVERAGE
    assert done.return_value == int(missed)
