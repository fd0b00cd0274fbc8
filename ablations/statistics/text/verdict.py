"""Turn the lines of an analysis into one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ablations.arms import Role
from ablations.statistics.contrasts import NO_GAIN, ONE_SEED, Rules
from ablations.statistics.design.roles import GATE, STANDARD, Design, Kind
from ablations.statistics.estimates import Verdict
from ablations.statistics.lines import BenchmarkLine, Line
from ablations.statistics.text.formatting import MISSING, decisive, points
from harness.files.text import counted

WITHIN = " (within the margin)"
Steps = Mapping[Kind, Sequence[Line]]

# The method against the model before training: why a gain over the baseline may not be a gain.
_OVER_START = {
    Verdict.WORSE: "loses to {}, so nothing was gained",
    Verdict.WORSE_WITHIN_MARGIN: f"loses to {{}}{WITHIN}, so nothing was gained",
    Verdict.EQUIVALENT: "is equivalent to {}, so nothing was gained",
    Verdict.INCONCLUSIVE: "is not shown to be better than {}",
}
# Verdicts that exclude a loss beyond the margin.
_NO_LOSS = (Verdict.BETTER, Verdict.BETTER_WITHIN_MARGIN, Verdict.EQUIVALENT,
            Verdict.WORSE_WITHIN_MARGIN, Verdict.NON_INFERIOR)  # fmt: skip
# What is missing from a study without an arm of a role.
_LACKING: dict[Role, str] = {
    "start": "the model before training",
    "data_control": "the data alone",
    "placebo": "a placebo",
}


def sentence(
    lines: Sequence[Line], checks: Sequence[Line], rules: Rules, design: Design = STANDARD
) -> str:
    """Return the verdict in one sentence: conclusion, the steps, the arms against the start."""
    steps: dict[Kind, list[Line]] = {kind: [] for kind in (*GATE, "form", "start", "control")}
    for line in (*lines, *checks):
        steps.setdefault(line.kind, []).append(line)  # others are estimates only
    asked = {contrast.kind for step in design.steps for contrast in step.contrasts}
    figures = [_step(kind, steps[kind], rules) for kind in GATE if kind in asked]
    if start := steps["start"]:
        figures.append(f"against {design.start} ({figures_of(start, rules, with_verdicts=True)})")
    return f"{_conclusion(steps, rules, design)}: {'; '.join(figures)}."


def losses(benchmarks: Sequence[BenchmarkLine]) -> str:
    """Return the significantly worse benchmarks, as an addition to a verdict."""
    names = [line.benchmark for line in benchmarks if line.verdict and line.verdict.is_worse]
    return f", with losses on {', '.join(names)}" if names else ""


def _better(step: Sequence[Line]) -> bool:
    return bool(step) and all(line.verdict and line.verdict.is_better for line in step)


def _failed(steps: Steps, arms: Sequence[str], baseline: str | None) -> str:
    checked = [line for line in steps["control"] if line.plus in arms]
    failed = [line.plus for line in checked if line.verdict is Verdict.WORSE]
    verb = "loses" if len(failed) == 1 else "lose"
    return f"{', '.join(failed)} {verb} to {baseline} beyond the margin" if failed else ""


def _conclusion(steps: Steps, rules: Rules, design: Design) -> str:
    method, baseline = design.method, design.baseline
    if not steps["total"]:
        return f"No gain of {method} over {baseline} can be judged without both arms"
    (total,) = steps["total"]
    if total.verdict is None:
        why = f"with one seed in an arm ({ONE_SEED})"
        return f"No gain of {method} over {baseline} can be judged {why}"
    items = counted(sum(line.items for line in total.benchmarks), "item", ",")
    here = f" on these {items}"
    here += "" if _holds_for_new(total) else " (not shown for new items)"
    if total.verdict.is_worse:
        return f"{method} loses to {baseline}{WITHIN * total.verdict.within_margin}{here}"
    lost = losses(total.benchmarks)
    if not total.verdict.is_better:
        return f"No gain of {method} over {baseline} is shown{lost}"
    over_base = {line.plus: line.verdict for line in steps["start"]}.get(str(method))
    if over_base is not None and not over_base.is_better:
        only = f"{method} is better than {baseline}{here}{lost}"
        return f"{only}, but it {_OVER_START[over_base].format(design.start)}"
    gain = f"The gain of {method} over {baseline} is real{WITHIN * total.verdict.within_margin}"
    source = _source(steps, rules, design)
    comma = "," if lost and source.startswith(" and") else ""
    return f"{gain}{here}{lost}{comma}{source}"


def _source(steps: Steps, rules: Rules, design: Design) -> str:
    objective = steps["objective"]
    if not objective:
        return ", and without a data arm its source cannot be judged"
    if failed := _failed(steps, design.named("data_control"), design.baseline):
        return f", but its source cannot be judged, because {failed}"
    if not _better(objective):
        if all(line.verdict is Verdict.EQUIVALENT for line in objective):
            return f", but the objective adds nothing to what its data gives{WITHIN}"
        if ahead := [line.minus for line in objective if line.verdict and line.verdict.is_worse]:
            return f", but {design.method} loses to {', '.join(ahead)}, which has the same data"
        return ", but it is not shown to come from the objective"
    return f" and {_beyond_data(steps, design)}{_caveats(steps, rules, design)}"


def _beyond_data(steps: Steps, design: Design) -> str:
    """Return the source of a gain that exceeds every data arm's."""
    if failed := _failed(steps, design.named("placebo"), design.baseline):
        return f"more than its data gives, but its source cannot be judged, because {failed}"
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


def _caveats(steps: Steps, rules: Rules, design: Design) -> str:
    """Return, in parentheses, what a claim about the objective does not cover; "" if nothing."""
    claimed = [*steps["objective"], *steps["placebo"]]
    compared = {line.minus for line in (*claimed, *steps["start"]) if line.tested}
    missing = [
        arm
        for role, lacking in _LACKING.items()
        for arm in design.named(role) or (lacking,)
        if arm not in compared
    ]
    caveats = [f"not compared with {', '.join(missing)}"] if missing else []
    winners = [line.plus for line in steps["control"] if _better([line])]
    if gained := [arm for arm in winners if arm in design.named("placebo")]:
        verb = "gains" if len(gained) == 1 else "gain"
        caveats.append(f"{', '.join(gained)} {verb} over {design.baseline}, too")
    unsound = [
        line.plus
        for line in steps["control"]
        if line.plus in compared
        and line.verdict is not Verdict.WORSE  # already in the verdict
        and (line.tost_low is None or line.tost_low <= -rules.margin)
    ]
    if unsound:
        lost = f"a loss of {', '.join(unsound)} to {design.baseline} beyond the margin"
        caveats.append(f"{lost} is not excluded")
    if names := [line.name for line in claimed if _better([line]) and not _holds_for_new(line)]:
        caveats.append(f"{', '.join(names)} not shown for new items")
    return f" ({'; '.join(caveats)})" if caveats else ""


def _holds_for_new(line: Line) -> bool:
    """Whether the interval with resampled items exists and excludes 0."""
    if line.boot_low is None or line.boot_high is None:
        return False
    return line.boot_low > 0 or line.boot_high < 0


def step_verdict(kind: Kind, step: Sequence[Line], *, one_claim: bool | None = None) -> Verdict:
    """Return the verdict of a step that has contrasts: theirs, if they agree.

    Better is better with or without the margin. ``one_claim``: all contrasts make one claim
    together; by default true for every kind but data.
    """
    if not any(line.tested for line in step):
        return Verdict.NOT_TESTED
    verdicts = {line.verdict or Verdict.NOT_TESTED for line in step}
    if len(verdicts) == 1:
        return verdicts.pop()
    if _better(step):
        return Verdict.BETTER
    if kind == "regression" and verdicts <= set(_NO_LOSS):
        return Verdict.NON_INFERIOR
    together = kind != "data" if one_claim is None else one_claim
    return Verdict.INCONCLUSIVE_TOGETHER if together else Verdict.MIXED


def withheld(step: Sequence[Line], checks: Sequence[Line], design: Design = STANDARD) -> str:
    """Return why a check withholds the claim of a step that came out better; "" if none does."""
    if not _better(step):
        return ""
    arms = {line.minus for line in step}
    broken = [c.plus for c in checks if c.kind == "control" and c.verdict is Verdict.WORSE]
    if failed := [arm for arm in broken if arm in arms]:
        return f"failed control: {', '.join(failed)}"
    claimed = {design.method} if design.locates_gain else {line.plus for line in step}
    over_base = [c for c in checks if c.kind == "start" and c.plus in claimed and c.verdict]
    return f"not better than {design.start}" if over_base and not _better(over_base) else ""


def _step(kind: Kind, step: Sequence[Line], rules: Rules) -> str:
    if not step:
        return f"{kind} missing"
    verdict = step_verdict(kind, step)
    apart = len({line.verdict for line in step}) > 1 and verdict is not Verdict.BETTER
    margin = f" within {100 * rules.margin:g} points" if verdict is Verdict.EQUIVALENT else ""
    return f"{kind} {verdict}{margin} ({figures_of(step, rules, with_verdicts=apart)})"


def figures_of(lines: Sequence[Line], rules: Rules, *, with_verdicts: bool) -> str:
    """Return contrasts with their difference, deciding interval and verdict."""
    figures = []
    for line in lines:
        verdict = f" {line.verdict or Verdict.NOT_TESTED}" * with_verdicts
        bounds = decisive(line, rules.alpha)
        bounds = "" if bounds == MISSING else f" {bounds}"
        figures.append(f"{line.name} {points(line.delta)} points{bounds}{verdict}")
    return ", ".join(figures)
