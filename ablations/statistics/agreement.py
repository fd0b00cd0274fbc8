"""Check that the numbers of a saved analysis or comparison agree: no verdict of it is believed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace

import numpy as np
import scipy

from ablations.statistics import estimates
from ablations.statistics.analysis import (
    CLUSTERED,
    MCNEMAR,
    analyse,
    macro_average,
    sentence_of,
    waterfall,
)
from ablations.statistics.contrasts import Rules
from ablations.statistics.design.roles import Design
from ablations.statistics.estimates import Array, Items, McNemar, Verdict
from ablations.statistics.lines import Analysis, ArmLine, BenchmarkLine, Line, Macro, Term

Judged = Line | BenchmarkLine | Macro
ByBenchmark = Mapping[str, Mapping[str, Array]]
# What depends on items, which a saved analysis does not hold.
_OF_ITEMS = ("items", "clusters", "boot_low", "boot_high", "training_sd", "decoding_sd")


def close(a: float, b: float) -> bool:
    """Whether two numbers, computed in other ways, are the same."""
    try:
        return bool(np.isclose(a, b, rtol=1e-6, atol=1e-9))
    except OverflowError:  # an integer that no float holds
        return False


def check_line(name: str, line: Judged, p: float | None, rules: Rules, items: int = 0) -> None:
    """Check a difference's interval, ``p`` (decides) and verdict; `ValueError` if they disagree."""
    if any(each is not None and not 0 <= each <= 1 for each in (line.p, p)):
        raise ValueError(f"a p of {name} is not in [0, 1]")
    _check_intervals(name, line, rules, items)
    if line.verdict is not None and line.verdict not in _verdicts(line, p, rules):
        raise ValueError(f"the numbers of {name} do not say {line.verdict}")


def check_holm(name: str, lines: Iterable[tuple[float | None, float | None]]) -> None:
    """Check that the second of each pair is Holm's over all of the first; else `ValueError`."""
    ps, adjusted = np.array([*lines], dtype=float).reshape(-1, 2).T
    if not np.allclose(estimates.holm(ps), adjusted, rtol=1e-6, atol=1e-9, equal_nan=True):
        raise ValueError(f"the adjusted p of {name} is not Holm's")


def _check_intervals(name: str, line: Judged, rules: Rules, items: int) -> None:
    low, high, p = line.low, line.high, line.p
    if low is None or high is None:
        if {low, high, line.tost_low, line.tost_high} != {None} or p not in (None, 1.0):
            raise ValueError(f"an interval of {name} is not whole")
        return
    center, half = (low + high) / 2, (high - low) / 2
    right, ps = line.delta, []
    if line.test == MCNEMAR:
        test = _mcnemar(name, line.delta, half, rules.level, items)
        right, ps = float(test.adjusted.delta), [test.p]
    elif half > 0:  # the p of a t test with this interval lies between those of 1 and infinite df
        t = scipy.stats.t
        at = [abs(right) / half * t.isf(rules.alpha / 2, df) for df in (1, np.inf)]
        ps = [2 * float(t.sf(x, df)) for x, df in zip(at, (1, np.inf), strict=True)]
    inner = [low if line.tost_low is None else line.tost_low,
             high if line.tost_high is None else line.tost_high]  # fmt: skip
    bounds = [low, *inner, high]
    if not (close(center, right) and close(sum(inner) / 2, right) and bounds == sorted(bounds)):
        raise ValueError(f"an interval of {name} is not that of its difference")
    fits = bool(ps) and p is not None and min(ps) <= p <= max(ps)
    if p is not None and not (fits or any(close(p, each) for each in ps)):
        raise ValueError(f"p {p:.3g} of {name} does not fit its interval")


def _mcnemar(name: str, delta: float, half: float, level: float, items: int) -> McNemar:
    """Return the McNemar test with this interval: its width tells how many items differ."""
    net, n = round(delta * items), items + 2
    variance = (half / scipy.stats.norm.isf((1 - level) / 2)) ** 2
    differ = round((variance * n + (net / n) ** 2) * n) - 2
    if not (items > 0 and abs(net) <= differ <= items and close(net, delta * items)):
        raise ValueError(f"an interval of {name} is that of no McNemar test of {items} items")
    return estimates.mcnemar_of((differ + net) // 2, (differ - net) // 2, items)


def _verdicts(line: Judged, p: float | None, rules: Rules) -> set[Verdict]:
    """Return the verdicts that the numbers allow: several without an interval for equivalence."""
    bounds, margin = (line.tost_low, line.tost_high), rules.margin
    known = None not in bounds or line.low is None
    inside = None not in bounds and all(abs(bound or 0) < margin for bound in bounds)
    delta, decisive = np.asarray(line.delta), np.asarray(np.nan if p is None else p)
    found = {
        Verdict(str(estimates.verdicts(delta, decisive, np.asarray(not each, float), rules.alpha)))
        for each in ([inside] if known else [True, False])
    }
    no_loss = line.tost_low is None or line.tost_low > -margin
    return found | ({Verdict.NON_INFERIOR} if Verdict.INCONCLUSIVE in found and no_loss else set())


def checked(analysis: Analysis, scores: ByBenchmark, rules: Rules, design: Design) -> Analysis:
    """Return an analysis whose numbers are checked, with the sentence that they make.

    ``scores`` are those per seed by benchmark and arm: contrasts over seeds are computed again.
    `ValueError` if numbers contradict the scores or each other; it says how.
    """
    macro = macro_average(scores)
    again = _again(analysis, scores, rules, design)
    for lines, computed in ((analysis.contrasts, again.contrasts), (analysis.checks, again.checks)):
        for line in lines:
            (right,) = (c for c in computed if (c.kind, c.name) == (line.kind, line.name))
            if not _over_items(line):
                _check_same(line.name, line, right)
            elif line.tested and rules.inference == "seeds":
                raise ValueError(f"{line.name} is tested over items")
            p = line.p if line.p_holm is None else line.p_holm
            check_line(line.name, line, p, rules)
            _check_rows(line, right, rules)
    for arm, one in zip(analysis.arms, again.arms, strict=True):
        over_seeds = one.seeds > 1
        _check_same(arm.arm, arm, one if over_seeds else replace(arm, mean=one.mean, seeds=1))
    terms = waterfall(macro, analysis.contrasts, rules, design)
    for term, part in zip(analysis.waterfall, terms, strict=True):
        _check_same(f"the decomposition through {term.arm}", term, part)
    verdict = sentence_of(analysis.contrasts, analysis.checks, macro, rules, design)
    return replace(analysis, verdict=verdict)


def _over_items(line: Line) -> bool:
    return line.test.startswith((CLUSTERED, MCNEMAR))


def _again(analysis: Analysis, scores: ByBenchmark, rules: Rules, design: Design) -> Analysis:
    """Return the analysis of scores per seed, each benchmark's as if it had one item."""
    several = {arm for arms in scores.values() for arm, y in arms.items() if y.size > 1}
    sampled = any(
        _over_items(line) and line.plus in several and line.minus == design.start
        for line in (*analysis.contrasts, *analysis.checks)
    )
    return analyse(
        {name: {arm: y[:, None] for arm, y in arms.items()} for name, arms in scores.items()},
        dict.fromkeys(scores, Items.plain(1)),
        replace(rules, resamples=2),
        design=design,
        sampled=sampled,
    )


def _check_rows(line: Line, computed: Line, rules: Rules) -> None:
    rows = {row.benchmark: row for row in computed.benchmarks}
    check_holm(f"{line.name} on benchmarks", ((row.p, row.p_holm) for row in line.benchmarks))
    for row in line.benchmarks:
        name = f"{line.name} on {row.benchmark}"
        check_line(name, row, row.p_holm, rules, row.items)
        right = rows[row.benchmark]
        if _over_items(line):  # with one item in each there is a difference and nothing else
            right = replace(row, delta=right.delta)
        _check_same(name, row, right)


def _check_same(name: str, stored: Line | BenchmarkLine | ArmLine | Term, right: object) -> None:
    """Check every number, and what was tested; those of an older version may lack some."""
    for each in (field.name for field in fields(stored)):
        value, computed = getattr(stored, each), getattr(right, each)
        if each in _OF_ITEMS or value is False or not isinstance(value, int | float):
            continue
        if computed is None or not close(value, computed):
            told = f"{value:.4g}" if isinstance(value, float) else f"{value!s:.20}"
            raise ValueError(f"{each} {told} of {name} is not that of the scores")
