"""The sentence for a study with a custom design: each contrast in the order of tests."""

from __future__ import annotations

from collections.abc import Sequence

from ablations.statistics.contrasts import Rules
from ablations.statistics.design.roles import Design
from ablations.statistics.estimates import Verdict
from ablations.statistics.lines import Line
from ablations.statistics.text.verdict import WITHIN, figures_of, losses

# A verdict within the margin has the claim of the same verdict without, and says so.
_CLAIMS = {
    Verdict.BETTER: "{plus} is better than {minus}",
    Verdict.EQUIVALENT: "{plus} and {minus} are equivalent",
    Verdict.WORSE: "{plus} is worse than {minus}",
    Verdict.NON_INFERIOR: "{plus} is not worse than {minus} by more than {margin} points",
    Verdict.INCONCLUSIVE: "no difference between {plus} and {minus} is shown",
}
_TRENDS = {
    Verdict.BETTER: "scores rise with {knob}",
    Verdict.EQUIVALENT: "scores do not depend on {knob} beyond the margin",
    Verdict.WORSE: "scores fall with {knob}",
    Verdict.INCONCLUSIVE: "no trend over {knob} is shown",
}


def answers(lines: Sequence[Line], checks: Sequence[Line], rules: Rules, design: Design) -> str:
    """Return each tested contrast's claim, all figures, and what the checks withhold."""
    tested = [line for line in lines if line.tested]
    claims = [claim(line, rules, design) for line in tested]
    conclusion = "; ".join(claims) if claims else "Nothing could be tested"
    if not (tested and conclusion.startswith(tested[0].plus)):  # keep a name's case
        conclusion = conclusion[:1].upper() + conclusion[1:]
    over_start = [line for line in checks if line.kind == "start"]
    figures = [figures_of([line], rules, with_verdicts=True) for line in lines]
    if over_start:
        listed = figures_of(over_start, rules, with_verdicts=True)
        figures.append(f"against {design.start} ({listed})")
    withheld = "".join(f"; but {each}" for each in _withheld(lines, checks, design))
    return f"{conclusion}{withheld}: {'; '.join(figures)}."


def claim(line: Line, rules: Rules, design: Design) -> str:
    """Return the claim that a contrast's verdict makes."""
    verdict, margin = line.verdict, f"{100 * rules.margin:g}"
    assert verdict is not None
    knobs = {each.name: each.knob for step in design.steps for each in step.contrasts}
    texts = _TRENDS if line.kind == "trend" else _CLAIMS
    strict = Verdict.BETTER if verdict.is_better else Verdict.WORSE if verdict.is_worse else verdict
    said = texts[strict].format(
        plus=line.plus, minus=line.minus, margin=margin, knob=knobs[line.name]
    )
    said += WITHIN * verdict.within_margin
    return said + (_by_benchmark(line) if line.kind == "regression" else losses(line.benchmarks))


def _by_benchmark(line: Line) -> str:
    worse = [row.benchmark for row in line.benchmarks if row.verdict and row.verdict.is_worse]
    open_ = [row.benchmark for row in line.benchmarks if row.verdict is Verdict.INCONCLUSIVE]
    parts = [f"losses on {', '.join(worse)}" if worse else "no loss shown on any benchmark"]
    if open_:
        parts.append(f"a loss beyond the margin not excluded on {', '.join(open_)}")
    return f" on average, {', '.join(parts)}"


def _withheld(lines: Sequence[Line], checks: Sequence[Line], design: Design) -> list[str]:
    """Return why a shown gain may be none: start not beaten, or a control that lost."""
    better = {line.plus for line in lines if line.verdict and line.verdict.is_better}
    reasons = [
        f"{check.plus} is not shown to be better than {design.start}"
        for check in checks
        if check.kind == "start" and check.plus in better
        if check.verdict is not None and not check.verdict.is_better
    ]
    return reasons + [
        f"{check.plus} loses to {design.baseline} beyond the margin"
        for check in checks
        if check.kind == "control" and check.verdict is Verdict.WORSE
    ]
