"""Study designs compared before training: the cost and power of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from ablations.arms import ARMS, drawn_alike
from ablations.statistics.contrasts import Rules
from ablations.statistics.design import looks, power
from ablations.statistics.design.roles import STANDARD, Contrast
from ablations.statistics.estimates import ROUNDING, Components
from ablations.study.forecast import Forecast
from ablations.study.plan import Plan, run_options, same_draws
from ablations.study.study import report_of
from harness.errors import UsageError
from harness.files.text import counted
from harness.runs.store import read_json

REPEATS = (2, 4)  # multiples of the planned repeats, shown if answers are sampled
MOST_SEEDS = 60
FEWEST_PAIRS = 5  # seeds of two arms, to estimate a correlation from
_LADDER = (3 / 8, 5 / 8, 1.0)  # looks at 3, 5 and 8 of eight seeds


@dataclass(frozen=True, slots=True)
class Design:
    """One way to show that the method differs from its baseline by the planned effect.

    ``power`` is at the planned seeds (None: too few for the design), ``needed`` the seeds per arm
    for the planned power (None: more than 60). ``expected`` is the mean number of seeds if the
    effect is as planned: fewer than needed if a look may stop the study. ``trainings`` and
    ``seconds`` (None: not measured) are for the expected seeds.
    """

    name: str
    repeats: int
    power: float | None
    needed: int | None
    expected: float | None
    trainings: float | None
    seconds: float | None


def designs(plan: Plan, forecast: Forecast, correlation: float) -> tuple[Design, ...]:
    """Return the possible designs of a plan; none if it does not train both arms.

    ``correlation`` is that of two arms' seeds if they draw the same items in the same order.
    """
    design = plan.request.design
    if not {design.method, design.baseline} <= set(forecast.trained):
        return ()
    rules, planned = plan.request.rules, forecast.seeds
    of = Components(forecast.training_sd**2, forecast.decoding_sd**2)
    made = []
    for name, (more, at) in _fixed(plan, of, correlation).items():
        tried = range(2, MOST_SEEDS + 1)
        needed = next((n for n in tried if at(n) >= rules.power), None)
        figures = (at(planned) if planned > 1 else None, needed, needed)
        made.append(_design(name, more * forecast.repeats, figures, forecast))
    return (*made, *_with_looks(rules, of, forecast, made[0].needed))


def _fixed(
    plan: Plan, of: Components, correlation: float
) -> dict[str, tuple[int, Callable[[int], float]]]:
    """Return, by design, its multiple of the repeats and its power by seeds per arm."""
    rules, variance = plan.request.rules, of.training + of.decoding
    arms = sum(arm.origin == "train" for arm in plan.arms)

    def t_power(n: int, scale: float, df: int) -> float:
        return power.power(rules.effect_size, (2 * variance * scale / n) ** 0.5, df, rules.alpha)

    def welch(more: int) -> Callable[[int], float]:
        each = Components(of.training, of.decoding / more)
        return lambda n: power.welch_power(rules.effect_size, each, each, (n, n), rules.alpha)

    made = {"welch": (1, welch(1)), "pooled": (1, lambda n: t_power(n, 1.0, arms * (n - 1)))}
    design = plan.request.design
    total = Contrast("total", str(design.method), str(design.baseline))
    if same_draws(plan.request, total):
        made["paired"] = (1, lambda n: t_power(n, 1 - correlation, n - 1))
    if run_options(plan.request)["temperature"] > 0:  # greedy repeats are identical
        made |= {f"welch, {more} x repeats": (more, welch(more)) for more in REPEATS}
    return made


def _with_looks(
    rules: Rules, of: Components, forecast: Forecast, welch_needed: int | None
) -> Iterator[Design]:
    """Yield the designs with looks: the planned ones, else at 3/8 and 5/8 of all seeds."""
    effect = rules.effect_size / (of.training + of.decoding) ** 0.5
    spendings: tuple[looks.Spending, ...] = ("obrien-fleming", "pocock")
    for spending in spendings:

        def course(at: Sequence[int], spending: looks.Spending = spending) -> looks.Course:
            return looks.simulated(at, looks.levels(at, spending, rules.alpha), effect)

        planned = None
        if rules.looks or forecast.seeds > 3:
            planned = course(rules.looks or _ladder(forecast.seeds)).rejected
        needed = expected = None
        # Looks need a few more seeds.
        for n in range(max(4, welch_needed or MOST_SEEDS), MOST_SEEDS + 1):
            at_n = course(_ladder(n))
            if at_n.rejected >= rules.power:
                needed, expected = n, at_n.seeds
                break
        figures = (planned, needed, expected)
        yield _design(f"welch, looks, {spending}", forecast.repeats, figures, forecast)


def _ladder(seeds: int) -> tuple[int, ...]:
    return tuple(sorted({max(2, ceil(share * seeds)) for share in _LADDER}))


def _design(
    name: str,
    repeats: int,
    figures: tuple[float | None, int | None, float | None],
    forecast: Forecast,
) -> Design:
    planned, needed, expected = figures
    trainings = seconds = None
    if expected is not None:
        trainings = expected * len(forecast.trained)
        seconds = forecast.seconds_of(expected, repeats)
    return Design(name, repeats, planned, needed, expected, trainings, seconds)


def cheapest(offered: Sequence[Design]) -> Design | None:
    """Return the design that reaches the planned power at the least cost; None if none does.

    The cost is time; if any time is unknown, the number of trainings, then repeats.
    """
    reach = [design for design in offered if design.expected is not None]
    by_time = all(design.seconds is not None for design in reach)
    return min(
        reach,
        key=lambda each: (each.seconds if by_time else each.trainings, each.repeats),
        default=None,
    )


def correlation_of(text: str | None, plan: Plan) -> float:
    """Return the correlation of seeds: a number, or an estimate from earlier studies; default 0.

    `UsageError` for anything else, for the study itself, or if too few of its arms match.
    """
    if text is None:
        return 0.0
    try:
        value = float(text)
    except ValueError:
        return _measured([Path(folder).resolve() for folder in text.split(",")], plan)
    if not -1 < value < 1:
        raise UsageError(f"--seed-correlation {text}: it must lie between -1 and 1")
    return value


def _measured(folders: Sequence[Path], plan: Plan) -> float:
    """Return the correlation within pairs of arms, over the seeds that both have.

    Only arms trained in the earlier study count: seeds of external ones cannot be matched.
    """
    products, squares, pairs = 0.0, 0.0, 0
    for folder in folders:
        if folder == plan.folder.resolve():
            raise UsageError(
                f"--seed-correlation {folder}: it is taken from earlier studies, never from the "
                "one that is judged by it"
            )
        if not (folder / "analysis.json").exists():
            raise UsageError(f"--seed-correlation: {folder} is not an analysed study")
        stored = read_json(folder / "plan.json").get("plan", {})
        scores = _by_seed(folder)
        for contrast in STANDARD.contrasts(scores):
            plus, minus = scores[contrast.plus], scores[contrast.minus]
            alike = drawn_alike(
                ARMS[contrast.plus], ARMS[contrast.minus], stored.get("matching", "instances")
            )
            shared = sorted(plus.keys() & minus.keys())
            if alike and len(shared) > 1:
                a, b = (np.array([arm[seed] for seed in shared]) for arm in (plus, minus))
                products += float(((a - a.mean()) * (b - b.mean())).sum())
                squares += float(a.var() * a.size + b.var() * b.size) / 2
                pairs += a.size
    if pairs < FEWEST_PAIRS or squares < ROUNDING:
        raise UsageError(
            f"--seed-correlation: these studies hold {counted(pairs, 'seed')} of two arms that "
            f"drew the same items in the same order; {FEWEST_PAIRS} with different scores are "
            "needed"
        )
    return min(products / squares, 0.99)


def _by_seed(folder: Path) -> dict[str, dict[int, float]]:
    try:
        report = report_of(read_json(folder / "analysis.json"))
        scores: dict[str, dict[int, float]] = {}
        for arm, values in report.macro.items():
            models = [model for model in report.models if model.arm == arm]
            if models and all(model.training for model in models):
                seeds = [model.seed for model in models]
                scores[arm] = dict(zip(seeds, values, strict=True))
    except ValueError as error:
        raise UsageError(f"{folder / 'analysis.json'} is corrupt: {error}") from error
    return scores
