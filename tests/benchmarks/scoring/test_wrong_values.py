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


UNITS = ("", "°", "^\\circ", " cm", "\\text{ cm}")
BEHIND = (
    " + 3{}", " - 3{}", "+3{}", " \\times 2", " * 2", " / 2", "/2", " plus 3{}", " minus 3{}",
    " divided by 2", " \\pm 3{}", " to 12{}", " and a half", " or more", " - 3",
)  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("behind", BEHIND)
def test_a_value_with_a_calculation_behind_it_is_not_the_value(unit: str, behind: str) -> None:
    """ "60° - 15°" is no 60, and "5 cm + 3 cm" no 5, whatever the unit and the sign."""
    choices = (f"5{unit}", f"7{unit}", f"12{unit}", f"20{unit}")
    for form in FORMS:
        text = form.format(f"5{unit}{behind.format(unit)}")
        for target in (Target("number", "5"), Target("math", "5"), Target("choice", "A", choices)):
            given_ = score(text, target)
            assert given_.value == 0.0, (text, target, given_.why)


@pytest.mark.parametrize(
    ("text", "gold", "value"),
    [
        ("75° - 15° = 60°", "60", 1.0),
        ("The angle is 75^\\circ - 15^\\circ = 60^\\circ.", "60", 1.0),
        ("75^\\circ - 15^\\circ", "60", 1.0),
        ("5 cm + 3 cm = 8 cm", "8", 1.0),
        ("AB = 5 plus 3 = 8", "8", 1.0),
        ("5 plus 3 is 8.", "8", 1.0),
        ("60° 30'", "60", 0.0),
        ("Let AB be 60. Then CD follows from the figure, which is cut.", "60", 0.0),
        ("Five? No. Six.", "5", 0.0),
        ("Five? No. Six.", "6", 1.0),
        ("It is platform No. 5.", "5", 1.0),
    ],
)
def test_the_result_of_a_calculation_is_read(text: str, gold: str, value: float) -> None:
    assert score(text, Target("number", gold)).value == value


@pytest.mark.parametrize(
    ("gold", "unit", "text", "value"),
    [
        ("5", "$", "5 cents", 0.0),
        ("5", "$", "The price is 5 cents.", 0.0),
        ("5", "$", "It costs 5¢.", 0.0),
        ("5", "$", "It costs €5.", 0.0),
        ("5", "$", "500 cents", 1.0),
        ("5", "$", "It costs $5.", 1.0),
        ("5", "$", "5 dollars", 1.0),
        ("5", "$", "USD 5", 1.0),
        ("5", "$", "5", 1.0),
        ("5", "cents", "$5", 0.0),
        ("5", "cents", "It costs $0.05.", 1.0),
        ("5", "cents", "5 cents", 1.0),
        ("5", None, "It costs $17-$12 = $5 more.", 1.0),
        ("5", None, "$5", 1.0),
        ("5", "%", "5 per cent", 1.0),
    ],
)
def test_money_of_another_unit_is_another_amount(
    gold: str, unit: str | None, text: str, value: float
) -> None:
    assert score(text, Target("number", gold, unit=unit)).value == value


PRICES = ("$5", "$50", "5 cents", "50 cents")


@pytest.mark.parametrize(
    ("text", "letter"),
    [("5 dollars", "A"), ("50 cents", "D"), ("$0.05", "C"), ("$5", "A"), ("5¢", "C")],
)
def test_an_amount_is_the_option_of_its_unit(text: str, letter: str) -> None:
    assert score(text, Target("choice", "A", choices=PRICES)).prediction == letter


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


@pytest.mark.parametrize("unit", ["", "°", "^\\circ", " cm"])
@pytest.mark.parametrize(
    "text",
    [
        "The answer is {} to 1 decimal place.",
        "It is {} to 2 significant figures.",
        "The answer is {} - the smallest one.",
        "So x = {} - this is the only solution.",
        "Suppose the side is s. Then s = {}.",
        "12 divided by 2 is {}.",
    ],
)
def test_words_and_remarks_behind_a_value_leave_it_as_it_is(unit: str, text: str) -> None:
    assert score(text.format(f"60{unit}"), Target("number", "60")).value == 1.0


@pytest.mark.parametrize("text", ["It costs $5.", "The answer is $5.", "$5"])
def test_an_amount_is_shown_as_it_was_written(text: str) -> None:
    assert (score(text, Target("number", "5")).prediction or "").lstrip("$") == "5"


@pytest.mark.parametrize(
    ("text", "gold", "unit", "right"),
    [
        ("It is 7 times.", "7", "", True),
        ("It costs \\$1,250.00.", "1250", "$", True),
        ("The cost is $5 per item.", "5", "$", True),
        ("The acceleration is 9.8 m/s/s.", "9.8", "m/s^2", True),
        ("5 m × 3 m = 15 m²", "15", "m^2", True),
        ("3 m + 4 m = 8 m", "7", "m", False),
        ("2q + 3 = 7 m", "7", "m", False),
        ("It is 5m-3m.", "5", "m", False),
        ("The answer is 7 - tax.", "7", "", False),
        ("If I look at the picture I see 7 dots. They are red.", "7", "", True),
        ("There are 7 dots if the hidden one counts. That is all.", "7", "", True),
        ("Suppose there are 7 balls. The balls are red.", "7", "", False),
    ],
)
def test_a_rule_against_other_values_rejects_no_right_one(
    text: str, gold: str, unit: str, right: bool
) -> None:
    target = Target("math", gold, unit=unit) if unit else Target("number", gold)
    assert score(text, target).value == right


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("My first answer was B. So C.", "C"),
        ("B never violates the rule.", "B"),
        ("B is a bear trap, as the picture shows.", "B"),
        ("B klingt verlockend und ist richtig.", "B"),
    ],
)
def test_what_is_no_denial_leaves_its_letter(text: str, letter: str) -> None:
    target = Target("choice", letter, choices=("red", "blue", "green", "white"))
    assert score(text, target).value == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "My initial guess is B. C is close but no.",
        "The first answer choice, B, is right; C is for another figure.",
    ],
)
def test_a_present_first_answer_gives_no_credit_to_a_later_letter(text: str) -> None:
    assert score(text, Target("choice", "C", choices=("red", "blue", "green", "white"))).value == 0
