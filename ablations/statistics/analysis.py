"""Analyse the scores of a study: contrasts, benchmarks and the source of a gain."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ablations.statistics import estimates
from ablations.statistics.contrasts import (
    ONE_SEED,
    Judgement,
    Rules,
    Variance,
    common_variance,
    estimate,
    judge,
    judge_checks,
)
from ablations.statistics.design import power
from ablations.statistics.design.roles import STANDARD, Contrast, Design
from ablations.statistics.estimates import Array, Estimate, Items, Ratio, Verdict
from ablations.statistics.intervals import mean_interval
from ablations.statistics.lines import Analysis, ArmLine, BenchmarkLine, Line, Term
from ablations.statistics.simulation.bootstrap import Resampled, hierarchical
from ablations.statistics.text.answers import answers
from ablations.statistics.text.verdict import sentence

CLUSTERED, MCNEMAR, WELCH = "clustered t", "McNemar", "Welch t"
TESTS = {"welch": WELCH, "pooled": "t with pooled variance", "paired": "paired t"}
Scores = Mapping[str, Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class _Data:
    """Scores per item and per seed (per benchmark, and macro averages), rules and design."""

    scores: Scores
    items: Mapping[str, Items]
    by_seed: Mapping[str, Mapping[str, Array]]
    macro: Mapping[str, Array]
    rules: Rules
    single: Container[str]
    design: Design

    def has_holm(self, contrast: Contrast) -> bool:
        steps = self.design.among(self.macro)
        return any(contrast in step.contrasts and step.rule == "holm" for step in steps)

    def tests_over_items(self, contrast: Contrast) -> dict[str, ItemsTest]:
        return {
            name: ItemsTest.of_contrast(contrast, arms, self.items[name], name in self.single)
            for name, arms in self.scores.items()
        }


def analyse(
    scores: Scores,
    items: Mapping[str, Items],
    rules: Rules,
    single: Container[str] = (),
    design: Design = STANDARD,
    *,
    sampled: bool = False,
) -> Analysis:
    """Analyse a study; if no two arms form a contrast, report the arms alone.

    ``scores``: seeds x items by benchmark and arm; every arm is in every benchmark, seeds in the
    same order. ``items``: how each benchmark's items are grouped. ``single``: benchmarks on which
    every run answered each item once. ``sampled``: see `judge_checks`.
    """
    by_seed = per_seed(scores, items)
    macro = macro_average(by_seed)
    data = _Data(scores, items, by_seed, macro, rules, single, design)
    fixed = rules.inference == "items"
    over_items = (lambda c: items_mean(data.tests_over_items(c))[0]) if fixed else None
    judgements = judge(macro, rules, design, over_items, sampled=sampled)
    if not fixed:
        judgements += judge_checks(macro, rules, design, sampled=sampled)
    judged = {each.contrast: each for each in judgements}
    resampled = hierarchical(scores, items, rules.resamples, rules.seed, design.stand_ins())
    lines, outside = (
        tuple(
            _over_items(contrast, data, judged.get(contrast))
            if fixed or contrast not in judged
            else _line(judged[contrast], data, resampled)
            for contrast in listed
        )
        for listed in (design.contrasts(macro), design.checks(list(macro)))
    )
    needed = design.named("baseline", "method", "data_control", "placebo")
    return Analysis(
        verdict=sentence_of(lines, outside, macro, rules, design),
        arms=tuple(_arm(arm, data) for arm in macro),
        contrasts=lines,
        waterfall=waterfall(macro, lines, rules, design),
        missing=tuple(arm for arm in needed if arm not in macro),
        checks=outside,
    )


def sentence_of(
    lines: Sequence[Line],
    checks: Sequence[Line],
    macro: Mapping[str, Array],
    rules: Rules,
    design: Design,
) -> str:
    """Return the verdict of an analysis; ``macro`` are averages per seed, by arm."""
    if not lines:
        needs = "its contrasts need others"
        if design.locates_gain:
            needs = f"total needs {design.method} and {design.baseline}"
        return f"No verdict: {', '.join(macro)} alone make no contrast; {needs}."
    several = [arm for arm, y in macro.items() if y.size > 1 or arm == design.start]
    if rules.inference == "seeds" and not design.contrasts(several):
        return f"No verdict: {ONE_SEED}."
    if design.locates_gain:
        return sentence(lines, checks, rules, design)
    return answers(lines, checks, rules, design)


def per_seed(scores: Scores, items: Mapping[str, Items]) -> dict[str, dict[str, Array]]:
    """Return per-seed scores by benchmark and arm."""
    return {
        name: {arm: items[name].mean(y) for arm, y in arms.items()} for name, arms in scores.items()
    }


def macro_average(by_seed: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
    """Return each arm's macro average per seed: the plain mean over benchmarks."""
    arms = next(iter(by_seed.values()))
    return {arm: np.mean([scores[arm] for scores in by_seed.values()], axis=0) for arm in arms}


def number(value: Array | float) -> float | None:
    """Return a float for a record, None for nan."""
    return None if np.isnan(value) else float(value)


def _line(judgement: Judgement, data: _Data, resampled: Resampled) -> Line:
    contrast, primary, rules = judgement.contrast, judgement.estimate, data.rules
    start = data.design.start
    # The model before training, measured once.
    fixed = contrast.minus == start and data.macro[contrast.minus].size == 1
    variance = rules.variance_of(contrast.name)
    alternative: Variance = "pooled" if variance == "welch" else "welch"
    other = estimate(data.macro, contrast, alternative, start)
    alt_low, alt_high = map(number, other.interval(rules.level))
    boot_low, boot_high = resampled.interval(contrast.weights, rules.level)
    by_benchmark: tuple[BenchmarkLine, ...] = ()
    if contrast.kind not in ("start", "control"):
        by_benchmark = benchmark_lines(data.by_seed, data.items, contrast, rules, start)
    tested = bool(judgement.tested)
    if not tested:
        by_benchmark = tuple(replace(b, p=None, p_holm=None, verdict=None) for b in by_benchmark)
    return replace(
        _estimated(contrast, primary, by_benchmark, rules),
        p=number(primary.p) if tested else None,
        p_holm=number(judgement.p) if tested and data.has_holm(contrast) else None,
        p_equivalence=number(primary.equivalence_p(rules.margin)) if tested else None,
        tested=tested,
        test="one-sample t" if fixed and variance != "pooled" else TESTS[variance],
        verdict=Verdict(str(judgement.verdicts)) if tested else None,
        mde=detectable(primary, rules),
        alt_variance_low=alt_low,
        alt_variance_high=alt_high,
        boot_low=boot_low,
        boot_high=boot_high,
    )


def _estimated(
    contrast: Contrast, difference: Estimate, benchmarks: tuple[BenchmarkLine, ...], rules: Rules
) -> Line:
    names = (contrast.name, contrast.kind, contrast.plus, contrast.minus)
    return Line(*names, benchmarks=benchmarks, **difference_fields(difference, rules))


def difference_fields(difference: Estimate, rules: Rules) -> dict[str, Any]:
    """Return the fields of a line that a difference alone gives: itself and its intervals."""
    low, high = map(number, difference.interval(rules.level))
    tost_low, tost_high = map(number, difference.interval(rules.tost_level))
    ends = {"low": low, "high": high, "tost_low": tost_low, "tost_high": tost_high}
    return {"delta": float(difference.delta), **ends}


def detectable(difference: Estimate, rules: Rules, df: float | None = None) -> float | None:
    """Return the smallest effect detectable with a difference's standard error, None for nan."""
    df = float(difference.df) if df is None else df
    return number(power.mde(float(difference.se), df, rules.alpha, rules.power))


def benchmark_lines(
    by_seed: Mapping[str, Mapping[str, Array]],
    items: Mapping[str, Items],
    contrast: Contrast,
    rules: Rules,
    start: str | None = None,
) -> tuple[BenchmarkLine, ...]:
    """Return a contrast by benchmark, Holm over these; pooled variance is for the mean alone."""
    variance: Variance = "paired" if rules.variance_of(contrast.name) == "paired" else "welch"
    tests = [estimate(arms, contrast, variance, start) for arms in by_seed.values()]
    adjusted = estimates.holm(np.array([test.p for test in tests]))
    lines = [
        benchmark_line(name, items[name], test, float(test.p), p_holm, rules)
        for name, test, p_holm in zip(by_seed, tests, adjusted, strict=True)
    ]
    lines = [replace(line, test=TESTS[variance]) for line in lines]
    return tuple(_regressions(lines, tests, rules) if contrast.kind == "regression" else lines)


def _regressions(
    lines: Sequence[BenchmarkLine], tests: Sequence[Estimate], rules: Rules
) -> list[BenchmarkLine]:
    """Return lines, inconclusive ones re-tested for non-inferiority, Holm over benchmarks."""
    ps = estimates.holm(np.array([test.noninferiority_p(rules.margin) for test in tests]))
    verdicts = np.array([str(line.verdict) for line in lines])
    retested = estimates.or_noninferior(verdicts, ps, rules.alpha)
    return [
        replace(line, verdict=Verdict(str(verdict)))
        for line, verdict in zip(lines, retested, strict=True)
    ]


def benchmark_line(
    name: str, items: Items, difference: Estimate, p: float, p_holm: float, rules: Rules
) -> BenchmarkLine:
    """Return the line of one benchmark; the adjusted p decides its verdict."""
    return BenchmarkLine(
        benchmark=name,
        items=len(items.clusters),
        clusters=len(np.unique(items.clusters)),
        p=number(p),
        p_holm=number(p_holm),
        mde=detectable(difference, rules),
        verdict=verdict_on(difference, np.asarray(p_holm), rules),
        **difference_fields(difference, rules),
    )


def verdict_on(difference: Estimate, p: Array, rules: Rules) -> Verdict:
    """Return the verdict on one difference; ``p`` decides it."""
    inside = difference.equivalence_p(rules.margin)
    return Verdict(str(estimates.verdicts(difference.delta, p, inside, rules.alpha)))


@dataclass(frozen=True, slots=True)
class ItemsTest:
    """Test of fixed checkpoints on one benchmark: the estimate behind the interval, p and test.

    ``clustered`` is the difference with its clustered standard error, whichever test is used.
    """

    estimate: Estimate
    p: float
    test: str
    clustered: Estimate

    @classmethod
    def of(cls, plus: Array, minus: Array, items: Items, single: bool) -> ItemsTest:
        """Test plus - minus (each seeds x items) over the items of one benchmark.

        Exact McNemar with Bonett and Price's interval if each side is one run with binary,
        ``single``, independent answers; otherwise the clustered t.
        """
        d = np.asarray(plus.mean(0) - minus.mean(0))
        test = cls._clustered(d, items)
        binary = estimates.is_binary(plus) and estimates.is_binary(minus)
        if len(plus) == len(minus) == 1 and single and items.independent and binary:
            exact = estimates.mcnemar(d)
            return cls(exact.adjusted, exact.p, MCNEMAR, test.clustered)
        return test

    @classmethod
    def of_contrast(
        cls, contrast: Contrast, arms: Mapping[str, Array], items: Items, single: bool
    ) -> ItemsTest:
        """Test a contrast of arms like `of`; a trend always uses the clustered t."""
        if not contrast.levels:
            return cls.of(arms[contrast.plus], arms[contrast.minus], items, single)
        d = sum(weight * arms[arm].mean(0) for arm, weight in contrast.weights.items())
        return cls._clustered(np.asarray(d), items)

    @classmethod
    def _clustered(cls, d: Array, items: Items) -> ItemsTest:
        estimate = estimates.clustered(d, items)
        # If no item differs, there is no evidence against 0.
        return cls(estimate, float(estimate.p) if d.any() else 1.0, CLUSTERED, estimate)


def untested_line(name: str, items: Items, test: ItemsTest, rules: Rules) -> BenchmarkLine:
    """Return the line of one benchmark as an estimate only."""
    line = benchmark_line(name, items, test.estimate, np.nan, np.nan, rules)
    delta = float(test.clustered.delta)
    return replace(line, delta=delta, mde=None, verdict=None, test=test.test)


def items_lines(
    tests: Mapping[str, ItemsTest],
    items: Mapping[str, Items],
    rules: Rules,
    adjusted: Sequence[float] | None = None,
) -> list[BenchmarkLine]:
    """Return a line per benchmark; ``adjusted`` p decide, by default Holm's over benchmarks."""
    if adjusted is None:
        adjusted = list(estimates.holm(np.array([test.p for test in tests.values()])))
    lines = []
    for (name, test), p_holm in zip(tests.items(), adjusted, strict=True):
        line = benchmark_line(name, items[name], test.estimate, test.p, p_holm, rules)
        mde = detectable(test.clustered, rules, np.inf)
        lines.append(replace(line, delta=float(test.clustered.delta), mde=mde, test=test.test))
    return lines


def _over_items(contrast: Contrast, data: _Data, judged: Judgement | None) -> Line:
    """Return a contrast's line over items; without a test or verdict unless ``judged``."""
    tests, rules = data.tests_over_items(contrast), data.rules
    mean, without = items_mean(tests)
    test = f"{CLUSTERED}, without {', '.join(without)}" if without else CLUSTERED
    if judged is None or not judged.tested:
        lines = [untested_line(name, data.items[name], test, rules) for name, test in tests.items()]
        return replace(_estimated(contrast, mean, tuple(lines), rules), test=test)
    lines = items_lines(tests, data.items, rules)
    if contrast.kind == "regression":
        lines = _regressions(lines, [each.estimate for each in tests.values()], rules)
    return replace(
        _estimated(contrast, mean, tuple(lines), rules),
        p=number(mean.p),
        p_holm=number(judged.p) if data.has_holm(contrast) else None,
        p_equivalence=number(mean.equivalence_p(rules.margin)),
        tested=True,
        test=test,
        verdict=Verdict(str(judged.verdicts)),
        mde=detectable(mean, rules, np.inf),
    )


def items_mean(tests: Mapping[str, ItemsTest]) -> tuple[Estimate, tuple[str, ...]]:
    """Return the mean over benchmarks with a standard error (else all), and the others' names."""
    kept = {name: t.clustered for name, t in tests.items() if not np.isnan(t.clustered.se)}
    if not kept:
        return estimates.average([test.clustered for test in tests.values()]), ()
    return estimates.average(list(kept.values())), tuple(n for n in tests if n not in kept)


def _arm(arm: str, data: _Data) -> ArmLine:
    macro = data.macro[arm]
    values = {name: arms[arm] for name, arms in data.scores.items()}
    mean = mean_interval(values, data.items, data.rules.level)
    sds: tuple[float | None, float | None] = (None, None)
    if macro.size > 1:
        split = estimates.components(list(values.values()), [data.items[n] for n in values])
        sds = split.training**0.5, split.decoding**0.5
    return ArmLine(arm, macro.size, float(macro.mean()), *sds, mean.low, mean.high)


def waterfall(
    macro: Mapping[str, Array], lines: Sequence[Line], rules: Rules, design: Design = STANDARD
) -> tuple[Term, ...]:
    """Return total = objective + data for each data arm, with shares where they are defined."""
    total = next((line for line in lines if line.kind == "total"), None)
    if total is None:
        return ()
    excludes_0 = total.low is not None and total.high is not None and total.low * total.high > 0
    several = {arm: y for arm, y in macro.items() if y.size > 1}
    pooled = rules.variance == "pooled" and several
    one_variance = common_variance(several, design.start) if pooled else None
    terms = []
    asked = {(line.kind, line.plus, line.minus) for line in lines}
    for arm in (arm for arm in design.named("data_control") if arm in macro):
        if {("objective", total.plus, arm), ("data", arm, total.minus)} - asked:
            continue  # a custom design may lack either part
        three = (macro[total.plus], macro[arm], macro[total.minus])
        gain, reused, start = (float(y.mean()) for y in three)
        ratio = Ratio(None, None, None)
        if excludes_0 and min(y.size for y in three) > 1:
            names = [f"{total.plus} - {other}" for other in (arm, total.minus)]
            if all(rules.variance_of(name) == "paired" for name in names):
                ratio = estimates.paired_share(*three, rules.level)
            else:
                ratio = estimates.share(*three, rules.level, one_variance)
        differences = (gain - start, gain - reused, reused - start)
        terms.append(Term(arm, *differences, ratio.value, ratio.low, ratio.high))
    return tuple(terms)
