"""Judge contrasts between arms, in the fixed order of a study's tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from ablations.arms import with_role
from ablations.statistics import estimates
from ablations.statistics.design.looks import Spending, levels
from ablations.statistics.design.roles import STANDARD, Contrast, Design
from ablations.statistics.estimates import Array, Booleans, Estimate, Verdict, Verdicts
from harness.errors import UsageError

Variance = Literal["welch", "pooled", "paired"]
Inference = Literal["seeds", "items"]

# The arms of the built-in study.
(BASE,), (BASELINE,), (METHOD,) = (with_role(role) for role in ("start", "baseline", "method"))
DATA_CONTROLS, PLACEBOS = with_role("data_control"), with_role("placebo")
NO_GAIN = (Verdict.EQUIVALENT, Verdict.BETTER_WITHIN_MARGIN, Verdict.WORSE_WITHIN_MARGIN,
           Verdict.WORSE)  # fmt: skip
"""The verdicts on a data arm that cannot gain more than the margin."""
ONE_SEED = "one seed only: differences describe these checkpoints, not the method"


@dataclass(frozen=True, slots=True)
class Rules:
    """How a study is judged, fixed before any score is read; `UsageError` if out of range.

    ``margin`` (in units of the score) is the equivalence margin, at most half of ``effect_size``,
    the effect that the study is planned for. ``pooled`` variance is one seed variance for all
    trained arms; ``paired`` takes per-seed differences in the contrasts that ``paired`` names and
    each arm's own variance elsewhere. ``power`` is that of minimal detectable effects. ``looks``
    are the seeds per arm at which the study may stop, see `looks.levels`. ``inference`` over items
    is about fixed checkpoints, one per arm, not about how they were trained.
    """

    alpha: float = 0.05
    effect_size: float = 0.018
    margin: float = 0.009
    variance: Variance = "welch"
    power: float = 0.8
    resamples: int = 10_000
    seed: int = 0
    paired: tuple[str, ...] = ()
    looks: tuple[int, ...] = ()
    spending: Spending = "obrien-fleming"
    inference: Inference = "seeds"

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise UsageError(f"alpha is {self.alpha}: it must lie between 0 and 0.5")
        if not 0 < self.margin <= self.effect_size / 2:
            raise UsageError(
                f"the margin is {100 * self.margin:g} points: it must be above 0 and at most half "
                f"of the effect size ({100 * self.effect_size:g} points)"
            )
        if self.effect_size > 1:
            raise UsageError(f"the effect size is {100 * self.effect_size:g} points: at most 100")
        if self.variance not in get_args(Variance):
            raise UsageError(f"variance is {self.variance!r}: it must be welch, pooled or paired")
        if self.inference not in get_args(Inference):
            raise UsageError(f"inference is {self.inference!r}: it must be seeds or items")
        if not self.alpha < self.power < 1:
            raise UsageError(
                f"the power is {self.power:g}: it must lie between alpha ({self.alpha:g}) and 1"
            )

    def variance_of(self, contrast: str) -> Variance:
        """Return the variance used to judge a contrast."""
        if self.variance != "paired":
            return self.variance
        return "paired" if contrast in self.paired else "welch"

    def at_look(self, seeds: int | None) -> Rules:
        """Return the rules of the look at this many seeds, with its alpha; None: no looks."""
        if seeds is None:
            return self
        at = dict(zip(self.looks, levels(self.looks, self.spending, self.alpha), strict=True))
        return replace(self, alpha=at[seeds])

    @property
    def level(self) -> float:
        """Confidence level of intervals."""
        return 1 - self.alpha

    @property
    def tost_level(self) -> float:
        """Level of the interval that lies within the margin exactly if TOST rejects."""
        return 1 - 2 * self.alpha


@dataclass(frozen=True, slots=True)
class Judgement:
    """A contrast judged, on one study or many (leading axes); ``p`` (Holm: adjusted) decides."""

    contrast: Contrast
    estimate: Estimate
    p: Array
    verdicts: Verdicts
    tested: Booleans


def estimate(
    scores: Mapping[str, Array],
    contrast: Contrast,
    variance: Variance = "welch",
    start: str | None = STANDARD.start,
) -> Estimate:
    """Return a contrast's estimate from per-seed scores; ``start``: the model before training."""
    one_variance = common_variance(scores, start) if variance == "pooled" else None
    if not contrast.levels:
        plus, minus = scores[contrast.plus], scores[contrast.minus]
        if contrast.minus == start:
            return _over_base(plus, minus, one_variance or estimates.pooled_variance([plus]))
        if variance == "paired":
            return estimates.paired(plus, minus)
    arms, weights = zip(*contrast.weights.items(), strict=True)
    return estimates.combination([scores[arm] for arm in arms], weights, one_variance)


def _over_base(plus: Array, base: Array, spread: tuple[Array, int]) -> Estimate:
    """Return an arm's difference from the model before training, which is one fixed model.

    ``spread`` is the variance over the arm's seeds, with its df. Runs of the base differ by
    sampling alone and use their own variance; a single run has none (greedy decoding).
    """
    variances, dfs = [spread[0] / plus.shape[-1]], [spread[1]]
    if base.shape[-1] > 1:
        own, own_df = estimates.pooled_variance([base])
        variances.append(own / base.shape[-1])
        dfs.append(own_df)
    delta, se = np.asarray(plus.mean(-1) - base.mean(-1)), np.asarray(np.sqrt(sum(variances)))
    return Estimate(delta, se, estimates.satterthwaite(variances, dfs))


def common_variance(
    scores: Mapping[str, Array], start: str | None = STANDARD.start
) -> tuple[Array, int]:
    """Return the seed variance pooled over trained arms, and its degrees of freedom."""
    return estimates.pooled_variance([y for arm, y in scores.items() if arm != start])


Differences = Callable[[Contrast], Estimate]


def judge(
    scores: Mapping[str, Array],
    rules: Rules,
    design: Design = STANDARD,
    over_items: Differences | None = None,
    *,
    sampled: bool = False,
) -> tuple[Judgement, ...]:
    """Judge every contrast in the fixed order: a step is tested only if all before it passed.

    A step passes if all of its contrasts are better (regressions: not worse). In a Holm step each
    contrast makes its own claim, so p is adjusted ("the data adds something" takes any of them); in
    other steps all make one claim together (an intersection-union test, each at alpha). A step
    without arms is skipped. A contrast with one seed in an arm is left out, and its step does not
    pass. ``scores`` are macro averages by arm, seeds on the last axis; ``over_items`` gives the
    differences of fixed checkpoints instead; ``sampled`` as in `judge_checks`.
    """
    several = dict(scores) if over_items else _several(scores, design, sampled)
    judged: list[Judgement] = []
    open_: Booleans = np.asarray(True)
    for step in design.among(scores):
        differences = {
            c: over_items(c) if over_items else _estimated(several, c, rules, design)
            for c in step.contrasts
            if over_items or _has_error(c, several)
        }
        ps = np.array([difference.p for difference in differences.values()])
        if step.rule == "holm":
            ps = estimates.holm(ps)
        tested = np.zeros_like(open_) if step.rule == "estimate" else open_
        for (contrast, difference), p in zip(differences.items(), ps, strict=True):
            judged.append(_judged(contrast, difference, p, tested, rules))
            if step.rule != "estimate":
                open_ = open_ & estimates.passes(judged[-1].verdicts, contrast.kind == "regression")
        if len(differences) < len(step.contrasts):
            open_ = np.zeros_like(open_)
    return tuple(judged)


def _several(scores: Mapping[str, Array], design: Design, sampled: bool) -> dict[str, Array]:
    """Return the arms with a known error: several seeds, or a base measured exactly."""
    fixed = () if sampled else (design.start,)
    return {arm: y for arm, y in scores.items() if y.shape[-1] > 1 or arm in fixed}


def _has_error(contrast: Contrast, several: Mapping[str, Array]) -> bool:
    """Whether the error of a contrast is known; a base measured once is only subtracted."""
    return contrast.within(several) and all(
        several[arm].shape[-1] > 1 or (arm == contrast.minus and not contrast.levels)
        for arm in contrast.weights
    )


def _estimated(
    scores: Mapping[str, Array], contrast: Contrast, rules: Rules, design: Design
) -> Estimate:
    return estimate(scores, contrast, rules.variance_of(contrast.name), design.start)


def judge_checks(
    scores: Mapping[str, Array], rules: Rules, design: Design = STANDARD, *, sampled: bool = False
) -> tuple[Judgement, ...]:
    """Judge the checks of a design, each at alpha; skip any with one seed of a trained arm.

    ``sampled``: answers were drawn at a temperature above 0. A single run of the base then has an
    unknown error, so comparisons with it are skipped too.
    """
    several = _several(scores, design, sampled)
    tested = np.asarray(True)
    estimated = {c: _estimated(several, c, rules, design) for c in design.checks(list(several))}
    return tuple(_judged(c, d, d.p, tested, rules) for c, d in estimated.items())


def _judged(
    contrast: Contrast, difference: Estimate, p: Array, tested: Booleans, rules: Rules
) -> Judgement:
    delta, inside = difference.delta, difference.equivalence_p(rules.margin)
    verdict = estimates.verdicts(delta, p, inside, rules.alpha)
    if contrast.kind == "regression":
        no_loss = difference.noninferiority_p(rules.margin)
        verdict = estimates.or_noninferior(verdict, no_loss, rules.alpha)
    return Judgement(contrast, difference, p, verdict, np.broadcast_to(tested, delta.shape))
