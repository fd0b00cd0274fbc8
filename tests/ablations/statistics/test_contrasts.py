"""The algebra of contrasts, the fixed order of tests, and the sentence that comes out."""

from __future__ import annotations

import csv
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ablations.statistics.analysis import analyse
from ablations.statistics.contrasts import (
    BASELINE,
    DATA_CONTROLS,
    METHOD,
    ONE_SEED,
    PLACEBOS,
    Rules,
    judge,
)
from ablations.statistics.design.roles import STANDARD, Design
from ablations.statistics.estimates import Array, Items
from ablations.statistics.lines import Analysis, Line
from ablations.statistics.text.verdict import withheld
from harness.errors import UsageError

(PLACEBO,), (FORM,) = PLACEBOS, STANDARD.named("loss_form")
ARMS = ("base", BASELINE, *DATA_CONTROLS, *PLACEBOS, METHOD)
REAL = "The gain of contextrl over grpo is real on these 2 items"
NOTHING: dict[str, float] = {}
OBJECTIVE = {METHOD: 0.03}
FROM_DATA = dict.fromkeys((METHOD, PLACEBO, *DATA_CONTROLS), 0.03)
BOTH = {**FROM_DATA, METHOD: 0.06}


def macro(
    effects: dict[str, float], arms: tuple[str, ...] = ARMS, sd: float = 0.002
) -> dict[str, Array]:
    """Return per-seed macro averages whose sample means and spreads are exactly as planted."""
    seeds = sd * np.array([-1.0, 0.2, 0.8]) / np.std([-1.0, 0.2, 0.8], ddof=1)
    return {arm: 0.5 + effects.get(arm, 0.0) + seeds for arm in arms}


def single_items(scores: dict[str, Array]) -> tuple[dict[str, dict[str, Array]], dict[str, Items]]:
    """Return per-seed scores as a benchmark of two items that both have the score."""
    return (
        {"b": {arm: np.stack([y, y], axis=1) for arm, y in scores.items()}},
        {"b": Items.plain(2)},
    )


def analysed(
    effects: dict[str, float], arms: tuple[str, ...] = ARMS, sd: float = 0.002
) -> Analysis:
    return analyse(*single_items(macro(effects, arms, sd)), Rules(resamples=200))


def by_name(analysis: Analysis) -> dict[str, Line]:
    return {line.name: line for line in analysis.contrasts}


def test_the_contrasts_are_those_of_the_order() -> None:
    assert [(contrast.kind, contrast.name) for contrast in STANDARD.contrasts((*ARMS, FORM))] == [
        ("total", "contextrl - grpo"),
        ("objective", "contextrl - da-rl"),
        ("objective", "contextrl - da-sft"),
        ("objective", "contextrl - da-qa"),
        ("placebo", "contextrl - contextrl-shuffled"),
        ("data", "da-rl - grpo"),
        ("data", "da-sft - grpo"),
        ("data", "da-qa - grpo"),
        ("form", "contextrl - da-joint-sft"),
    ]
    assert [contrast.kind for contrast in STANDARD.contrasts((BASELINE, "da-rl"))] == ["data"]
    assert STANDARD.contrasts(("base", METHOD)) == ()


@pytest.mark.parametrize(
    ("effects", "begins", "words"),
    [
        (NOTHING, "No gain of contextrl over grpo is shown", ["equivalent", None, None, None]),
        (
            OBJECTIVE,
            f"{REAL} and comes from the objective, not from the data",
            ["better", "better", "better", "equivalent"],
        ),
        (
            FROM_DATA,
            f"{REAL}, but the objective adds nothing to what",
            ["better", "equivalent", None, None],
        ),
        (
            BOTH,
            f"{REAL} and comes from the objective and from the data",
            ["better", "better", "better", "better"],
        ),
        ({METHOD: -0.03}, "contextrl loses to grpo", ["worse", None, None, None]),
        (
            {METHOD: 0.03, PLACEBO: 0.03},
            f"{REAL} and more than its data gives, but the placebo",
            ["better", "better", "equivalent", None],
        ),
    ],
)
def test_each_planted_source_gets_its_sentence(
    effects: dict[str, float], begins: str, words: list[str | None]
) -> None:
    analysis = analysed(effects)
    assert analysis.verdict.startswith(begins)
    for kind, word in zip(("total", "objective", "placebo", "data"), words, strict=True):
        lines = [line for line in analysis.contrasts if line.kind == kind]
        assert {line.verdict for line in lines} == {word}
        assert {line.tested for line in lines} == {word is not None}
        assert all((line.p is None) == (word is None) for line in lines)
        expected = f"{kind} {word}" if word else f"{kind} not tested"
        assert expected in analysis.verdict


def test_one_data_arm_that_is_not_beaten_holds_up_the_objective() -> None:
    analysis = analysed({METHOD: 0.03, "da-sft": 0.03})
    lines = by_name(analysis)
    assert lines["contextrl - da-rl"].verdict == "better"
    assert lines["contextrl - da-sft"].verdict == "equivalent"
    assert "objective inconclusive as a whole" in analysis.verdict
    assert not lines["contextrl - contextrl-shuffled"].tested
    assert "but it is not shown to come from the objective" in analysis.verdict


def closely(
    effects: dict[str, float], arms: tuple[str, ...] = ARMS, single: tuple[str, ...] = ()
) -> Analysis:
    """Analyse seeds that hardly vary, so that 0.3 points are seen; ``single`` arms have one."""
    scores, items = single_items(macro(effects, arms, sd=0.0004))
    for arm in single:
        scores["b"][arm] = scores["b"][arm][:1]
    return analyse(scores, items, Rules(resamples=20))


def headline(analysis: Analysis) -> str:
    return analysis.verdict.partition(": ")[0]


@pytest.mark.parametrize(
    ("effects", "source", "step"),
    [
        # Significant and inside the margin of 0.9 points, on either side of 0, for all or for some.
        (
            dict.fromkeys(DATA_CONTROLS, -0.003),
            "not from the data",
            "data worse (within the margin)",
        ),
        ({"da-sft": -0.003}, "not from the data", "data mixed"),
        (
            dict.fromkeys(DATA_CONTROLS, 0.003),
            "and what the data adds lies within the margin",
            "data better (within the margin)",
        ),
        ({"da-sft": 0.003}, "and what the data adds lies within the margin", "data mixed"),
        ({"da-sft": 0.015}, "and from the data", "data mixed"),
    ],
)
def test_what_a_small_difference_of_the_data_arms_is_called(
    effects: dict[str, float], source: str, step: str
) -> None:
    analysis = closely({METHOD: 0.03, **effects})
    assert headline(analysis).startswith(f"{REAL} and comes from the objective")
    assert headline(analysis).endswith(source)
    assert f"; {step} (" in analysis.verdict


def test_a_small_gain_is_called_small() -> None:
    analysis = closely({METHOD: 0.003})
    small = REAL.replace("real", "real (within the margin)")
    assert headline(analysis).startswith(f"{small} and comes from the objective")


def test_one_data_arm_of_several_must_be_better_after_holm() -> None:
    # One of three with p between 0.05 / 3 and 0.05: of three arms without any gain, one looks
    # better than grpo at 0.05 in 6 % of studies.
    lines = by_name(analysed({METHOD: 0.03, "da-sft": 0.0055}))
    line = lines["da-sft - grpo"]
    scores = macro({"da-sft": 0.0055})
    p = stats.ttest_ind(scores["da-sft"], scores[BASELINE], equal_var=False).pvalue
    assert 0.05 / 3 < p < 0.05
    assert (line.p, line.p_holm) == (pytest.approx(p), pytest.approx(3 * p))
    assert line.verdict == "equivalent"
    assert lines["contextrl - grpo"].p_holm is None
    alone = by_name(analysed({METHOD: 0.03, "da-sft": 0.0055}, (BASELINE, "da-sft", METHOD)))
    assert alone["da-sft - grpo"].verdict == "better (within the margin)"


def test_of_three_data_arms_without_a_gain_one_is_called_better_in_few_studies() -> None:
    rng = np.random.default_rng(11)
    gains = {METHOD: 40.0}  # seed standard deviations: the order is open
    scores = {arm: rng.normal(gains.get(arm, 0.0), 1, (20_000, 5)) for arm in ARMS}
    data = [
        judgement
        for judgement in judge(scores, Rules(margin=1e-6))
        if judgement.contrast.kind == "data"
    ]
    assert all(judgement.tested.mean() > 0.99 for judgement in data)
    # Of the 5 % (both directions) at most half are gains; 4 standard errors of 20,000 studies.
    called = np.logical_or.reduce([judgement.verdicts == "better" for judgement in data]).mean()
    assert called < 0.025 + 4 * math.sqrt(0.025 / 20_000)


def test_an_untested_contrast_says_nothing_of_benchmarks_either() -> None:
    analysis = analysed({"da-rl": -0.05})
    assert by_name(analysis)["contextrl - grpo"].benchmarks[0].verdict == "equivalent"
    for line in analysis.contrasts[1:]:
        (benchmark,) = line.benchmarks
        assert (line.tested, benchmark.p, benchmark.p_holm, benchmark.verdict) == (
            False,
            None,
            None,
            None,
        )
        assert benchmark.low is not None


@pytest.mark.parametrize(
    ("single", "closed"),
    [
        (BASELINE, ("objective", "placebo", "data")),
        ("da-sft", ("placebo", "data")),
        (PLACEBO, ("data",)),
    ],
)
def test_an_arm_with_one_seed_holds_up_the_order(single: str, closed: tuple[str, ...]) -> None:
    analysis = closely({METHOD: 0.03}, single=(single,))
    for line in analysis.contrasts:
        assert line.tested == (line.kind not in closed and single not in (line.plus, line.minus))
    if single == "da-sft":
        assert "objective inconclusive as a whole (" in analysis.verdict
        assert "not tested, contextrl - da-qa" in analysis.verdict


def test_what_was_not_compared_stands_beside_the_claim() -> None:
    whole = headline(closely(OBJECTIVE))
    fewer = headline(closely(OBJECTIVE, (BASELINE, "da-rl", METHOD)))
    assert fewer == f"{whole} (not compared with base, da-sft, da-qa, contextrl-shuffled)"
    # Nothing is claimed of the objective: nothing is to be added.
    assert "not compared" not in closely(FROM_DATA, (BASELINE, "da-rl", METHOD)).verdict


def test_a_share_goes_by_the_planned_variance() -> None:
    scores = macro(BOTH)
    scores["da-qa"] = 0.53 + 10 * (scores["da-qa"] - 0.53)  # one arm that varies far more
    analysis = analyse(*single_items(scores), Rules(variance="pooled", resamples=20))
    term = next(term for term in analysis.waterfall if term.arm == "da-rl")
    # Fieller by its definition, with one variance of six trained arms and 12 degrees of freedom.
    variance = np.mean([y.var(ddof=1) for arm, y in scores.items() if arm != "base"]) / 3
    t = stats.t.ppf(0.975, 12)
    for bound in (term.share_low, term.share_high):
        assert bound is not None
        se = math.sqrt(variance * ((1 - bound) ** 2 + 1 + bound**2))
        assert abs(0.03 - bound * 0.06) == pytest.approx(t * se, rel=1e-6)


def test_a_control_that_collapsed_cannot_tell_the_source() -> None:
    # The paper's picture: da-sft collapses on the task.
    analysis = analysed({METHOD: 0.03, "da-sft": -0.2})
    assert by_name(analysis)["da-sft - grpo"].verdict == "worse"
    assert headline(analysis) == (
        f"{REAL}, but its source cannot be judged, because da-sft loses to grpo beyond the margin"
    )
    assert "comes from" not in analysis.verdict


# What the arms reach above or below grpo, in points -> the conclusion.
CONSTELLATIONS: list[tuple[dict[str, int], str]] = [
    # Training lost ten points and the method five: nothing was gained.
    (
        {"base": 10, METHOD: 5},
        "contextrl is better than grpo on these 2 items, but it loses to base, so nothing was",
    ),
    (
        {"base": 5, METHOD: 5},
        "contextrl is better than grpo on these 2 items, but it is equivalent",
    ),
    ({"base": -5, METHOD: 5}, f"{REAL} and comes from the objective, not from the data"),
    ({"base": -5, METHOD: -5}, "contextrl loses to grpo on these 2 items"),
    ({"base": -5}, "No gain of contextrl over grpo is shown"),
    (
        {METHOD: 5, **dict.fromkeys(DATA_CONTROLS, -30)},
        f"{REAL}, but its source cannot be judged, because da-rl, da-sft, da-qa lose to grpo",
    ),
    ({METHOD: 5, "da-qa": -30}, f"{REAL}, but its source cannot be judged, because da-qa loses"),
    (
        {METHOD: 5, PLACEBO: -30},
        f"{REAL} and more than its data gives, but its source cannot be judged, because {PLACEBO}",
    ),
    ({METHOD: 5, PLACEBO: 5}, f"{REAL} and more than its data gives, but the placebo is not shown"),
    (  # Without the information in the pairs, the loss gains half of it.
        {METHOD: 10, PLACEBO: 5},
        f"{REAL} and comes from the objective, not from the data ({PLACEBO} gains over grpo, too)",
    ),
    ({METHOD: 5, "da-rl": 5}, f"{REAL}, but it is not shown to come from the objective"),
    (dict.fromkeys((METHOD, *DATA_CONTROLS), 5), f"{REAL}, but the objective adds nothing"),
]


@pytest.mark.parametrize(("levels", "begins"), CONSTELLATIONS)
def test_every_constellation_of_means_has_its_conclusion(
    levels: dict[str, int], begins: str
) -> None:
    analysis = analysed({arm: level / 100 for arm, level in levels.items()})
    assert headline(analysis).startswith(begins)
    # What a control is shown to have lost is not said to be possible, too.
    for arm, level in levels.items():
        assert not (level == -30 and f"a loss of {arm} to" in analysis.verdict)
    # Every arm is reported relative to the base.
    for arm in set(ARMS) - {"base"}:
        difference = levels.get(arm, 0) - levels.get("base", 0)
        assert f"{arm} - base {difference:+.1f} points" in analysis.verdict


@pytest.mark.parametrize(
    ("levels", "reasons"),
    [
        ({METHOD: 5}, {"total": "", "objective": "", "placebo": "", "data": ""}),
        (
            {METHOD: 5, "base": 10},
            dict.fromkeys(("total", "objective", "placebo"), "not better than base"),
        ),
        (
            {METHOD: 5, "da-sft": -30},
            {"total": "", "objective": "failed control: da-sft", "placebo": ""},
        ),
        ({METHOD: 5, PLACEBO: -30}, {"objective": "", "placebo": f"failed control: {PLACEBO}"}),
        ({METHOD: -5, "base": 10}, {"total": ""}),  # not better anyway
    ],
)
def test_a_step_whose_claim_is_withheld_says_why(
    levels: dict[str, int], reasons: dict[str, str]
) -> None:
    analysis = analysed({arm: level / 100 for arm, level in levels.items()})
    for kind, reason in reasons.items():
        step = [line for line in analysis.contrasts if line.kind == kind]
        assert withheld(step, analysis.checks) == reason, kind


LEVEL = st.sampled_from((-0.2, -0.05, 0.0, 0.05, 0.2))


@given(st.fixed_dictionaries({arm: LEVEL for arm in ARMS if arm != BASELINE}))
@settings(deadline=None, max_examples=60)
def test_the_objective_gets_a_gain_only_where_every_check_holds(levels: dict[str, float]) -> None:
    verdict = closely(levels).verdict
    means = {BASELINE: 0.0, **levels}
    gain = means[METHOD]
    sound = all(means[arm] >= 0 for arm in DATA_CONTROLS)
    over_data = all(gain > means[arm] for arm in DATA_CONTROLS)
    over_placebo = means[PLACEBO] >= 0 and gain > means[PLACEBO]
    real = gain > max(0, means["base"])
    assert ("is real" in verdict) == real
    assert ("comes from the objective" in verdict) == (
        real and sound and over_data and over_placebo
    )
    assert ("loses to grpo on" in verdict) == (gain < 0)
    assert ("it loses to base" in verdict) == (0 < gain < means["base"])


def test_a_start_of_one_seed_is_a_fixed_model() -> None:
    scores, items = single_items(macro({METHOD: 0.03}))
    scores["b"]["base"] = scores["b"]["base"][:1]
    (line,) = (
        line
        for line in analyse(scores, items, Rules(resamples=20)).checks
        if line.name == f"{METHOD} - base"
    )
    plus, start = scores["b"][METHOD].mean(1), scores["b"]["base"].mean()
    reference = stats.ttest_1samp(plus - start, 0)
    bounds = reference.confidence_interval(0.95)
    assert line.p == pytest.approx(reference.pvalue)
    assert (line.low, line.high) == (pytest.approx(bounds.low), pytest.approx(bounds.high))


def test_equivalence_is_shown_by_the_interval_of_its_test() -> None:
    scores = macro(NOTHING)
    total = by_name(analysed(NOTHING))["contextrl - grpo"]
    reference = stats.ttest_ind(scores[METHOD], scores[BASELINE], equal_var=False)
    bounds = reference.confidence_interval(0.90)
    assert (total.tost_low, total.tost_high) == (
        pytest.approx(bounds.low), pytest.approx(bounds.high),
    )  # fmt: skip
    text = f"contextrl - grpo +0.0 points [{100 * bounds.low:+.1f}, {100 * bounds.high:+.1f}] "
    assert f"total equivalent within 0.9 points ({text}(90 % interval))" in (
        analysed(NOTHING).verdict
    )


@given(st.floats(-0.02, 0.02), st.floats(0.0005, 0.01))
@settings(deadline=None, max_examples=20)
def test_a_difference_is_equivalent_only_where_its_90_percent_interval_is_within_the_margin(
    gain: float, sd: float
) -> None:
    total = by_name(analysed({METHOD: gain}, (BASELINE, METHOD), sd=sd))["contextrl - grpo"]
    assert total.tost_low is not None
    assert total.tost_high is not None
    inside = total.tost_low > -0.009 and total.tost_high < 0.009
    small = ("equivalent", "better (within the margin)", "worse (within the margin)")
    assert (total.verdict in small) == inside


def by_benchmark(gains: dict[str, float], items: int = 40) -> Analysis:
    """Analyse grpo and contextrl, which differ by these gains on the benchmarks of these names."""
    rng = np.random.default_rng(5)
    seeds = 0.002 * np.array([-1.0, 0.2, 0.8])
    easy = rng.random(items)
    scores = {
        name: {
            arm: np.clip(0.5 * easy + 0.3 + up + seeds[:, None], 0, 1)
            for arm, up in ((BASELINE, 0.0), (METHOD, gain))
        }
        for name, gain in gains.items()
    }
    return analyse(scores, {name: Items.plain(items) for name in gains}, Rules(resamples=200))


@pytest.mark.parametrize(
    ("gains", "losses"),
    [
        ({"a": 0.18, "b": -0.05, "c": -0.05}, ", with losses on b, c,"),
        ({"a": 0.18, "b": 0.1, "c": 0.1}, ""),
        ({"a": 0.05, "b": -0.05, "c": 0.0}, ", with losses on b"),
    ],
)
def test_benchmarks_that_lose_are_named_in_the_verdict(
    gains: dict[str, float], losses: str
) -> None:
    conclusion = headline(by_benchmark(gains))
    assert losses in conclusion
    assert ("losses" in conclusion) == bool(losses)


def test_a_gain_of_a_few_items_is_not_shown_for_new_items() -> None:
    # Three of 40 items are gained by every seed: certain here, and hardly known elsewhere.
    scores = {BASELINE: np.zeros((3, 40)), METHOD: np.zeros((3, 40))}
    scores[METHOD][:, :2] = 1
    scores[BASELINE][0, 5] = scores[METHOD][1, 6] = 1
    analysis = analyse({"b": scores}, {"b": Items.plain(40)}, Rules(resamples=400))
    (total,) = analysis.contrasts
    assert total.verdict == "better"
    assert total.boot_low is not None
    assert total.boot_low <= 0
    assert "is real on these 40 items (not shown for new items), " in analysis.verdict


def test_a_control_that_may_have_lost_is_named() -> None:
    scores = macro({METHOD: 0.2})
    scores["da-rl"] = 0.5 + 0.03 * (scores["da-rl"] - 0.5) / 0.002  # sd 3 points: nothing is known
    analysis = analyse(*single_items(scores), Rules(resamples=20))
    assert headline(analysis).endswith(
        "comes from the objective, whether or not the data adds to it (a loss of da-rl to grpo "
        "beyond the margin is not excluded)"
    )


def test_a_wide_spread_is_inconclusive_and_stops_the_order() -> None:
    analysis = analysed(OBJECTIVE, sd=0.03)
    assert [line.verdict for line in analysis.contrasts] == ["inconclusive", *[None] * 7]
    assert analysis.verdict.startswith(
        "No gain of contextrl over grpo is shown: total inconclusive"
    )


def test_numbers_of_a_line_are_scipys() -> None:
    scores = macro(OBJECTIVE)
    total = by_name(analysed(OBJECTIVE))["contextrl - grpo"]
    reference = stats.ttest_ind(scores[METHOD], scores[BASELINE], equal_var=False)
    interval = reference.confidence_interval(0.95)
    assert total.delta == pytest.approx(0.03)
    assert (total.low, total.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert total.p == pytest.approx(reference.pvalue)
    (line,) = total.benchmarks
    assert (line.p, line.p_holm) == (total.p, total.p)
    # Arms of equal spread: pooling the six trained ones has 12 degrees of freedom.
    half = stats.t.ppf(0.975, 12) * 0.002 * math.sqrt(2 / 3)
    assert total.alt_variance_high == pytest.approx(0.03 + half)


SEED = st.integers(0, 2**32 - 1)


def random_study(seed: int) -> tuple[dict[str, dict[str, Array]], dict[str, Items]]:
    rng = np.random.default_rng(seed)
    sizes = {"one": 12, "two": 30}
    scores = {name: {arm: rng.random((3, n)) for arm in ARMS} for name, n in sizes.items()}
    items = {
        name: Items(rng.integers(0, 8, n), np.ones((n, 1), dtype=bool)) for name, n in sizes.items()
    }
    return scores, items


@given(SEED)
@settings(deadline=None, max_examples=4)
def test_total_is_objective_plus_data_through_every_data_arm(seed: int) -> None:
    analysis = analyse(*random_study(seed), Rules(resamples=20))
    lines = by_name(analysis)
    assert [term.arm for term in analysis.waterfall] == list(DATA_CONTROLS)
    for term in analysis.waterfall:
        assert term.total == pytest.approx(term.objective + term.data, abs=1e-12)
        assert term.total == pytest.approx(lines["contextrl - grpo"].delta)
        assert term.objective == pytest.approx(lines[f"contextrl - {term.arm}"].delta)
        assert term.data == pytest.approx(lines[f"{term.arm} - grpo"].delta)


@given(SEED, st.sampled_from(ARMS))
@settings(deadline=None, max_examples=4)
def test_a_dropped_arm_changes_no_other_contrast(seed: int, dropped: str) -> None:
    scores, items = random_study(seed)
    fewer = {n: {arm: y for arm, y in arms.items() if arm != dropped} for n, arms in scores.items()}
    whole = by_name(analyse(scores, items, Rules(resamples=20)))
    numbers = ("delta", "low", "high", "mde")
    for name, line in by_name(analyse(fewer, items, Rules(resamples=20))).items():
        assert dropped not in (line.plus, line.minus)
        # What is tested may change: the step before may be the one that was dropped.
        pairs = [
            (line, whole[name]),
            *zip(line.benchmarks, whole[name].benchmarks, strict=True),
        ]
        for kept, before in pairs:
            for number in numbers:
                assert getattr(kept, number) == getattr(before, number)
        # The same draws; a matrix of other width is summed in another order, in single precision.
        before = whole[name]
        assert line.boot_low == pytest.approx(before.boot_low, abs=1e-6)
        assert line.boot_high == pytest.approx(before.boot_high, abs=1e-6)


@given(SEED, st.sampled_from(ARMS))
@settings(deadline=None, max_examples=4)
def test_a_dropped_arm_changes_no_difference_where_variance_is_pooled(
    seed: int, dropped: str
) -> None:
    """The one variance is of the arms that are there, so intervals move: by it, and no further."""
    scores, items = random_study(seed)
    fewer = {n: {arm: y for arm, y in arms.items() if arm != dropped} for n, arms in scores.items()}
    whole = by_name(analyse(scores, items, Rules(variance="pooled", resamples=20)))
    macros = {
        arm: np.mean([items[n].mean(arms[arm]) for n, arms in fewer.items()], axis=0)
        for arm in ARMS
        if arm != dropped
    }
    trained = [y for arm, y in macros.items() if arm != "base"]
    se = math.sqrt(np.mean([y.var(ddof=1) for y in trained]) * 2 / 3)
    half = stats.t.ppf(0.975, 2 * len(trained)) * se
    for name, line in by_name(
        analyse(fewer, items, Rules(variance="pooled", resamples=20))
    ).items():
        assert line.delta == whole[name].delta
        assert [benchmark.delta for benchmark in line.benchmarks] == [
            b.delta for b in whole[name].benchmarks
        ]
        assert (line.low, line.high) == (
            pytest.approx(line.delta - half),
            pytest.approx(line.delta + half),
        )


@given(SEED)
@settings(deadline=None, max_examples=3)
def test_the_order_of_items_seeds_and_benchmarks_says_nothing(seed: int) -> None:
    scores, items = random_study(seed)
    rng = np.random.default_rng(seed)
    turned: dict[str, dict[str, Array]] = {}
    turned_items = {}
    seeds = {arm: rng.permutation(3) for arm in ARMS}
    for name in reversed(scores):
        order = rng.permutation(items[name].clusters.size)
        turned[name] = {arm: y[seeds[arm]][:, order] for arm, y in scores[name].items()}
        turned_items[name] = Items(items[name].clusters[order], items[name].parts[order])
    analysis = analyse(scores, items, Rules(resamples=20))
    other = analyse(turned, turned_items, Rules(resamples=20))
    assert other.verdict == analysis.verdict
    for a, b in zip(analysis.contrasts, other.contrasts, strict=True):
        assert [b.delta, b.low, b.high, b.mde] == pytest.approx([a.delta, a.low, a.high, a.mde])
    for x, y in zip(analysis.arms, other.arms, strict=True):
        assert y.training_sd == pytest.approx(x.training_sd)
        assert y.decoding_sd == pytest.approx(x.decoding_sd)


def test_missing_arms_shrink_what_is_tested() -> None:
    analysis = analysed(OBJECTIVE, (BASELINE, "da-rl", METHOD))
    assert [line.kind for line in analysis.contrasts] == ["total", "objective", "data"]
    assert all(line.tested for line in analysis.contrasts)
    assert analysis.missing == ("da-sft", "da-qa", PLACEBO)
    assert "placebo missing" in analysis.verdict
    roles = {BASELINE: "baseline", METHOD: "method"}  # a study that has no other steps
    scores = single_items(macro(OBJECTIVE, (BASELINE, METHOD), 0.002))
    own = analyse(*scores, Rules(resamples=200), design=Design.of(roles))
    assert own.missing == ()
    assert "missing" not in own.verdict
    assert "without a data arm its source cannot be judged" in own.verdict
    without_data = analysed(OBJECTIVE, (BASELINE, PLACEBO, METHOD))
    assert "without a data arm its source cannot be judged" in without_data.verdict
    without_start = analysed(OBJECTIVE, ("da-rl", METHOD))
    assert without_start.verdict.startswith("No gain of contextrl over grpo can be judged without")
    assert without_start.waterfall == ()
    alone = analysed(OBJECTIVE, ("base", METHOD))
    assert alone.verdict.startswith("No verdict: base, contextrl alone make no contrast")
    assert alone.contrasts == ()
    assert [line.arm for line in alone.arms] == ["base", METHOD]


def test_shares_are_there_only_where_there_is_a_total() -> None:
    terms = {term.arm: term for term in analysed(BOTH).waterfall}
    assert terms["da-rl"].share == pytest.approx(0.5)
    low, high = terms["da-rl"].share_low, terms["da-rl"].share_high
    assert low is not None
    assert high is not None
    assert low < 0.5 < high
    assert all(term.share is None for term in analysed(NOTHING).waterfall)


def test_one_seed_has_no_verdict() -> None:
    scores, items = random_study(1)
    single = {n: {arm: y[:1] for arm, y in arms.items()} for n, arms in scores.items()}
    analysis = analyse(single, items, Rules(resamples=20))
    assert analysis.verdict == f"No verdict: {ONE_SEED}."
    assert {(line.verdict, line.tested, line.p) for line in analysis.contrasts} == {
        (None, False, None)
    }
    total = analysis.contrasts[0]
    deltas = [items[n].mean(arms[METHOD][0] - arms[BASELINE][0]) for n, arms in single.items()]
    assert total.delta == pytest.approx(np.mean(deltas))
    assert total.low is not None
    assert total.low < total.delta


def test_an_arm_with_one_seed_is_an_estimate_among_tested_arms() -> None:
    scores, items = single_items(macro(OBJECTIVE))
    scores["b"]["da-sft"] = scores["b"]["da-sft"][:1]
    analysis = analyse(scores, items, Rules(resamples=20))
    lines = by_name(analysis)
    assert lines["contextrl - da-rl"].verdict == "better"
    assert (lines["contextrl - da-sft"].verdict, lines["contextrl - da-sft"].tested) == (
        None,
        False,
    )
    assert "not shown to come from the objective" in analysis.verdict


def test_many_studies_at_once_are_judged_as_one_by_one() -> None:
    rng = np.random.default_rng(4)
    scores = {arm: rng.normal(BOTH.get(arm, 0.0), 0.02, (60, 3)) for arm in ARMS}
    together = judge(scores, Rules())
    for k in range(60):
        alone = judge({arm: y[k] for arm, y in scores.items()}, Rules())
        for many, single in zip(together, alone, strict=True):
            assert (many.verdicts[k], many.tested[k]) == (single.verdicts, single.tested)


def test_the_printed_averages_of_the_paper_are_our_macro_averages(shared: Path) -> None:
    text = (shared / "data" / "paper" / "vqa12.csv").read_text().splitlines()
    *rows, printed = list(csv.DictReader(text))
    for model in ("qwen2.5-vl-7b", "qwen3-vl-8b"):
        scores = {
            row["benchmark"]: {
                arm: np.array([[float(row[f"{model}/{arm}"]) / 100]]) for arm in (BASELINE, METHOD)
            }
            for row in rows
        }
        analysis = analyse(scores, {name: Items.plain(1) for name in scores}, Rules(resamples=20))
        for line in analysis.arms:
            assert 100 * line.mean == pytest.approx(
                float(printed[f"{model}/{line.arm}"]), abs=0.051
            )
        assert ONE_SEED in analysis.verdict


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"margin": 0.01}, "at most half"),
        ({"margin": 0.0}, "above 0"),
        ({"alpha": 0.0}, "alpha"),
        ({"variance": "students"}, "welch, pooled or paired"),
        ({"power": 1.0}, "power"),
        ({"power": 0.05}, "power"),
        ({"effect_size": float("inf")}, "effect size is inf points"),
        ({"effect_size": float("nan")}, "at most half"),
        ({"effect_size": 1.01}, "101 points: at most 100"),
    ],
)
def test_rules_that_mean_nothing_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Rules(**wrong)  # type: ignore[arg-type]


def test_the_pooled_variance_may_be_chosen_beforehand() -> None:
    scores, items = single_items(macro(OBJECTIVE))
    chosen = by_name(analyse(scores, items, Rules(variance="pooled", resamples=20)))
    default = by_name(analyse(scores, items, Rules(resamples=20)))
    for name, line in chosen.items():
        assert (line.low, line.high) == (
            default[name].alt_variance_low,
            default[name].alt_variance_high,
        )
        assert (line.alt_variance_low, line.alt_variance_high) == (
            default[name].low,
            default[name].high,
        )


def test_no_two_arms_share_their_draws() -> None:
    # Every pair of arms differs in the bootstrap's draws of seeds.
    from ablations.statistics.simulation.bootstrap import hierarchical

    scores, items = random_study(3)
    drawn = hierarchical(scores, items, 500).weights
    for a, b in combinations(ARMS, 2):
        assert abs(np.corrcoef(drawn[a][:, 0], drawn[b][:, 0])[0, 1]) < 0.2
