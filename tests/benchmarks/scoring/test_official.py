"""The official programs' readings: against what they stored, and what they may take away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scoring import Target, score
from benchmarks.scoring.extract import boxes
from benchmarks.scoring.official import blink_letter, mathvision_formula, mmmu_letter
from tests.benchmarks.scoring.test_properties import OPTIONS, TARGETS, soup
from tests.examples import examples

CITIES = ("Rome", "Paris", "Berlin", "Bonn")
TEN = ("",) * 10


# Expected values: the extractions that the official outputs store for these forms.
@pytest.mark.parametrize(
    ("span", "formula"),
    [
        ("\\textbf{(D) } 72 \\text{ cm}^2", "bfd72{cm}^2"),
        ("\\text{(B)}\\quad \\frac{\\sqrt{3}}{8}", "b\\quad\\frac{\\sqrt{3}}{8}"),
        ("\\text{(E)}\\ 2x+1", "e\\2x+1"),
        ("\\text{(A)}\\ \\frac{1}{6}", "a\\frac{1}{6}"),
        ("\\text{(B) } 124^{\\circ}", "b124"),
        ("4\\ \\mathrm{cm}^{2}", "4\\mathrm{cm}^{2}"),
        ("\\text{(C) }y = \\frac{144 - 7x}{12}", "\\frac{144-7x}{12}"),
        ("{\\bf (A)}", "{\\bfa}"),
        ("The distance is 24.", "24"),
    ],
)
def test_mathvision_formula(span: str, formula: str) -> None:
    assert mathvision_formula(span) == formula


# Expected values: by hand from `parse_multi_choice_response` of either repository.
@pytest.mark.parametrize(
    ("text", "mmmu", "pro"),
    [
        ("B", "B", "B"),
        ("(A) or (B)", "B", "B"),
        ("B.", "B", "B"),
        ("B. Paris", None, "B"),
        ("A city, and it is C", "C", "C"),
        ("A city on the river Seine", "A", "A"),
        ("Answer: B", "B", "B"),
        ("(A) is close. Answer: B", "A", "B"),
        ("it could be paris or rome, or even rome again", "A", "A"),
        ("paris", None, None),
        ("B. TRUE B.C", None, "C"),
    ],
)
def test_mmmu_letter(text: str, mmmu: str | None, pro: str | None) -> None:
    assert mmmu_letter(text, CITIES, after_answer=False) == mmmu
    assert mmmu_letter(text, CITIES, after_answer=True) == pro


def test_mmmu_pro_takes_any_letter_before_a_space() -> None:
    # The stored prediction for this response is E.
    assert mmmu_letter("D. PIERRE-AUGUSTE RENOIR", TEN, after_answer=True) == "E"


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("(B) the third image", "B"),
        ("(A) fits, (B) does not.\n\nThe answer is (A) .", "A"),
        ("(A) and (B)", None),
        ("**(A) the second image**", None),
        ("(B) is blurred.\n\n**(A)**", "B"),
        ("B", None),
    ],
)
def test_blink_letter(text: str, letter: str | None) -> None:
    assert blink_letter(text, ("", "")) == letter


def rows(shared: Path, name: str) -> Iterator[Any]:
    lines = (shared / "data" / "conformance" / f"{name}.jsonl").read_bytes().splitlines()
    yield from map(orjson.loads, lines)


@pytest.mark.parametrize("name", ["mmmu", "mmmu_pro"])
def test_mmmu_letters_are_those_stored(shared: Path, name: str) -> None:
    """On every published response of which the program drew no letter."""
    lines = [
        row
        for row in rows(shared, name)
        if row["question_type"] == "multiple-choice" and not row.get("official_random_fallback")
    ]
    assert len(lines) > 700
    for row in lines:
        found = mmmu_letter(row["response"], row["choices"], after_answer=name == "mmmu_pro")
        assert found == row["official_extraction"], row["id"]


def test_blink_letters_are_those_stored(shared: Path) -> None:
    for row in rows(shared, "blink"):
        found = blink_letter(row["response"].removeprefix("<s> "), ("",) * row["n_choices"])
        assert (found and f"({found})") == row["official_rule_extraction"], row["id"]


def test_mathvision_formulas_are_those_stored(shared: Path) -> None:
    """Where one box ends the response; the program also writes 1/2 as a fraction."""
    same = []
    for row in rows(shared, "mathvision"):
        found = [box.text for box in boxes(row["response"])]
        if row["response"].count("oxed{") == len(found) == 1 and re.search(
            r"\}\W{0,4}\Z", row["response"]
        ):
            given_ = re.sub(r"\A(-?\d+)/(\d+)\Z", r"\\frac{\1}{\2}", mathvision_formula(found[0]))
            same.append(given_ == row["official_extraction"])
    assert len(same) > 1000
    assert sum(same) / len(same) > 0.985


def test_why_names_the_program_and_its_reading() -> None:
    target = Target("choice", "D", choices=("24", "36", "48", "72 cm"), official="mathvision")
    given_ = score("\\boxed{\\textbf{(D) } 72 \\text{ cm}}", target)
    assert (given_.status, given_.value, given_.prediction) == ("scored", 0.0, "D")
    assert "is not credited: MathVision's program reads the formula 'bfd72{cm}'" in given_.why
    ten = Target("choice", "D", choices=("", "", "", "LE CAIRE B"), official="mmmu_pro")
    assert "MMMU-Pro's program reads B" in score("D. LE CAIRE B", ten).why


def test_options_of_one_text_are_told_apart_by_letter_alone() -> None:
    twice = Target("choice", "B", choices=("Rome", "Paris", "Paris"))
    assert score("C", twice).value == 1.0
    assert score("C", replace(twice, official="mmmu_pro")).value == 0.0


@given(soup(), st.sampled_from([target for target in TARGETS if target.official]))
@examples(500)
def test_a_program_only_takes_credit_away(text: str, target: Target) -> None:
    """What is credited with a program is credited without, and is the right letter.

    By the convention of MMMU the last of several named options is the answer.
    """
    with_program, without = score(text, target), score(text, replace(target, official=None))
    if with_program.value == 1.0 and "last option named" not in with_program.why:
        assert without.value == 1.0
    if with_program.value == 1.0 and target.kind == "choice":
        assert with_program.prediction == target.answer


@given(
    st.integers(0, len(OPTIONS) - 1),
    st.integers(0, len(OPTIONS) - 1),
    st.sampled_from([target for target in TARGETS if target.official and target.choices]),
    st.sampled_from(
        ("\\boxed{{\\textbf{{({})}} \\text{{{}}}}}", "{}. {}", "$\\mathrm{{({})}}$ {}")
    ),
)
@examples(200)
def test_a_wrong_letter_is_never_credited(said: int, right: int, target: Target, form: str) -> None:
    letters = "ABCDEF"
    given_ = score(
        form.format(letters[said], OPTIONS[said]), replace(target, answer=letters[right])
    )
    assert given_.prediction == letters[said]
    assert said == right or given_.value == 0.0
