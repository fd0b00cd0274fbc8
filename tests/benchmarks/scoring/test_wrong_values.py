"""A value that was changed is not credited: digits, signs, powers, units, option numbers."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scoring import Target, score
from benchmarks.scoring.normal import normal
from tests.benchmarks.scoring.test_million import mutated
from tests.examples import FULL, examples

FORMS = (
    "{}",
    "The answer is {}.",
    "\\boxed{{{}}}",
    "Answer: {}",
    "**{}**",
    "<answer>{}</answer>",
    "So we get {}.",
    "Therefore, the result is ${}$.",
    "x = {}",
    "It is {}, as one can see.",
)


def changed(number: int, decimals: int, chance: random.Random) -> str:
    """Return another number than the gold: a digit, its sign, its power of ten, or its inverse."""
    gold = f"{number / 10**decimals:.{decimals}f}"
    position = chance.choice([i for i, sign in enumerate(gold) if sign.isdigit()])
    other = chance.choice([digit for digit in "123456789" if digit != gold[position]])
    return chance.choice(
        (
            gold[:position] + other + gold[position + 1 :],
            f"-{gold}",
            f"{gold} \\times 10^{{{chance.choice((-3, -2, 2, 3, 6))}}}",
            f"{gold}\\sqrt{{2}}",
            f"{gold}\\pi",
            f"1/{gold}",
            f"{gold}^2",
            f"{gold} million",
            f"{gold} or {number + 7}",
            f"{gold[0]}{gold}",
        )
    )


cases = st.tuples(st.integers(200, 99_999), st.integers(0, 2), st.randoms(use_true_random=False))


@given(cases, st.sampled_from(FORMS), st.sampled_from(("number", "math")))
@examples(600)
def test_a_changed_value_is_wrong(
    case: tuple[int, int, random.Random], form: str, kind: str
) -> None:
    number, decimals, chance = case
    gold = f"{number / 10**decimals:.{decimals}f}"
    text = form.format(changed(number, decimals, chance))
    given_ = score(text, Target(kind, gold))  # type: ignore[arg-type]
    assert given_.value == 0.0, (gold, text, given_.why)


@given(cases, st.sampled_from(FORMS), st.sampled_from(("mm", "km", "g", "kg", "s", "J")))
@examples(300)
def test_a_value_in_another_unit_is_wrong(
    case: tuple[int, int, random.Random], form: str, unit: str
) -> None:
    number = case[0]
    text = form.format(f"{number} \\text{{ {unit}}}")
    given_ = score(text, Target("number", str(number), unit="m"))
    assert given_.value == 0.0, (text, given_.why)


@given(cases, st.sampled_from(FORMS))
@examples(300)
def test_a_changed_value_is_no_option(case: tuple[int, int, random.Random], form: str) -> None:
    number, decimals, chance = case
    gold = f"{number / 10**decimals:.{decimals}f}"
    choices = (gold, f"{number + 1000}", f"{number + 2000}", "none of these")
    text = form.format(changed(number, decimals, chance))
    given_ = score(text, Target("choice", "A", choices=choices))
    assert given_.value == 0.0, (gold, text, given_.why)


@pytest.mark.skipif(not FULL, reason="in the ci profile")
def test_mutations_around_a_changed_value_are_not_credited() -> None:
    """Fifty thousand texts that never write the gold."""
    chance = random.Random(7)
    for _ in range(50_000):
        number, decimals = chance.randrange(200, 99_999), chance.randrange(3)
        gold = f"{number / 10**decimals:.{decimals}f}"
        text = mutated(chance.choice(FORMS).format(changed(number, decimals, chance)), chance)
        if gold.rstrip("0.") not in re.sub(r"[^\d.]", "", normal(text)):
            assert score(text, Target("number", gold)).value == 0.0, (gold, text)
