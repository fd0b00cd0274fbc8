"""Format differences, intervals and p values: in points, in plain ASCII."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ablations.statistics.lines import BenchmarkLine, Line, Macro

MISSING = "-"


def points(value: float) -> str:
    """Return a difference in points with its sign: 0.018 is "+1.8", a rounding error "+0.0"."""
    return f"{round(100 * value, 9) + 0.0:+.1f}"


def interval(low: float | None, high: float | None) -> str:
    """Return an interval in points: "[+0.3, +3.3]"."""
    if low is None or high is None or isnan(low) or isnan(high):
        return MISSING
    return f"[{points(low)}, {points(high)}]"


def score_interval(low: float | None, high: float | None) -> str:
    """Return the interval of a score in percent: "[61.0, 67.2]"."""
    return MISSING if low is None or high is None else f"[{100 * low:.1f}, {100 * high:.1f}]"


def decisive(line: BenchmarkLine | Line | Macro, alpha: float) -> str:
    """Return the interval that decided the verdict; TOST's, of level 1 - 2 alpha, by name."""
    # The text of Verdict.EQUIVALENT: its module imports scipy, which commands load late.
    if line.verdict == "equivalent" and line.tost_low is not None:
        return f"{interval(line.tost_low, line.tost_high)} ({100 * (1 - 2 * alpha):g} % interval)"
    return interval(line.low, line.high)


def cells(line: BenchmarkLine | Line | Macro, p_adjusted: str, alpha: float) -> tuple[str, ...]:
    """Return difference, interval, p, adjusted p, minimal detectable effect and verdict."""
    numbers = points(line.delta), decisive(line, alpha), p_value(line.p), p_adjusted
    return (*numbers, width(line.mde), line.verdict or MISSING)


def p_value(p: float | None) -> str:
    """Return a p value to three places."""
    return MISSING if p is None else f"{p:.3f}" if p >= 0.001 else "<.001"


def width(value: float | None) -> str:
    """Return an unsigned size in points."""
    return MISSING if value is None else f"{100 * value:.1f}"
