"""Arms and what is compared between them: the contrasts, the fixed order of tests, the verdict.

Scores of the arms come in (per seed, or per seed and item); an `Analysis` leaves, with one sentence
that a person can quote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from ablations import power
from ablations.bootstrap import Resampled, hierarchical
from ablations.statistics import (
    BETTER,
    EQUIVALENT,
    INCONCLUSIVE,
    WITHIN,
    WORSE,
    Array,
    Booleans,
    Components,
    Estimate,
    Items,
    Words,
    average,
    clustered,
    components,
    holm,
    pooled,
    pooled_variance,
    share,
    welch,
    words,
)
from harness.errors import UsageError

Kind = Literal["total", "objective", "placebo", "data", "form"]
Variance = Literal["welch", "pooled"]

BASE, START, GAIN = "base", "grpo", "contextrl"
PLACEBO, FORM = "contextrl-shuffled", "da-joint-sft"
DATA = ("da-rl", "da-sft", "da-qa")
GATE: tuple[Kind, ...] = ("total", "objective", "placebo", "data")
NO_GAIN = (EQUIVALENT, BETTER + WITHIN, WORSE + WITHIN, WORSE)
"""What is said of a data arm that cannot gain more than the margin."""
NOT_TESTED = "not tested"
ONE_SEED = "inference over items only; cannot support a claim about the method"


@dataclass(frozen=True, slots=True)
class Contrast:
    """One difference of two arms: ``plus`` - ``minus``, and which question it answers."""

    kind: Kind
    plus: str
    minus: str

    @property
    def name(self) -> str:
        """The name in tables and JSON."""
        return f"{self.plus} - {self.minus}"


def contrasts(arms: Sequence[str]) -> tuple[Contrast, ...]:
    """Return the contrasts that the arms allow, in the order in which they are tested.

    Form is not part of the order; it comes last.
    """
    pairs = [
        Contrast("total", GAIN, START),
        *(Contrast("objective", GAIN, arm) for arm in DATA),
        Contrast("placebo", GAIN, PLACEBO),
        *(Contrast("data", arm, START) for arm in DATA),
        Contrast("form", GAIN, FORM),
    ]
    return tuple(one for one in pairs if one.plus in arms and one.minus in arms)


@dataclass(frozen=True, slots=True)
class Rules:
    """How a study is judged; fixed before any score is read.

    ``margin`` (in units of the score) is what counts as no difference, at most half of ``planned``,
    the effect that the study is planned for.  ``variance`` is ``welch`` or ``pooled`` (one seed
    variance for all trained arms).  ``wanted`` is the power of minimal detectable effects.

    Raises:
        UsageError: a value is out of its range.
    """

    alpha: float = 0.05
    planned: float = 0.018
    margin: float = 0.009
    variance: Variance = "welch"
    wanted: float = 0.8
    resamples: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what would make a verdict meaningless."""
        if not 0 < self.alpha < 0.5:
            raise UsageError(f"alpha is {self.alpha}: it must lie between 0 and 0.5")
        if not 0 < self.margin <= self.planned / 2:
            raise UsageError(
                f"the margin is {100 * self.margin:g} points: it must be above 0 and at most half "
                f"of the planned effect ({100 * self.planned:g} points)"
            )
        if self.planned > 1:
            raise UsageError(f"the planned effect is {100 * self.planned:g} points of 100")
        if self.variance not in get_args(Variance):
            raise UsageError(f"variance is {self.variance!r}: it must be welch or pooled")
        if not self.alpha < self.wanted < 1:
            raise UsageError(
                f"the power is {self.wanted:g}: it must lie between alpha ({self.alpha:g}) and 1"
            )

    @property
    def level(self) -> float:
        """The level of intervals."""
        return 1 - self.alpha


@dataclass(frozen=True, slots=True)
class Judgement:
    """One contrast judged, on one study or on many at once (leading axes of the scores).

    ``p`` is what the word goes by: of the data contrasts after Holm over all of them.
    """

    contrast: Contrast
    estimate: Estimate
    p: Array
    words: Words
    tested: Booleans


def estimate(
    scores: Mapping[str, Array], contrast: Contrast, variance: Variance = "welch"
) -> Estimate:
    """Return the primary estimate of a contrast from per-seed scores (seeds on the last axis)."""
    plus, minus = scores[contrast.plus], scores[contrast.minus]
    return (
        welch(plus, minus) if variance == "welch" else pooled(plus, minus, *_one_variance(scores))
    )


def _one_variance(scores: Mapping[str, Array]) -> tuple[Array, int]:
    """Return the seed variance pooled over the trained arms, and its degrees of freedom."""
    return pooled_variance([y for arm, y in scores.items() if arm != BASE])


def judge(scores: Mapping[str, Array], rules: Rules) -> tuple[Judgement, ...]:
    """Judge every contrast in the fixed order: a step is tested only if those before it passed.

    A step passes where all of its contrasts are better (for the objective: an intersection-union
    test, each at alpha).  "The data adds something" is said where any of its contrasts is better,
    so there p is adjusted (Holm); that it adds nothing takes all of them, and no adjustment.  A
    step without arms is passed over.  A contrast with one seed in an arm is left out, and its step
    does not pass.

    Args:
        scores: macro averages by arm, seeds on the last axis.
        rules: as planned.
    """
    several = {arm: y for arm, y in scores.items() if y.shape[-1] > 1}
    testable = contrasts(list(several))
    judged: list[Judgement] = []
    open_: Booleans = np.asarray(True)
    for kind in (*GATE, "form"):
        step = [one for one in contrasts(list(scores)) if one.kind == kind]
        found = {one: estimate(several, one, rules.variance) for one in step if one in testable}
        ps = np.array([one.p for one in found.values()])
        if kind == "data":
            ps = holm(ps)
        tested = open_ if kind in GATE else np.zeros_like(open_)
        for (contrast, one), p in zip(found.items(), ps, strict=True):
            said = words(one.delta, p, one.equivalence_p(rules.margin), rules.alpha)
            judged.append(
                Judgement(contrast, one, p, said, np.broadcast_to(tested, one.delta.shape))
            )
            open_ = open_ & np.char.startswith(said, BETTER)
        if len(found) < len(step):
            open_ = np.zeros_like(open_)
    return tuple(judged)


@dataclass(frozen=True, slots=True)
class BenchmarkLine:
    """One contrast on one benchmark; ``p_holm`` is adjusted over the benchmarks of the suite.

    ``test`` names what made p and interval: Welch t, clustered t, or McNemar.
    ``mde`` is the smallest effect that would be seen with the wanted power at this variance.
    Numbers are None where there is no variance to test against.
    """

    benchmark: str
    items: int
    clusters: int
    delta: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    mde: float | None
    word: str | None
    test: str = "Welch t"


@dataclass(frozen=True, slots=True)
class Line:
    """One contrast of the macro average.

    ``delta``, ``low``, ``high`` are in units of the score.  ``p`` is of the two-sided test,
    ``p_holm`` (data contrasts only: the word goes by it) adjusted over the data contrasts,
    ``p_equivalence`` of TOST.  Where the contrast was not ``tested`` (a step before it failed, or
    it stands outside the order) p and word are None, on every benchmark too: it is an estimate
    only.  ``other_low`` and
    ``other_high`` are the interval by the variance that was not chosen; ``items_low`` and
    ``items_high`` the percentile interval of the hierarchical bootstrap.
    """

    name: str
    kind: Kind
    plus: str
    minus: str
    delta: float
    low: float | None
    high: float | None
    benchmarks: tuple[BenchmarkLine, ...]
    p: float | None = None
    p_equivalence: float | None = None
    tested: bool = False
    word: str | None = None
    mde: float | None = None
    other_low: float | None = None
    other_high: float | None = None
    items_low: float | None = None
    items_high: float | None = None
    p_holm: float | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """Total = objective + data, through one data arm; in units of the score.

    ``share`` is objective / total with its Fieller interval, only where the interval of the total
    excludes 0; bounds are None where the interval is unbounded.
    """

    arm: str
    total: float
    objective: float
    data: float
    share: float | None
    share_low: float | None
    share_high: float | None


@dataclass(frozen=True, slots=True)
class ArmLine:
    """One arm: its seeds, its macro average, and the variance of a seed's score, in two parts.

    Standard deviations are in units of the score; None with one seed.
    """

    arm: str
    seeds: int
    mean: float
    training_sd: float | None
    decoding_sd: float | None


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a study says: arms, contrasts in the order of tests, the waterfall, and the verdict."""

    verdict: str
    arms: tuple[ArmLine, ...]
    contrasts: tuple[Line, ...]
    waterfall: tuple[Term, ...]
    missing: tuple[str, ...]


Scores = Mapping[str, Mapping[str, Array]]


def analyse(scores: Scores, items: Mapping[str, Items], rules: Rules) -> Analysis:
    """Analyse a study.

    Args:
        scores: by benchmark and arm, seeds x items; every arm in every benchmark, with its seeds in
            one order.
        items: by benchmark, how its items hang together.
        rules: as planned.

    Where no two arms make a contrast there is no verdict, and the arms alone.
    """
    by_seed = per_seed(scores, items)
    macro = average_of(by_seed)
    found = contrasts(list(macro))
    judged = {one.contrast: one for one in judge(macro, rules)}
    resampled = hierarchical(scores, items, rules.resamples, rules.seed)
    lines = tuple(
        _line(judged[one], macro, by_seed, scores, items, resampled, rules)
        if one in judged
        else _items_only(one, scores, items, rules)
        for one in found
    )
    missing = tuple(arm for arm in (START, GAIN, *DATA, PLACEBO) if arm not in macro)
    return Analysis(
        verdict=_sentence(lines, rules, macro),
        arms=tuple(_arm(arm, macro[arm], scores, items) for arm in macro),
        contrasts=lines,
        waterfall=waterfall(macro, lines, rules),
        missing=missing,
    )


def _sentence(lines: Sequence[Line], rules: Rules, macro: Mapping[str, Array]) -> str:
    """Return the verdict, or why there is none."""
    if not lines:
        listed = ", ".join(macro)
        return f"No verdict: {listed} alone make no contrast; total needs {GAIN} and {START}."
    several = [arm for arm, y in macro.items() if y.size > 1]
    return verdict(lines, rules) if contrasts(several) else f"No verdict: {ONE_SEED}."


def per_seed(scores: Scores, items: Mapping[str, Items]) -> dict[str, dict[str, Array]]:
    """Return by benchmark and arm the score of each seed."""
    return {
        name: {arm: items[name].mean(y) for arm, y in arms.items()} for name, arms in scores.items()
    }


def average_of(by_seed: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
    """Return by arm the macro average of each seed over the benchmarks."""
    arms = next(iter(by_seed.values()))
    return {arm: np.mean([found[arm] for found in by_seed.values()], axis=0) for arm in arms}


def number(value: Array | float) -> float | None:
    """Return a float for a record, None for nan."""
    found = float(value)
    return None if np.isnan(found) else found


def _line(
    judgement: Judgement,
    macro: Mapping[str, Array],
    by_seed: Mapping[str, Mapping[str, Array]],
    scores: Scores,
    items: Mapping[str, Items],
    resampled: Resampled,
    rules: Rules,
) -> Line:
    contrast, one = judgement.contrast, judgement.estimate
    several = {arm: y for arm, y in macro.items() if y.size > 1}
    other = estimate(several, contrast, "pooled" if rules.variance == "welch" else "welch")
    other_low, other_high = other.interval(rules.level)
    items_low, items_high = resampled.interval(contrast.plus, contrast.minus, rules.level)
    by_benchmark = benchmark_lines(by_seed, items, contrast.plus, contrast.minus, rules)
    tested = bool(judgement.tested)
    if not tested:
        by_benchmark = tuple(replace(b, p=None, p_holm=None, word=None) for b in by_benchmark)
    return replace(
        _estimated(contrast, one, by_benchmark, rules),
        p=number(one.p) if tested else None,
        p_holm=number(judgement.p) if tested and contrast.kind == "data" else None,
        p_equivalence=number(one.equivalence_p(rules.margin)) if tested else None,
        tested=tested,
        word=str(judgement.words) if tested else None,
        mde=number(power.mde(float(one.se), float(one.df), rules.alpha, rules.wanted)),
        other_low=number(other_low),
        other_high=number(other_high),
        items_low=items_low,
        items_high=items_high,
    )


def _estimated(
    contrast: Contrast, one: Estimate, benchmarks: tuple[BenchmarkLine, ...], rules: Rules
) -> Line:
    """Return the line of an estimate: no test, no word."""
    low, high = one.interval(rules.level)
    return Line(
        name=contrast.name,
        kind=contrast.kind,
        plus=contrast.plus,
        minus=contrast.minus,
        delta=float(one.delta),
        low=number(low),
        high=number(high),
        benchmarks=benchmarks,
    )


def benchmark_lines(
    by_seed: Mapping[str, Mapping[str, Array]],
    items: Mapping[str, Items],
    plus: str,
    minus: str,
    rules: Rules,
) -> tuple[BenchmarkLine, ...]:
    """Return a contrast on every benchmark: Welch on per-seed scores, Holm over the benchmarks."""
    found = [welch(arms[plus], arms[minus]) for arms in by_seed.values()]
    adjusted = holm(np.array([one.p for one in found]))
    return tuple(
        benchmark_line(name, items[name], one, float(one.p), p_holm, rules)
        for name, one, p_holm in zip(by_seed, found, adjusted, strict=True)
    )


def benchmark_line(
    name: str, items: Items, one: Estimate, p: float, p_holm: float, rules: Rules
) -> BenchmarkLine:
    """Return the line of one benchmark; its word goes by the adjusted p."""
    low, high = one.interval(rules.level)
    inside = one.equivalence_p(rules.margin)
    return BenchmarkLine(
        benchmark=name,
        items=len(items.clusters),
        clusters=len(np.unique(items.clusters)),
        delta=float(one.delta),
        low=number(low),
        high=number(high),
        p=number(p),
        p_holm=number(p_holm),
        mde=number(power.mde(float(one.se), float(one.df), rules.alpha, rules.wanted)),
        word=str(words(one.delta, np.asarray(p_holm), inside, rules.alpha)),
    )


def untested_line(name: str, items: Items, one: Estimate, rules: Rules) -> BenchmarkLine:
    """Return the line of one benchmark as an estimate only."""
    line = benchmark_line(name, items, one, np.nan, np.nan, rules)
    return replace(line, mde=None, word=None, test="clustered t")


def _items_only(
    contrast: Contrast, scores: Scores, items: Mapping[str, Items], rules: Rules
) -> Line:
    """Return the line of a contrast with a single seed in an arm: no test, no word."""
    found = {
        name: clustered(arms[contrast.plus].mean(0) - arms[contrast.minus].mean(0), items[name])
        for name, arms in scores.items()
    }
    lines = tuple(untested_line(name, items[name], one, rules) for name, one in found.items())
    return _estimated(contrast, average(list(found.values())), lines, rules)


def _arm(arm: str, macro: Array, scores: Scores, items: Mapping[str, Items]) -> ArmLine:
    split: Components | None = None
    if macro.size > 1:
        split = components([arms[arm] for arms in scores.values()], [items[n] for n in scores])
    return ArmLine(
        arm,
        macro.size,
        float(macro.mean()),
        None if split is None else split.training**0.5,
        None if split is None else split.decoding**0.5,
    )


def waterfall(macro: Mapping[str, Array], lines: Sequence[Line], rules: Rules) -> tuple[Term, ...]:
    """Return total = objective + data through each data arm, with shares where they make sense."""
    total = next((line for line in lines if line.kind == "total"), None)
    if total is None:
        return ()
    excludes_0 = total.low is not None and total.high is not None and total.low * total.high > 0
    several = {arm: y for arm, y in macro.items() if y.size > 1}
    one_variance = _one_variance(several) if rules.variance == "pooled" and several else None
    terms = []
    for arm in (arm for arm in DATA if arm in macro):
        three = (macro[GAIN], macro[arm], macro[START])
        gain, reused, start = (float(y.mean()) for y in three)
        ratio = None
        if excludes_0 and min(y.size for y in three) > 1:
            ratio = share(*three, rules.level, one_variance)
        terms.append(
            Term(
                *(arm, gain - start, gain - reused, reused - start),
                *((None,) * 3 if ratio is None else (ratio.value, ratio.low, ratio.high)),
            )
        )
    return tuple(terms)


def points(value: float) -> str:
    """Return a difference in points with its sign."""
    return f"{100 * value:+.1f}"


def verdict(lines: Sequence[Line], rules: Rules) -> str:
    """Return the verdict in one sentence: a conclusion, then total, objective, placebo and data."""
    steps = {kind: [line for line in lines if line.kind == kind] for kind in GATE}
    said = "; ".join(_step(kind, steps[kind], rules) for kind in GATE)
    return f"{_conclusion(steps)}: {said}."


def _better(step: Sequence[Line]) -> bool:
    """Whether a step was tested and all of it is better."""
    return bool(step) and all(str(line.word).startswith(BETTER) for line in step)


def _conclusion(steps: Mapping[Kind, Sequence[Line]]) -> str:
    total, objective = steps["total"], steps["objective"]
    if not total:
        return f"No gain of {GAIN} over {START} can be judged without both arms"
    word = total[0].word
    if word is None:
        return f"No gain of {GAIN} over {START} can be judged with one seed in an arm ({ONE_SEED})"
    if not word.startswith(BETTER):
        loses = word.startswith(WORSE)
        return f"{GAIN} loses to {START}" if loses else f"No gain of {GAIN} over {START} is shown"
    gain = f"The gain of {GAIN} over {START} is real{WITHIN * word.endswith(WITHIN)}"
    if not objective:
        return f"{gain}, and without a data arm its source cannot be judged"
    if not _better(objective):
        if all(line.word == EQUIVALENT for line in objective):
            return f"{gain}, but the objective adds nothing to what its data gives{WITHIN}"
        return f"{gain}, but it is not shown to come from the objective"
    return f"{gain} and {_source(steps)}{_not_compared(steps)}"


def _source(steps: Mapping[Kind, Sequence[Line]]) -> str:
    """Return where a gain comes from that is more than every data arm's."""
    if steps["placebo"] and not _better(steps["placebo"]):
        return "more than its data gives, but the placebo is not shown to lack it"
    found = {line.word for line in steps["data"]}
    if BETTER in found:
        return "comes from the objective and from the data"
    if not found or not found <= set(NO_GAIN):
        return "comes from the objective, whether or not the data adds to it"
    if BETTER + WITHIN in found:
        return "comes from the objective, and what the data adds lies within the margin"
    return "comes from the objective, not from the data"


def _not_compared(steps: Mapping[Kind, Sequence[Line]]) -> str:
    """Return which arms the claim had to do without."""
    there = {line.minus for line in (*steps["objective"], *steps["placebo"])}
    missing = [arm for arm in (*DATA, PLACEBO) if arm not in there]
    return f" (not compared with {', '.join(missing)})" if missing else ""


def step_word(kind: Kind, step: Sequence[Line]) -> str:
    """Return the word of a step that has contrasts: theirs, where they agree.

    Better is better with or without the margin.  The data contrasts make a claim each, those of the
    objective one together.
    """
    if not any(line.tested for line in step):
        return NOT_TESTED
    said = {line.word for line in step}
    if len(said) == 1:
        return str(said.pop())
    if _better(step):
        return BETTER
    return "mixed" if kind == "data" else f"{INCONCLUSIVE} as a whole"


def _step(kind: Kind, step: Sequence[Line], rules: Rules) -> str:
    if not step:
        return f"{kind} missing"
    word = step_word(kind, step)
    apart = len({line.word for line in step}) > 1 and word != BETTER
    numbers = ", ".join(
        f"{line.name} {_figures(line)}" + f" {line.word or NOT_TESTED}" * apart for line in step
    )
    margin = f" within {100 * rules.margin:g} points" if word == EQUIVALENT else ""
    return f"{kind} {word}{margin} ({numbers})"


def _figures(line: Line) -> str:
    if line.low is None or line.high is None:
        return f"{points(line.delta)} points"
    return f"{points(line.delta)} points [{points(line.low)}, {points(line.high)}]"
