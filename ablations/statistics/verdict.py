"""Turns the lines of an analysis into one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ablations.statistics.contrasts import (
    BASELINE,
    DATA_CONTROLS,
    GATE,
    METHOD,
    NO_GAIN,
    ONE_SEED,
    PLACEBOS,
    Kind,
    Rules,
)
from ablations.statistics.estimates import Verdict
from ablations.statistics.formatting import MISSING, interval, points
from ablations.statistics.lines import Line

WITHIN = " (within the margin)"


def sentence(lines: Sequence[Line], rules: Rules) -> str:
    """Return the verdict in one sentence: a conclusion, then total, objective, placebo and data."""
    steps = {kind: [line for line in lines if line.kind == kind] for kind in GATE}
    figures = "; ".join(_step(kind, steps[kind], rules) for kind in GATE)
    return f"{_conclusion(steps)}: {figures}."


def _better(step: Sequence[Line]) -> bool:
    """Whether a step was tested and all of it is better."""
    return bool(step) and all(line.verdict and line.verdict.is_better for line in step)


def _conclusion(steps: Mapping[Kind, Sequence[Line]]) -> str:
    total, objective = steps["total"], steps["objective"]
    if not total:
        return f"No gain of {METHOD} over {BASELINE} can be judged without both arms"
    verdict = total[0].verdict
    if verdict is None:
        why = f"with one seed in an arm ({ONE_SEED})"
        return f"No gain of {METHOD} over {BASELINE} can be judged {why}"
    if verdict.is_worse:
        return f"{METHOD} loses to {BASELINE}"
    if not verdict.is_better:
        return f"No gain of {METHOD} over {BASELINE} is shown"
    gain = f"The gain of {METHOD} over {BASELINE} is real{WITHIN * verdict.within_margin}"
    if not objective:
        return f"{gain}, and without a data arm its source cannot be judged"
    if not _better(objective):
        if all(line.verdict is Verdict.EQUIVALENT for line in objective):
            return f"{gain}, but the objective adds nothing to what its data gives{WITHIN}"
        return f"{gain}, but it is not shown to come from the objective"
    return f"{gain} and {_source(steps)}{_not_compared(steps)}"


def _source(steps: Mapping[Kind, Sequence[Line]]) -> str:
    """Return where a gain comes from that is more than every data arm's."""
    if steps["placebo"] and not _better(steps["placebo"]):
        return "more than its data gives, but the placebo is not shown to lack it"
    data = {line.verdict for line in steps["data"]}
    if Verdict.BETTER in data:
        return "comes from the objective and from the data"
    if not data or not data <= set(NO_GAIN):
        return "comes from the objective, whether or not the data adds to it"
    if Verdict.BETTER_WITHIN_MARGIN in data:
        return "comes from the objective, and what the data adds lies within the margin"
    return "comes from the objective, not from the data"


def _not_compared(steps: Mapping[Kind, Sequence[Line]]) -> str:
    """Return which arms the claim was not compared with."""
    compared = {line.minus for line in (*steps["objective"], *steps["placebo"])}
    missing = [arm for arm in (*DATA_CONTROLS, *PLACEBOS) if arm not in compared]
    return f" (not compared with {', '.join(missing)})" if missing else ""


def step_verdict(kind: Kind, step: Sequence[Line]) -> Verdict:
    """Return the verdict of a step that has contrasts: theirs, where they agree.

    Better is better with or without the margin.  The data contrasts make a claim each, those of the
    objective one together.
    """
    if not any(line.tested for line in step):
        return Verdict.NOT_TESTED
    verdicts = {line.verdict or Verdict.NOT_TESTED for line in step}
    if len(verdicts) == 1:
        return verdicts.pop()
    if _better(step):
        return Verdict.BETTER
    return Verdict.MIXED if kind == "data" else Verdict.INCONCLUSIVE_TOGETHER


def _step(kind: Kind, step: Sequence[Line], rules: Rules) -> str:
    if not step:
        return f"{kind} missing"
    verdict = step_verdict(kind, step)
    apart = len({line.verdict for line in step}) > 1 and verdict is not Verdict.BETTER
    figures = []
    for line in step:
        bounds = interval(line.low, line.high)
        figure = f"{line.name} {points(line.delta)} points" + f" {bounds}" * (bounds != MISSING)
        figures.append(figure + f" {line.verdict or Verdict.NOT_TESTED}" * apart)
    margin = f" within {100 * rules.margin:g} points" if verdict is Verdict.EQUIVALENT else ""
    return f"{kind} {verdict}{margin} ({', '.join(figures)})"
