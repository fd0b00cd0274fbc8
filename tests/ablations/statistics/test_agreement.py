"""Saved numbers are believed only where they agree: laws over analyses and comparisons of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablations.statistics.agreement import check_holm, check_line, checked
from ablations.statistics.analysis import ItemsTest, analyse, items_lines, per_seed
from ablations.statistics.comparison.sides import Comparison, items_macro, mean_of
from ablations.statistics.comparison.stored import read_comparisons
from ablations.statistics.contrasts import Rules
from ablations.statistics.design.roles import STANDARD, Contrast, Design, Step
from ablations.statistics.estimates import VERDICTS, Array, Items, Verdict
from ablations.statistics.lines import Analysis, BenchmarkLine, Macro
from ablations.study.plan import json_text
from harness.errors import UsageError

RULES = Rules(margin=0.05, effect_size=0.1, resamples=20)
# Five arms; the trend's levels are not evenly spaced.
LEVELS = (("grpo", 0.0), ("da-rl", 1.0), ("contextrl-shuffled", 7.0), ("contextrl", 2.0))
_ROLES = {
    "base": "start", "grpo": "baseline", "da-rl": "data_control", "contextrl": "method",
    "contextrl-shuffled": "placebo",
}  # fmt: skip
OWN = Design(
    _ROLES,  # type: ignore[arg-type]
    (
        Step((Contrast("regression", "contextrl", "grpo"),)),
        Step((Contrast("total", "contextrl", "grpo"), Contrast("data", "da-rl", "grpo")), "holm"),
        Step((Contrast("trend", "contextrl-shuffled", "grpo", "knob", LEVELS),), "estimate"),
    ),
)
PAIRED = ("contextrl - grpo", "contextrl - da-rl")
KINDS: Mapping[str, tuple[Rules, Design]] = {
    "welch": (RULES, STANDARD),
    "pooled": (replace(RULES, variance="pooled"), STANDARD),
    "paired": (replace(RULES, variance="paired", paired=PAIRED), STANDARD),
    "own": (RULES, OWN),
    "items": (replace(RULES, inference="items"), STANDARD),
    "a look": (replace(RULES, alpha=0.005), STANDARD),
}


def study(seed: int, seeds: int, base: int = 1) -> tuple[dict[str, dict[str, Array]], Any]:
    """Return binary answers of five arms to two benchmarks, one of them in few clusters."""
    rng = np.random.default_rng(seed)
    level = dict(zip(_ROLES, rng.uniform(0.2, 0.9, len(_ROLES)), strict=True))
    scores = {
        name: {
            arm: (rng.random((base if arm == "base" else seeds, 40)) < level[arm]).astype(float)
            for arm in _ROLES
        }
        for name in ("vstar", "blink")
    }
    grouped = Items(np.arange(40) // 13, np.ones((40, 1), dtype=bool))
    return scores, {"vstar": Items.plain(40), "blink": grouped}


def read(analysis: Analysis, scores: Any, items: Any, kind: str) -> Analysis:
    rules, design = KINDS[kind]
    return checked(analysis, per_seed(scores, items), rules, design)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("seeds", "base", "sampled"), [(3, 1, False), (2, 1, True), (4, 2, True), (1, 1, False)]
)
def test_what_an_analysis_says_agrees(kind: str, seeds: int, base: int, sampled: bool) -> None:
    rules, design = KINDS[kind]
    scores, items = study(seeds, seeds, base)
    found = analyse(scores, items, rules, ("vstar",), design, sampled=sampled)
    assert read(found, scores, items, kind) == found


# Of each record, the numbers that only items, or another program, can tell.
UNKNOWN = {
    "mde", "items", "clusters", "boot_low", "boot_high", "training_sd", "decoding_sd",
    "p_equivalence",
}  # fmt: skip


def edits(record: Any) -> list[tuple[str, Any]]:
    """Return a change of each number and verdict of a record."""
    found: list[tuple[str, Any]] = []
    for at, name in enumerate(field.name for field in fields(record)):
        value = getattr(record, name)
        if isinstance(value, Verdict):
            found.append((name, Verdict.MIXED))
            found += [(name, other) for other in VERDICTS if other is not value]
        elif isinstance(value, float) and name not in UNKNOWN:
            found.append((name, value + (0.2, -0.2)[at % 2]))
    return found


@pytest.mark.parametrize("kind", ["welch", pytest.param("own", marks=pytest.mark.slow)])
def test_an_edited_number_of_contrasts_over_seeds_is_refused(kind: str) -> None:
    rules, design = KINDS[kind]
    scores, items = study(1, 3, base=3)
    found = analyse(scores, items, rules, ("vstar",), design)
    assert read(found, scores, items, kind) == found
    for part in ("contrasts", "checks", "arms", "waterfall"):
        for at, record in [*enumerate(getattr(found, part))][:1]:
            for name, value in edits(record):
                _refused(found, part, at, {name: value}, scores, items, kind)
            for row in getattr(record, "benchmarks", ())[1:]:
                for name, value in edits(row):
                    rows = (record.benchmarks[0], replace(row, **{name: value}))
                    _refused(found, part, at, {"benchmarks": rows}, scores, items, kind)


def test_an_interval_of_no_width_is_refused() -> None:
    scores, items = study(1, 3)
    found = analyse(scores, items, RULES, ("vstar",))
    delta = found.contrasts[0].delta
    point = dict.fromkeys(("low", "high", "tost_low", "tost_high"), delta)
    line = replace(found.contrasts[0], p=0.03, **point)
    with pytest.raises(ValueError, match="does not fit its interval"):
        check_line("total", line, 0.03, RULES)


def test_an_integer_that_no_float_holds_is_refused() -> None:
    scores, items = study(1, 3)
    found = analyse(scores, items, RULES, ("vstar",))
    arms = (replace(found.arms[0], seeds=10**400), *found.arms[1:])
    with pytest.raises(ValueError, match=r"1000.* is not"):
        read(replace(found, arms=arms), scores, items, "welch")


def _refused(
    found: Analysis, part: str, at: int, changed: dict[str, Any], scores: Any, items: Any, kind: str
) -> None:
    records = list(getattr(found, part))
    records[at] = replace(records[at], **changed)
    edited = replace(found, **{part: tuple(records)})
    with pytest.raises(ValueError, match=r" of .* (is not|does not|do not)"):
        read(edited, scores, items, kind)


def test_the_sentence_is_that_of_the_numbers() -> None:
    scores, items = study(1, 3)
    found = analyse(scores, items, RULES, ("vstar",))
    forged = replace(found, verdict="The objective is proven.")
    assert read(forged, scores, items, "welch") == found


def compared(seed: int, n: int, shift: float, clusters: int) -> tuple[list[BenchmarkLine], Macro]:
    """Return two checkpoints' lines on three benchmarks, and their mean."""
    rng = np.random.default_rng(seed)
    tests, items = {}, {}
    for name, size, graded in (("a", 1, False), ("b", clusters, False), ("c", 1, True)):
        items[name] = Items(np.arange(n) // size, np.ones((n, 1), dtype=bool))
        low, high = (rng.random((1, n)) + each for each in (0.0, shift))
        a, b = ((y > 0.5).astype(float) if not graded else np.clip(y, 0, 1) for y in (low, high))
        tests[name] = ItemsTest.of(b, a, items[name], single=True)
    lines = items_lines(tests, items, RULES)
    return lines, mean_of(lines, items_macro(tests, RULES))


def check_family(lines: list[BenchmarkLine], macro: Macro) -> None:
    check_holm("mine", ((line.p, line.p_holm) for line in lines))
    for line in lines:
        check_line("mine", line, line.p_holm, RULES, line.items)
    check_line("mine", macro, macro.p, RULES)


@given(
    seed=st.integers(0, 10**6), n=st.integers(2, 60), clusters=st.integers(1, 9),
    shift=st.sampled_from([0.0, 0.01, 0.3, 1.0]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_what_a_comparison_says_agrees(seed: int, n: int, clusters: int, shift: float) -> None:
    check_family(*compared(seed, n, shift, clusters))


SIZES = [
    [(1, "right"), (20, "any")], [(1, "graded"), (20, "graded"), (3, "any")], [(1, "any")],
    [(2, "right"), (1, "right")], [(20, "right"), (20, "any")],
]  # fmt: skip


@pytest.mark.parametrize("sizes", SIZES)
def test_a_comparison_of_any_size_is_read_as_it_was_saved(
    tmp_path: Path, sizes: list[tuple[int, str]]
) -> None:
    rng, saved_to = np.random.default_rng(0), tmp_path / "comparison.json"
    tests = {}
    for at, (n, kind) in enumerate(sizes):
        a, b = rng.random((2, 1, n))
        a, b = (a, b) if kind == "graded" else ((y > 0.5 * (kind == "any")) * 1.0 for y in (a, b))
        tests[str(at)] = ItemsTest.of(b, a, Items.plain(n), single=True)
    lines = items_lines(
        tests, dict(zip(tests, (Items.plain(n) for n, _ in sizes), strict=True)), RULES
    )
    macro = mean_of(lines, items_macro(tests, RULES))
    found = Comparison("checkpoints", "", macro, lines, RULES.margin, RULES.alpha, ())
    saved_to.write_text(json_text(found))
    assert read_comparisons(saved_to).to_frame().equals(found.to_frame())
    if sum(line.mde is not None for line in lines) == macro.averaged != len(lines):
        delta = macro.delta + 0.1
        saved_to.write_text(json_text(replace(found, macro=replace(macro, delta=delta))))
        with pytest.raises(UsageError, match="is not that of"):
            read_comparisons(saved_to)


def test_an_edited_number_of_a_comparison_is_refused() -> None:
    lines, macro = compared(3, 60, 0.1, 3)
    check_family(lines, macro)
    for at, line in enumerate(lines):
        for name, value in edits(line):
            edited = [*lines[:at], replace(line, **{name: value}), *lines[at + 1 :]]
            with pytest.raises(ValueError, match=r"is not|does not|do not|is that of no"):
                check_family(edited, macro)
    for name, value in edits(macro):
        with pytest.raises(ValueError, match=r"of mine|mine do not"):
            check_family(lines, replace(macro, **{name: value}))
