"""Turns the lines of an analysis into one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ablations.statistics.contrasts import (
    DATA,
    GAIN,
    GATE,
    NO_GAIN,
    NOT_TESTED,
    ONE_SEED,
    PLACEBO,
    START,
    Kind,
    Rules,
)
from ablations.statistics.estimates import (
    BETTER,
    EQUIVALENT,
    INCONCLUSIVE,
    WITHIN,
    WORSE,
)
from ablations.statistics.lines import Line


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
