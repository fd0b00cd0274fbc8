"""The traps that lmms-eval's own scorers fall into, one test each (the benchmarks' known faults).

Each fault was seen by running lmms-eval 0.7.3; the right verdict is plain from the response.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scoring import Target, score
from benchmarks.scoring.target import Program
from benchmarks.vqa.olympiadbench_physics import OlympiadBenchPhysics

FOUR = ("", "", "", "")


def choice(answer: str, count: int = 4, official: Program | None = None) -> Target:
    return Target("choice", answer, choices=("",) * count, official=official)


def read(response: str, target: Target) -> tuple[str, str | None]:
    given = score(response, target)
    return given.status, given.prediction


def test_mathvista_empty_extraction_is_no_choice() -> None:
    # lmms-eval: with the judge down the extraction "" becomes the shortest choice.
    target = Target("choice", "B", choices=("a polynomial", "an", "a logarithm"))
    for response in ("", "   ", "Sorry, I can't help with that."):
        assert score(response, target).status == "unparsable"
        assert score(response, target).value == 0.0


def test_mathvista_needs_no_judge_for_a_sentence() -> None:
    # lmms-eval: anything but a bare number or choice goes to a judge.
    target = Target("number", "1.2", precision=1, answer_type="float")
    assert score("The spring is compressed by 1.22 cm.", target).value == 1.0
    assert score("The spring is compressed by 1.31 cm.", target).value == 0.0


def test_mathverse_is_read_without_a_judge() -> None:
    # lmms-eval: an unreachable judge gives 0.0 silently.
    assert score("So $x = \\frac{1}{2}$.", Target("math", "\\frac{1}{2}")).value == 1.0


def test_mathvision_evaluates_no_text() -> None:
    # lmms-eval: eval() of the parsed answer; this one would raise or run.
    hostile = "\\boxed{__import__('os').abort()}"
    assert score(hostile, Target("math", "2", precision=2, official="mathvision")).value == 0.0


@pytest.mark.parametrize("response", ["B", "B.", "(B)", "B)", "**B**", "B. text", "Answer: B"])
def test_mmmu_pro_vision_reads_every_form_of_a_letter(response: str) -> None:
    # lmms-eval: vision compares the raw string, "B." and "(B)" score 0.
    assert read(response, choice("B", 10, "mmmu_pro")) == ("scored", "B")


def test_mmmu_never_draws_a_letter() -> None:
    # lmms-eval: what it cannot parse becomes a random letter.
    response = "The figure does not give enough information."
    assert {read(response, choice(letter, 4, "mmmu")) for letter in "ABCD"} == {
        ("unparsable", None)
    }


@pytest.mark.parametrize("response", ["**Answer: B**", "\\boxed{B}", "$\\boxed{\\text{B}}$"])
def test_mmmu_reads_bold_and_boxed(response: str) -> None:
    # lmms-eval: unparsable.
    assert read(response, choice("B", 4, "mmmu")) == ("scored", "B")


def test_vstar_answer_is_not_the_word_answer() -> None:
    # lmms-eval: "Answer: C" parses as A.
    assert read("Answer: C", choice("C")) == ("scored", "C")


def test_vstar_based_on_is_not_b() -> None:
    # lmms-eval: "Based on... D" parses as B.
    assert read("Based on the picture, the answer is D", choice("D")) == ("scored", "D")


def test_mmstar_a_dog_is_not_a() -> None:
    # lmms-eval: "A dog... The answer is C." parses as A.
    assert read("A dog is running. The answer is C.", choice("C")) == ("scored", "C")
    assert read("A dog is running on the beach.", choice("A"))[0] == "unparsable"


def test_blink_boxed() -> None:
    # lmms-eval: \boxed{B} fails.
    assert read("\\boxed{B}", choice("B", 2, "blink")) == ("scored", "B")


def test_blink_both_is_not_b() -> None:
    # lmms-eval: "Both..." parses as B.
    assert read("Both images are similar.", choice("B", 2, "blink"))[0] == "unparsable"
    assert read("Both images are similar. The answer is (A).", choice("A", 2, "blink")) == (
        "scored",
        "A",
    )


@pytest.mark.parametrize("response", ["B", "b", "B....", "(B)", "Answer: B", "The answer is B."])
def test_scienceqa_reads_every_form(response: str) -> None:
    # lmms-eval: only "B", "b", "B...." pass.
    assert read(response, choice("B", 3)) == ("scored", "B")


def test_phyx_bare_letter() -> None:
    # lmms-eval: in its rule mode a bare "A" scores 0.
    assert read("A", choice("A")) == ("scored", "A")


def test_olympiadbench_tolerance_is_a_number() -> None:
    # lmms-eval: the tolerance "1e-1" stays a string, so 3.1 against 3.14 is false.
    doc = {"final_answer": ["3.14"], "unit": None, "error": "1e-1", "answer_type": "Numerical"}
    target = OlympiadBenchPhysics(Path()).target(doc)
    assert score("\\boxed{3.1}", target).value == 1.0
    assert score("\\boxed{3.0}", target).value == 0.0


def test_mme_realworld_first_capital_is_not_the_answer() -> None:
    # lmms-eval: the first capital A-E anywhere; "Based on... D" parses as B.
    assert read("Based on the picture the best answer is D", choice("D", 5)) == ("scored", "D")
    assert read("Every bus is red. The best answer is: (C)", choice("C", 5)) == ("scored", "C")
    assert read("Certainly! Determining this is hard.", choice("C", 5))[0] == "unparsable"


def test_thinking_is_not_scored() -> None:
    # lmms-eval: without cli_args <think> is not stripped.
    assert read("<think>The answer is A.</think>The answer is B.", choice("B")) == ("scored", "B")
    assert read("<think>The answer is A.", choice("A"))[0] == "unparsable"
