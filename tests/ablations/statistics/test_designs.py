"""What a plan may choose to get more from its trainings: pairs, looks, repeats, and their power."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ablations.arms import ARMS, MATCHINGS, Matching, arm, drawn_alike
from ablations.cli.ablate import designs_text
from ablations.statistics import estimates
from ablations.statistics.analysis import analyse
from ablations.statistics.contrasts import BASELINE, METHOD, PLACEBOS, Rules
from ablations.statistics.design import looks, power
from ablations.statistics.estimates import Components, Items
from ablations.study.designs import Design, cheapest, correlation_of, designs
from ablations.study.forecast import Forecast, Timing, planned_repeats
from ablations.study.jobs import Job, Outcome
from ablations.study.plan import ArmPlan, Plan, Request, plan
from ablations.study.study import Measured, aligned, study
from ablations.training.matching import Sizes, amounts
from harness.errors import UsageError
from tests.ablations.conftest import HIGH, LOW, names_of
from tests.planted import BENCHMARKS

RNG = np.random.default_rng(11)
TRAINED = (BASELINE, METHOD)


def planned(
    folder: Path, rules: Rules, matching: Matching = "steps", seeds: int = 3, *run_args: str
) -> Plan:
    arms = tuple(ArmPlan(name, "train", seeds) for name in TRAINED)
    request = Request(folder, "vqa12", benchmarks=BENCHMARKS, matching=matching, rules=rules,
                      seeds=seeds, run_args=run_args)  # fmt: skip
    return Plan(request, None, {}, dict.fromkeys(BENCHMARKS), arms)


def forecast(seeds: int = 3, decoding_sd: float = 0.006, training_sd: float = 0.008) -> Forecast:
    trained = dict.fromkeys(TRAINED, seeds)
    steps = dict.fromkeys(TRAINED, 60)
    return Forecast(2 * seeds, 2 * seeds + 1, 600, seeds, training_sd, decoding_sd, None, None,
                    None, None, (), steps, trained, Timing(10, 1), Timing(20, 0.1))  # fmt: skip


def test_paired_is_scipys() -> None:
    a, b = RNG.normal(size=(2, 6))
    estimate, reference = estimates.paired(a, b), stats.ttest_rel(a, b)
    interval = reference.confidence_interval(0.95)
    assert estimate.p == pytest.approx(reference.pvalue)
    assert estimate.interval() == (pytest.approx(interval.low), pytest.approx(interval.high))
    for other in (b[:5], b[:1]):
        with pytest.raises(ValueError, match="same two or more seeds"):
            estimates.paired(a, other)


def test_a_paired_share_ends_where_the_paired_test_of_its_line_has_p_of_alpha() -> None:
    gain, reused, start = RNG.normal((0.56, 0.53, 0.50), 0.004, (5, 3)).T
    ratio = estimates.paired_share(gain, reused, start)
    assert ratio.value == pytest.approx((gain - reused).mean() / (gain - start).mean())
    for end in (ratio.low, ratio.high):  # Fieller: objective - share * total differs from 0 by p
        assert end is not None
        assert stats.ttest_1samp(gain - reused - end * (gain - start), 0).pvalue == pytest.approx(
            0.05
        )


@pytest.mark.parametrize("matching", MATCHINGS)
def test_arms_are_alike_where_they_are_given_the_same_rl_items(matching: Matching) -> None:
    sizes = Sizes(64, 32, 8, 4, 4, prompt_tokens=50, completion_tokens=20, selection_tokens=90,
                  qa_tokens=40)  # fmt: skip
    for a, b in combinations([each for each in ARMS.values() if each.grpo], 2):
        first, second = (amounts(each, matching, sizes) for each in (a, b))
        same = (first.prompts, first.rl_steps) == (second.prompts, second.rl_steps)
        among = a.extra is not None or b.extra is not None  # pairs among the items move them
        assert drawn_alike(a, b, matching) == (same and (matching == "steps" or not among)), (a, b)
    assert not drawn_alike(arm("base"), arm("grpo"), matching)
    assert not drawn_alike(arm("ca-only"), arm("contextrl"), matching)


def test_paired_contrasts_are_tested_seed_by_seed_and_the_others_by_welch() -> None:
    arms = (BASELINE, METHOD, *PLACEBOS)
    order = RNG.normal(0, 0.02, 5)
    scores = {
        name: {each: (0.5 + 0.02 * (each == METHOD) + order + RNG.normal(0, 0.004, 5))[:, None]
               for each in arms}
        for name in ("mathverse", "phyx")
    }  # fmt: skip
    total, placebo = "contextrl - grpo", "contextrl - contextrl-shuffled"
    rules = Rules(variance="paired", paired=(total,), resamples=20)
    lines = {
        line.name: line
        for line in analyse(scores, {n: Items.plain(1) for n in scores}, rules).contrasts
    }
    macro = {each: np.mean([y[each][:, 0] for y in scores.values()], axis=0) for each in arms}
    assert lines[total].test == "paired t"
    assert lines[total].p == pytest.approx(stats.ttest_rel(macro[METHOD], macro[BASELINE]).pvalue)
    assert (lines[placebo].test, lines[total].benchmarks[0].test) == ("Welch t", "paired t")
    # The same rule holds for the checks.
    check = "contextrl-shuffled - grpo"
    for named, test in (((total,), "Welch t"), ((total, check), "paired t")):
        (line,) = analyse(
            scores, {n: Items.plain(1) for n in scores}, replace(rules, paired=named)
        ).checks
        assert (line.name, line.test) == (check, test)
    assert line.p == pytest.approx(
        stats.ttest_rel(macro["contextrl-shuffled"], macro[BASELINE]).pvalue
    )
    y = scores["phyx"]
    expected = stats.ttest_rel(y[METHOD][:, 0], y[BASELINE][:, 0]).pvalue
    assert lines[total].benchmarks[1].p == pytest.approx(expected)
    welch = [*map(float, estimates.welch(macro[METHOD], macro[BASELINE]).interval())]
    assert [lines[total].alt_variance_low, lines[total].alt_variance_high] == pytest.approx(welch)


def test_a_plan_pairs_only_arms_that_draw_alike(text_world: Path, tmp_path: Path) -> None:
    def asked(matching: Matching, *arms: str, **changes: Any) -> Plan:
        rules = Rules(variance="paired")
        given = {"model": str(text_world / "model"), "pairs": "micro", "rl_data": "micro"}
        request = Request(tmp_path, "niah", arms=arms, matching=matching, rules=rules, **given)
        return plan(replace(request, **changes))

    by_steps = asked("steps", "base", BASELINE, METHOD, *PLACEBOS)
    names = ["contextrl - grpo", "contextrl - contextrl-shuffled"]
    # The placebo's check against the baseline, too; against the base there is nothing to pair.
    paired = [*names, "contextrl-shuffled - grpo"]
    assert list(by_steps.content["rules"]["paired"]) == paired
    # A plan that an older version stored, without pairs in the checks, keeps its hash.
    rules = replace(by_steps.request.rules, paired=tuple(names))
    older = replace(by_steps, request=replace(by_steps.request, rules=rules))
    (tmp_path / "plan.json").write_text(json.dumps({"hash": older.hash}))
    assert asked("steps", "base", BASELINE, METHOD, *PLACEBOS).hash == older.hash != by_steps.hash
    (tmp_path / "plan.json").unlink()
    by_instances = asked("instances", BASELINE, METHOD, *PLACEBOS)
    assert list(by_instances.content["rules"]["paired"]) == names[1:]
    with pytest.raises(UsageError, match=r"no contrast is of two arms .* \(matching instances\)"):
        asked("instances", BASELINE, METHOD)
    external = {METHOD: (text_world / "model",)}
    with pytest.raises(UsageError, match="no contrast is of two arms trained here"):
        asked("steps", BASELINE, checkpoints=external)
    rules = Rules(looks=(2, 3))
    assert asked("steps", BASELINE, METHOD, rules=rules).content["rules"]["looks"] == (2, 3)
    with pytest.raises(UsageError, match="--looks: contextrl must be trained here"):
        asked("steps", BASELINE, checkpoints=external, rules=rules)
    with pytest.raises(UsageError, match="--looks 2,3 with --seeds 5"):
        asked("steps", BASELINE, METHOD, rules=rules, seeds=5)


def test_a_check_is_paired_only_where_both_arms_hold_the_same_seeds() -> None:
    check, total = "contextrl-shuffled - grpo", "contextrl - grpo"
    rules = Rules(variance="paired", paired=(total, check))

    def models(**seeds: Sequence[int]) -> list[Measured]:
        return [Measured(name.replace("_", "-"), n, "r") for name, of in seeds.items() for n in of]

    whole = models(grpo=(0, 1, 2), contextrl=(0, 1, 2), contextrl_shuffled=(0, 1, 2))
    assert aligned(rules, whole) == (rules, [])
    lacking = models(grpo=(0, 1, 2), contextrl=(0, 1, 2), contextrl_shuffled=(0, 2))
    kept, (note,) = aligned(rules, lacking)
    assert kept.paired == (total,)
    assert note.startswith(f"{check}: the arms hold other seeds")


def test_rules_of_older_plans_are_hashed_as_they_were(tmp_path: Path) -> None:
    content = planned(tmp_path, Rules()).content["rules"]
    names = ["alpha", "effect_size", "margin", "variance", "power", "resamples", "seed"]
    assert list(content) == names
    assert planned(tmp_path, Rules(spending="pocock")).content["rules"] == content
    added = planned(tmp_path, Rules(looks=(2, 3))).content["rules"]
    assert list(added) == [*names, "looks", "spending"]


def test_the_powers_are_those_of_closed_forms(tmp_path: Path) -> None:
    rules, correlation = Rules(effect_size=0.018), 0.6
    asked = planned(tmp_path, rules, "steps", 3, "--temperature", "0.7")
    offered = {d.name: d for d in designs(asked, forecast(), correlation)}
    of, sd = Components(0.008**2, 0.006**2), 0.01
    assert offered["welch"].power == power.welch_power(0.018, of, of, (3, 3))
    # The non-central t: two arms' variance with 4 degrees of freedom, and differences with 2.
    for name, df, scale in (("pooled", 4, 1.0), ("paired", 2, 0.4)):
        shift = 0.018 / (sd * np.sqrt(2 * scale / 3))
        expected = stats.nct.sf(stats.t.ppf(0.975, df), df, shift)
        assert offered[name].power == pytest.approx(expected, abs=0.002)
    # Four times the repeats leave a quarter of the variance of decoding.
    more = Components(0.008**2, 0.003**2)
    row = offered["welch, 4 x repeats"]
    assert (row.power, row.repeats) == (power.welch_power(0.018, more, more, (3, 3)), 4)
    needed = offered["welch"].needed
    assert needed == power.seeds_needed(0.018, of)
    # Trainings of both arms; evaluations of both and of the base, of 600 items each.
    assert needed is not None
    seconds = 2 * needed * (10 + 60) + (2 * needed + 1) * (20 + 60)
    assert (offered["welch"].trainings, offered["welch"].seconds) == (2 * needed, seconds)
    for spending in ("obrien-fleming", "pocock"):
        row = offered[f"welch, looks, {spending}"]
        assert row.power is None  # three seeds are too few for three looks
        assert row.needed is not None
        assert row.expected is not None
        assert needed <= row.needed < needed + 4
        assert row.expected < row.needed


def test_the_evaluations_of_a_sampled_base_grow_with_the_seeds() -> None:
    """Two arms trained in 10 s and 60 steps of 1 s; 20 s and 600 items of 0.1 s per evaluation."""
    greedy, n = forecast(3), 5
    sampled = replace(greedy, evaluations=9, sampled_base=True)
    for of, base in ((greedy, 1), (sampled, n)):
        assert of.seconds_of(n, 1) == 2 * n * 70 + (2 * n + base) * 80
        assert of.seconds_of(of.seeds, 1) == of.seconds


def test_pairs_are_offered_where_the_total_can_be_paired(tmp_path: Path) -> None:
    for matching, there in (("steps", True), ("instances", False)):
        asked = planned(tmp_path, Rules(), matching=matching)  # type: ignore[arg-type]
        offered = designs(asked, forecast(), 0.0)
        assert ("paired" in [design.name for design in offered]) == there
        assert ("paired is not offered" in designs_text(offered, Rules(), 0.0)[0]) != there
    for args in ((), ("--temperature", "0"), ("--temperature", "1")):
        asked = planned(tmp_path, Rules(), "steps", 3, *args)
        offered = designs(asked, forecast(), 0.0)
        sampled = args[-1:] == ("1",)
        assert (max(design.repeats for design in offered) > 1) == sampled
        assert ("greedy decoding" in designs_text(offered, Rules(), 0.0)[0]) != sampled
    nothing = replace(forecast(), trained={}, trainings=0)
    assert designs(planned(tmp_path, Rules()), nothing, 0.0) == ()
    assert designs_text((), Rules(), 0.0) == []


def test_the_cheapest_reaches_the_power_in_the_least_time() -> None:
    rows = [
        Design("a", 1, 0.5, 5, 5.0, 10.0, 900.0),
        Design("b", 1, 0.5, 6, 4.4, 8.8, 800.0),
        Design("c", 2, 0.9, None, None, None, None),
    ]
    best = cheapest(rows)
    assert best is not None
    assert best.name == "b"
    assert cheapest(rows[2:]) is None
    assert designs_text(rows, Rules(), 0.0)[-1] == "cheapest: b for 1.8 points at power 0.8"


def test_an_unknown_time_is_not_the_shortest() -> None:
    """Trainings, then repeats, decide where the time of some design was not measured."""
    row = Design("known", 1, 0.5, 5, 5.0, 8.0, 900.0)
    for unknown, name in (
        (Design("more", 1, 0.5, 6, 6.0, 12.0, None), "known"),
        (Design("repeats", 2, 0.5, 5, 5.0, 8.0, None), "known"),
        (Design("fewer", 4, 0.5, 3, 3.0, 6.0, None), "fewer"),
    ):
        for rows in ([row, unknown], [unknown, row]):
            best = cheapest(rows)
            assert best is not None
            assert best.name == name


def test_repeats_are_those_of_the_studys_runs(tmp_path: Path) -> None:
    for args, n in (((), 1), (("--repeats", "4"), 4), (("--repeats=2",), 2)):
        asked = planned(tmp_path, Rules())
        assert planned_repeats(replace(asked, request=replace(asked.request, run_args=args))) == n


def earlier(
    folder: Path,
    macro: dict[str, list[float]],
    matching: str = "steps",
    seeds: dict[str, list[int]] | None = None,
    trained: bool = True,
) -> Path:
    """Write what is read of an earlier study; seeds are numbered from 0 where none are given."""
    folder.mkdir()
    (folder / "plan.json").write_text(json.dumps({"plan": {"matching": matching}}))
    numbers = seeds or {arm: list(range(len(values))) for arm, values in macro.items()}
    models = [
        {"arm": arm, "seed": seed, "run": "r", "training": "t" if trained else None}
        for arm, of_arm in numbers.items()
        for seed in of_arm
    ]
    report = {
        "schema": 2, "name": folder.name, "plan_hash": "", "verdict": "", "complete": True,
        "analysis": {"verdict": "", "arms": [], "contrasts": [], "waterfall": [], "missing": []},
        "macro": macro, "benchmarks": [], "models": models, "missing": [], "notes": [],
        "bootstrap": "", "read": "",
    }  # fmt: skip
    (folder / "analysis.json").write_text(json.dumps(report))
    return folder


def test_the_correlation_is_a_number_or_that_of_earlier_studies(tmp_path: Path) -> None:
    asked = planned(tmp_path / "this", Rules())
    assert correlation_of(None, asked) == 0
    assert correlation_of("0.4", asked) == 0.4
    a = RNG.normal(0.5, 0.02, 8)
    b = 0.6 * a + 0.8 * RNG.permutation(a)  # of the same variance on average
    first = earlier(tmp_path / "x", {BASELINE: a.tolist(), METHOD: b.tolist()})
    products = ((a - a.mean()) * (b - b.mean())).sum()
    expected = products / ((a.var() + b.var()) / 2 * 8)
    assert correlation_of(str(first), asked) == pytest.approx(expected)
    # Seeds are paired by their numbers: what only one arm has tells nothing.
    gaps = {BASELINE: [0, 1, 2, 4, 5, 6, 7], METHOD: [0, 1, 2, 3, 5, 6, 7]}
    scores = {BASELINE: a[gaps[BASELINE]].tolist(), METHOD: b[gaps[METHOD]].tolist()}
    shared = [0, 1, 2, 5, 6, 7]
    x, y = a[shared], b[shared]
    within = ((x - x.mean()) * (y - y.mean())).sum() / ((x.var() + y.var()) / 2 * 6)
    second = earlier(tmp_path / "y", scores, seeds=gaps)
    assert correlation_of(str(second), asked) == pytest.approx(within)
    order = [3, 0, 6, 1, 7, 5, 2, 4]
    mixed = earlier(
        tmp_path / "m",
        {BASELINE: a.tolist(), METHOD: b[order].tolist()},
        seeds={BASELINE: list(range(8)), METHOD: order},
    )
    assert correlation_of(f"{first},{mixed}", asked) == pytest.approx(expected)
    apart = earlier(
        tmp_path / "apart",
        {BASELINE: a[:4].tolist(), METHOD: b[4:].tolist()},
        seeds={BASELINE: [0, 1, 2, 3], METHOD: [4, 5, 6, 7]},
    )
    external = earlier(
        tmp_path / "external", {BASELINE: a.tolist(), METHOD: b.tolist()}, trained=False
    )
    other = earlier(tmp_path / "z", {BASELINE: a.tolist(), METHOD: b.tolist()}, "instances")
    own = earlier(tmp_path / "this", {BASELINE: a.tolist(), METHOD: b.tolist()})
    few = earlier(tmp_path / "few", {BASELINE: [0.4, 0.5, 0.6], METHOD: [0.5, 0.5, 0.7]})
    alike = earlier(tmp_path / "alike", {BASELINE: [0.5] * 8, METHOD: [0.5] * 8})
    for text, message in (
        (str(few), "hold 3 seeds .* 5 with different scores"),
        (str(alike), "hold 8 seeds .* 5 with different scores"),
        ("1.2", "between -1 and 1"),
        (str(apart), "hold 0 seeds"),
        (str(external), "hold 0 seeds"),
        (str(other), "hold 0 seeds"),
        (str(own), "never from the one"),
        (str(tmp_path / "none"), "none is not an analysed study"),
    ):
        with pytest.raises(UsageError, match=message):
            correlation_of(text, asked)


@pytest.mark.parametrize(("high", "seeds"), [(HIGH, 2), (LOW, 3)])
def test_a_study_stops_at_the_look_that_settles_it(
    high: int, seeds: int, planted_runs: dict[str, Path], tmp_path: Path
) -> None:
    """Trainings are there already; the runs are those of servers with a planted effect."""
    rules = Rules(effect_size=0.08, margin=0.04, looks=(2, 3), spending="pocock", resamples=20)
    asked, done = planned(tmp_path / "study", rules), []
    levels = {BASELINE: LOW, METHOD: high}

    def execute(jobs: Sequence[Job]) -> Iterator[Outcome]:
        for job in jobs:
            done.append(job.name)
            run = planted_runs[names_of(job.arm, levels[job.arm])[job.seed]]
            yield Outcome(job.arm, job.seed, {"vqa12": run})

    for name in TRAINED:
        for seed in range(3):
            marker = asked.folder / f"arms/{name}/seed-{seed}/trained.json"
            marker.parent.mkdir(parents=True)
            marker.write_text("{}")
    report = study(asked, execute)
    assert sorted(done) == [
        f"{name} seed {seed}" for name in sorted(TRAINED) for seed in range(seeds)
    ]
    assert (report.look, report.complete) == (seeds, True)
    level = dict(zip((2, 3), looks.levels((2, 3), "pocock", 0.05), strict=True))[seeds]
    assert report.notes[0] == (
        f"look {seeds - 1} of 2, at {seeds} seeds per arm: tests and intervals at level "
        f"{level:.2g} (pocock spending of 0.05 over the looks)"
    )
    (line,) = report.analysis.contrasts
    assert (line.verdict == "better") == (high == HIGH)
    assert {row.seeds for row in report.analysis.arms} == {seeds}
    # Again it is only read.
    assert study(asked, execute) == report
    assert len(done) == 2 * seeds
