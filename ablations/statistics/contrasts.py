"""What is compared between arms, by their roles, and the fixed order of the tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from ablations.arms import ARMS, Arm, with_role
from ablations.statistics import estimates
from ablations.statistics.design.looks import Spending, levels
from ablations.statistics.estimates import Array, Booleans, Estimate, Verdict, Verdicts
from harness.errors import UsageError

Kind = Literal["total", "objective", "placebo", "data", "form", "start", "control"]
Variance = Literal["welch", "pooled", "paired"]

(BASE,), (BASELINE,), (METHOD,) = (with_role(role) for role in ("start", "baseline", "method"))
DATA_CONTROLS, PLACEBOS = with_role("data_control"), with_role("placebo")
LOSS_FORMS = with_role("loss_form")
GATE: tuple[Kind, ...] = ("total", "objective", "placebo", "data")
NO_GAIN = (
    Verdict.EQUIVALENT,
    Verdict.BETTER_WITHIN_MARGIN,
    Verdict.WORSE_WITHIN_MARGIN,
    Verdict.WORSE,
)
"""The verdicts on a data arm that cannot gain more than the margin."""
ONE_SEED = "one seed only: differences describe these checkpoints, not the method"


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


def contrasts(arms: Sequence[str], table: Iterable[Arm] = ARMS.values()) -> tuple[Contrast, ...]:
    """Return the contrasts that the arms allow by their roles, in the order of tests, form last."""
    rows = tuple(table)
    controls = with_role("data_control", rows)
    pairs = [
        Contrast("total", METHOD, BASELINE),
        *(Contrast("objective", METHOD, arm) for arm in controls),
        *(Contrast("placebo", METHOD, arm) for arm in with_role("placebo", rows)),
        *(Contrast("data", arm, BASELINE) for arm in controls),
        *(Contrast("form", METHOD, arm) for arm in with_role("loss_form", rows)),
    ]
    return tuple(pair for pair in pairs if pair.plus in arms and pair.minus in arms)


def checks(arms: Sequence[str]) -> tuple[Contrast, ...]:
    """Return the contrasts outside the order of tests: they can only withhold a claim.

    Every arm against the model before training (kind start), and every data control and placebo
    against the baseline (kind control): an arm that training broke is beaten by anything.
    """
    controls = [arm for arm in arms if arm in (*DATA_CONTROLS, *PLACEBOS)]
    return (
        *(Contrast("start", arm, BASE) for arm in arms if arm != BASE and BASE in arms),
        *(Contrast("control", arm, BASELINE) for arm in controls if BASELINE in arms),
    )


def differences(arms: Sequence[str]) -> tuple[Contrast, ...]:
    """Return `contrasts` and then `checks`, a difference that is both once."""
    return tuple({each.name: each for each in (*contrasts(arms), *checks(arms))}.values())


@dataclass(frozen=True, slots=True)
class Rules:
    """How a study is judged, fixed before any score is read; `UsageError` if out of range.

    ``margin`` (in units of the score) is what counts as no difference, at most half of
    ``effect_size``, the effect that the study is planned for.  ``pooled`` variance is one seed
    variance for all trained arms; ``paired`` takes differences seed by seed in the contrasts that
    ``paired`` names, else each arm's own.  ``power`` is that of minimal detectable effects.
    ``looks`` are the seeds per arm at which the study may stop, see `looks.levels`.
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

    def __post_init__(self) -> None:
        """Refuse what would make a verdict meaningless."""
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
        if not self.alpha < self.power < 1:
            raise UsageError(
                f"the power is {self.power:g}: it must lie between alpha ({self.alpha:g}) and 1"
            )

    def variance_of(self, contrast: str) -> Variance:
        """Return the variance that judges a contrast."""
        if self.variance != "paired":
            return self.variance
        return "paired" if contrast in self.paired else "welch"

    def at_look(self, seeds: int | None) -> Rules:
        """Return the rules of the look at so many seeds: alpha is what its tests may spend.

        None: the plan has no looks, and the rules are these.
        """
        if seeds is None:
            return self
        at = dict(zip(self.looks, levels(self.looks, self.spending, self.alpha), strict=True))
        return replace(self, alpha=at[seeds])

    @property
    def level(self) -> float:
        """The level of intervals."""
        return 1 - self.alpha

    @property
    def tost_level(self) -> float:
        """The level of the interval that lies within the margin where TOST rejects."""
        return 1 - 2 * self.alpha


@dataclass(frozen=True, slots=True)
class Judgement:
    """One contrast judged, on one study or on many at once (leading axes of the scores).

    ``p`` decides the verdict: of the data contrasts after Holm over all of them.
    """

    contrast: Contrast
    estimate: Estimate
    p: Array
    verdicts: Verdicts
    tested: Booleans


def estimate(
    scores: Mapping[str, Array], contrast: Contrast, variance: Variance = "welch"
) -> Estimate:
    """Return the primary estimate of a contrast from per-seed scores (seeds on the last axis)."""
    plus, minus = scores[contrast.plus], scores[contrast.minus]
    if contrast.minus == BASE:
        own = [y for arm, y in scores.items() if arm != BASE] if variance == "pooled" else [plus]
        return _over_base(plus, minus, *estimates.pooled_variance(own))
    if variance == "welch":
        return estimates.welch(plus, minus)
    if variance == "paired":
        return estimates.paired(plus, minus)
    return estimates.pooled(plus, minus, *common_variance(scores))


def _over_base(plus: Array, base: Array, spread: Array, df: int) -> Estimate:
    """Return an arm's difference from the model before training, one fixed model.

    ``spread`` with its ``df`` is the variance of the arm's seeds.  Runs of the base differ by their
    sampling alone, so their variance is their own; a single run has none (greedy decoding).
    """
    variances, dfs = [spread / plus.shape[-1]], [df]
    if base.shape[-1] > 1:
        own, own_df = estimates.pooled_variance([base])
        variances.append(own / base.shape[-1])
        dfs.append(own_df)
    se = np.asarray(np.sqrt(sum(variances)))
    return Estimate(
        np.asarray(plus.mean(-1) - base.mean(-1)), se, estimates.satterthwaite(variances, dfs)
    )


def common_variance(scores: Mapping[str, Array]) -> tuple[Array, int]:
    """Return the seed variance pooled over the trained arms, and its degrees of freedom."""
    return estimates.pooled_variance([y for arm, y in scores.items() if arm != BASE])


def judge(scores: Mapping[str, Array], rules: Rules) -> tuple[Judgement, ...]:
    """Judge every contrast in the fixed order: a step is tested only if those before it passed.

    A step passes where all of its contrasts are better (for the objective: an intersection-union
    test, each at alpha).  "The data adds something" takes any of its contrasts, so p is adjusted
    (Holm); that it adds nothing takes all of them, and no adjustment.  A step without arms is
    skipped.  A contrast with one seed in an arm is left out, and its step does not pass.
    ``scores`` are macro averages by arm, seeds on the last axis.
    """
    several = {arm: y for arm, y in scores.items() if y.shape[-1] > 1}
    testable = contrasts(list(several))
    judged: list[Judgement] = []
    open_: Booleans = np.asarray(True)
    for kind in (*GATE, "form"):
        step = [contrast for contrast in contrasts(list(scores)) if contrast.kind == kind]
        differences = {
            c: estimate(several, c, rules.variance_of(c.name)) for c in step if c in testable
        }
        ps = np.array([difference.p for difference in differences.values()])
        if kind == "data":
            ps = estimates.holm(ps)
        tested = open_ if kind in GATE else np.zeros_like(open_)
        for (contrast, difference), p in zip(differences.items(), ps, strict=True):
            judged.append(_judged(contrast, difference, p, tested, rules))
            open_ = open_ & estimates.is_better(judged[-1].verdicts)
        if len(differences) < len(step):
            open_ = np.zeros_like(open_)
    return tuple(judged)


def judge_checks(
    scores: Mapping[str, Array], rules: Rules, *, sampled: bool = False
) -> tuple[Judgement, ...]:
    """Judge `checks`, each at alpha; one with a single seed in a trained arm is left out.

    ``sampled``: answers were drawn at a temperature above 0.  A single run of the base then has an
    error that nothing tells, and what is compared with it is left out, too.
    """
    fixed = () if sampled else (BASE,)
    several = {arm: y for arm, y in scores.items() if y.shape[-1] > 1 or arm in fixed}
    estimated = {c: estimate(several, c, rules.variance_of(c.name)) for c in checks(list(several))}
    tested = np.asarray(True)
    return tuple(_judged(c, d, d.p, tested, rules) for c, d in estimated.items())


def _judged(
    contrast: Contrast, difference: Estimate, p: Array, tested: Booleans, rules: Rules
) -> Judgement:
    delta, inside = difference.delta, difference.equivalence_p(rules.margin)
    verdict = estimates.verdicts(delta, p, inside, rules.alpha)
    return Judgement(contrast, difference, p, verdict, np.broadcast_to(tested, delta.shape))
