"""Analyses the scores of a study: contrasts, benchmarks, and where a gain comes from."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ablations.statistics import estimates
from ablations.statistics.contrasts import (
    BASE,
    BASELINE,
    DATA_CONTROLS,
    METHOD,
    ONE_SEED,
    PLACEBOS,
    Contrast,
    Judgement,
    Rules,
    checks,
    common_variance,
    contrasts,
    estimate,
    judge,
    judge_checks,
)
from ablations.statistics.design import power
from ablations.statistics.estimates import Array, Estimate, Items, Ratio, Verdict
from ablations.statistics.intervals import mean_interval
from ablations.statistics.lines import Analysis, ArmLine, BenchmarkLine, Line, Term
from ablations.statistics.simulation.bootstrap import Resampled, hierarchical
from ablations.statistics.verdict import sentence

CLUSTERED, WELCH = "clustered t", "Welch t"
TESTS = {"welch": WELCH, "pooled": "t with pooled variance", "paired": "paired t"}
ONE_SAMPLE = "one-sample t"
Scores = Mapping[str, Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class _Data:
    """Scores by item and by seed (of each benchmark, and macro averages), and the rules."""

    scores: Scores
    items: Mapping[str, Items]
    by_seed: Mapping[str, Mapping[str, Array]]
    macro: Mapping[str, Array]
    rules: Rules
    single: Container[str]


def analyse(
    scores: Scores,
    items: Mapping[str, Items],
    rules: Rules,
    single: Container[str] = (),
    *,
    sampled: bool = False,
) -> Analysis:
    """Analyse a study; where no two arms make a contrast there are the arms alone.

    ``scores`` holds seeds x items by benchmark and arm: every arm in every benchmark, its seeds in
    one order.  ``items`` says how a benchmark's items are grouped.  ``single`` are the benchmarks
    of which every run answered each item once.  ``sampled``: see `judge_checks`.
    """
    by_seed = per_seed(scores, items)
    macro = macro_average(by_seed)
    data = _Data(scores, items, by_seed, macro, rules, single)
    judgements = (*judge(macro, rules), *judge_checks(macro, rules, sampled=sampled))
    judged = {each.contrast: each for each in judgements}
    resampled = hierarchical(scores, items, rules.resamples, rules.seed)
    lines, outside = (
        tuple(
            _line(judged[contrast], data, resampled)
            if contrast in judged
            else _items_only(contrast, data)
            for contrast in listed
        )
        for listed in (contrasts(list(macro)), checks(list(macro)))
    )
    needed = (BASELINE, METHOD, *DATA_CONTROLS, *PLACEBOS)
    return Analysis(
        verdict=_sentence(lines, outside, rules, macro),
        arms=tuple(_arm(arm, data) for arm in macro),
        contrasts=lines,
        waterfall=waterfall(macro, lines, rules),
        missing=tuple(arm for arm in needed if arm not in macro),
        checks=outside,
    )


def _sentence(
    lines: Sequence[Line], outside: Sequence[Line], rules: Rules, macro: Mapping[str, Array]
) -> str:
    """Return the verdict, or why there is none."""
    if not lines:
        listed = ", ".join(macro)
        return f"No verdict: {listed} alone make no contrast; total needs {METHOD} and {BASELINE}."
    several = [arm for arm, y in macro.items() if y.size > 1]
    return sentence(lines, outside, rules) if contrasts(several) else f"No verdict: {ONE_SEED}."


def per_seed(scores: Scores, items: Mapping[str, Items]) -> dict[str, dict[str, Array]]:
    """Return by benchmark and arm the score of each seed."""
    return {
        name: {arm: items[name].mean(y) for arm, y in arms.items()} for name, arms in scores.items()
    }


def macro_average(by_seed: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
    """Return by arm the macro average of each seed: the plain mean over the benchmarks."""
    arms = next(iter(by_seed.values()))
    return {arm: np.mean([scores[arm] for scores in by_seed.values()], axis=0) for arm in arms}


def number(value: Array | float) -> float | None:
    """Return a float for a record, None for nan."""
    return None if np.isnan(value) else float(value)


def _line(judgement: Judgement, data: _Data, resampled: Resampled) -> Line:
    contrast, primary, rules = judgement.contrast, judgement.estimate, data.rules
    variance = rules.variance_of(contrast.name)
    other = estimate(data.macro, contrast, "pooled" if variance == "welch" else "welch")
    alt_variance_low, alt_variance_high = other.interval(rules.level)
    boot_low, boot_high = resampled.interval(contrast.plus, contrast.minus, rules.level)
    by_benchmark: tuple[BenchmarkLine, ...] = ()
    if contrast.kind not in ("start", "control"):
        arms = contrast.plus, contrast.minus
        by_benchmark = benchmark_lines(data.by_seed, data.items, *arms, rules)
    tested = bool(judgement.tested)
    if not tested:
        by_benchmark = tuple(replace(b, p=None, p_holm=None, verdict=None) for b in by_benchmark)
    return replace(
        _estimated(contrast, primary, by_benchmark, rules),
        p=number(primary.p) if tested else None,
        p_holm=number(judgement.p) if tested and contrast.kind == "data" else None,
        p_equivalence=number(primary.equivalence_p(rules.margin)) if tested else None,
        tested=tested,
        test=ONE_SAMPLE if _is_fixed(contrast, data) and variance != "pooled" else TESTS[variance],
        verdict=Verdict(str(judgement.verdicts)) if tested else None,
        mde=number(power.mde(float(primary.se), float(primary.df), rules.alpha, rules.power)),
        alt_variance_low=number(alt_variance_low),
        alt_variance_high=number(alt_variance_high),
        boot_low=boot_low,
        boot_high=boot_high,
    )


def _is_fixed(contrast: Contrast, data: _Data) -> bool:
    """Whether a contrast is against the model before training, measured once."""
    return contrast.minus == BASE and data.macro[BASE].size == 1


def _estimated(
    contrast: Contrast, difference: Estimate, benchmarks: tuple[BenchmarkLine, ...], rules: Rules
) -> Line:
    """Return the line of an estimate: no test, no verdict."""
    low, high = map(number, difference.interval(rules.level))
    tost_low, tost_high = map(number, difference.interval(rules.tost_level))
    delta = float(difference.delta)
    return Line(
        contrast.name, contrast.kind, contrast.plus, contrast.minus, delta, low, high, benchmarks,
        tost_low=tost_low, tost_high=tost_high,
    )  # fmt: skip


def benchmark_lines(
    by_seed: Mapping[str, Mapping[str, Array]],
    items: Mapping[str, Items],
    plus: str,
    minus: str,
    rules: Rules,
) -> tuple[BenchmarkLine, ...]:
    """Return a contrast on every benchmark, by per-seed scores, with Holm over the benchmarks.

    Welch, or paired where the contrast is; one pooled variance is for the macro average alone.
    """
    variance = "paired" if rules.variance_of(f"{plus} - {minus}") == "paired" else "welch"
    test_of = estimates.paired if variance == "paired" else estimates.welch
    tests = [test_of(arms[plus], arms[minus]) for arms in by_seed.values()]
    adjusted = estimates.holm(np.array([test.p for test in tests]))
    lines = (
        benchmark_line(name, items[name], test, float(test.p), p_holm, rules)
        for name, test, p_holm in zip(by_seed, tests, adjusted, strict=True)
    )
    return tuple(replace(line, test=TESTS[variance]) for line in lines)


def benchmark_line(
    name: str, items: Items, difference: Estimate, p: float, p_holm: float, rules: Rules
) -> BenchmarkLine:
    """Return the line of one benchmark; its verdict goes by the adjusted p."""
    low, high = difference.interval(rules.level)
    tost_low, tost_high = difference.interval(rules.tost_level)
    delta, inside = difference.delta, difference.equivalence_p(rules.margin)
    mde = power.mde(float(difference.se), float(difference.df), rules.alpha, rules.power)
    return BenchmarkLine(
        benchmark=name,
        items=len(items.clusters),
        clusters=len(np.unique(items.clusters)),
        delta=float(delta),
        low=number(low),
        high=number(high),
        p=number(p),
        p_holm=number(p_holm),
        mde=number(mde),
        verdict=Verdict(str(estimates.verdicts(delta, np.asarray(p_holm), inside, rules.alpha))),
        tost_low=number(tost_low),
        tost_high=number(tost_high),
    )


@dataclass(frozen=True, slots=True)
class ItemsTest:
    """What one benchmark says of fixed checkpoints: the estimate behind the interval, p and test.

    ``clustered`` is the difference and its clustered standard error, whichever test is used.
    """

    estimate: Estimate
    p: float
    test: str
    clustered: Estimate

    @classmethod
    def of(cls, plus: Array, minus: Array, items: Items, *, single: bool) -> ItemsTest:
        """Test plus - minus (each seeds x items) over the items of one benchmark.

        Exact McNemar, with Bonett and Price's interval, where both sides are one run whose answers
        are ``single``, right or wrong, and independent; else the clustered t.
        """
        d = np.asarray(plus.mean(0) - minus.mean(0))
        estimate = estimates.clustered(d, items)
        one_run = len(plus) == len(minus) == 1
        if (
            one_run
            and single
            and items.independent
            and estimates.is_binary(plus)
            and estimates.is_binary(minus)
        ):
            exact = estimates.mcnemar(d)
            return cls(exact.adjusted, exact.p, "McNemar", estimate)
        # Where no item differs nothing speaks against 0.
        return cls(estimate, float(estimate.p) if d.any() else 1.0, CLUSTERED, estimate)


def untested_line(name: str, items: Items, test: ItemsTest, rules: Rules) -> BenchmarkLine:
    """Return the line of one benchmark as an estimate only."""
    line = benchmark_line(name, items, test.estimate, np.nan, np.nan, rules)
    delta = float(test.clustered.delta)
    return replace(line, delta=delta, mde=None, verdict=None, test=test.test)


def _items_only(contrast: Contrast, data: _Data) -> Line:
    """Return the line of a contrast with a single seed in an arm: no test, no verdict."""
    tests = {
        name: ItemsTest.of(
            arms[contrast.plus], arms[contrast.minus], data.items[name], single=name in data.single
        )
        for name, arms in data.scores.items()
    }
    lines = tuple(
        untested_line(name, data.items[name], test, data.rules) for name, test in tests.items()
    )
    mean, without = items_mean(tests)
    test = f"{CLUSTERED}, without {', '.join(without)}" if without else CLUSTERED
    return replace(_estimated(contrast, mean, lines, data.rules), test=test)


def items_mean(tests: Mapping[str, ItemsTest]) -> tuple[Estimate, tuple[str, ...]]:
    """Return the mean over the benchmarks with a standard error, and the names of the others.

    A benchmark whose items are one cluster has none; where none has one, the mean is over all.
    """
    kept = {name: t.clustered for name, t in tests.items() if not np.isnan(t.clustered.se)}
    if not kept:
        return estimates.average([test.clustered for test in tests.values()]), ()
    return estimates.average(list(kept.values())), tuple(n for n in tests if n not in kept)


def _arm(arm: str, data: _Data) -> ArmLine:
    macro = data.macro[arm]
    values = {name: arms[arm] for name, arms in data.scores.items()}
    mean = mean_interval(values, data.items, data.rules.level)
    training_sd = decoding_sd = None
    if macro.size > 1:
        split = estimates.components(list(values.values()), [data.items[n] for n in values])
        training_sd, decoding_sd = split.training**0.5, split.decoding**0.5
    return ArmLine(
        arm, macro.size, float(macro.mean()), training_sd, decoding_sd, mean.low, mean.high
    )


def waterfall(macro: Mapping[str, Array], lines: Sequence[Line], rules: Rules) -> tuple[Term, ...]:
    """Return total = objective + data through each data arm, with shares where they make sense."""
    total = next((line for line in lines if line.kind == "total"), None)
    if total is None:
        return ()
    excludes_0 = total.low is not None and total.high is not None and total.low * total.high > 0
    several = {arm: y for arm, y in macro.items() if y.size > 1}
    one_variance = common_variance(several) if rules.variance == "pooled" and several else None
    terms = []
    for arm in (arm for arm in DATA_CONTROLS if arm in macro):
        three = (macro[METHOD], macro[arm], macro[BASELINE])
        gain, reused, start = (float(y.mean()) for y in three)
        ratio = Ratio(None, None, None)
        if excludes_0 and min(y.size for y in three) > 1:
            names = [f"{METHOD} - {other}" for other in (arm, BASELINE)]
            if all(rules.variance_of(name) == "paired" for name in names):
                ratio = estimates.paired_share(*three, rules.level)
            else:
                ratio = estimates.share(*three, rules.level, one_variance)
        differences = (gain - start, gain - reused, reused - start)
        terms.append(Term(arm, *differences, ratio.value, ratio.low, ratio.high))
    return tuple(terms)
