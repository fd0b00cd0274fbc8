"""Where an answer stands: cleaning, boxes, statements, sentences."""

from __future__ import annotations

import pytest

from benchmarks.scoring import Target, score
from benchmarks.scoring.extract import boxes, clean, cut_off, declared, flat, sentences
from benchmarks.scoring.phrases import Row
from benchmarks.scoring.statements import LEADS, statements


def test_clean_removes_what_is_no_answer() -> None:
    assert clean("<think>A</think> B<|im_end|>") == "B"
    assert clean("<s> (C)</s>") == "(C)"
    assert clean("答案：（Ｂ）。") == "答案:(B)."
    assert clean("\u200bA\u00a0B−C") == "A B-C"
    assert clean("Ⓑ 𝐁") == "B B"


def test_clean_keeps_both_ends_of_a_long_text() -> None:
    text = clean("(B) " + "word " * 100_000 + "The end.")
    assert text.startswith("(B)")
    assert text.endswith("The end.")
    assert len(text) < 11_000


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("\\boxed{B}", ["B"]),
        ("\\boxed{\\frac{1}{2}} and \\boxed{3}", ["\\frac{1}{2}", "3"]),
        ("\\boxed{\\boxed{4}}", ["4"]),
        ("\\fbox{B}", ["B"]),
        ("\\boxed{\\{1, 2\\}}", ["\\{1, 2\\}"]),
        ("\\boxed{1", []),
        ("\\boxed{", []),
        ("boxed{B}", []),
    ],
)
def test_boxed(text: str, inner: list[str]) -> None:
    assert [box.text for box in boxes(text)] == inner


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("The answer is B.", "B."),
        ("Answer: B", "B"),
        ("The correct option is: (B)", "(B)"),
        ("The answer to the question is Rome.", "Rome."),
        ("The answer is:\n\n(B) Rome", "(B) Rome"),
        ("答案是B", "B"),
        ("#### 12", "12"),
    ],
)
def test_statements(text: str, said: str) -> None:
    assert [span.text for span in statements(text)] == [said]


@pytest.mark.parametrize(
    "text",
    [
        "The answer is not B.",
        "If the answer is B, then the sum is odd.",
        "The answer cannot be B.",
        "The answer choice A is a pentagon.",
        "I do not know.",
    ],
)
def test_no_statement(text: str) -> None:
    assert statements(text) == []


def test_the_last_declaration_comes_first() -> None:
    text = flat("The answer is A. Wait: **the answer is B.**")
    assert next(span.text for span in declared(text)) == "B."
    assert declared("\\boxed{1}, no, \\boxed{2}. The answer is 3.")[0].text == "2"


def test_sentences_leave_out_pleasantries_code_and_tables() -> None:
    text = "It is 5. I hope this helps!\n```\nprint(7)\n```\n| a | b |\nLet me know."
    assert sentences(text) == ["It is 5."]
    assert sentences("A. Paris\nB. Rome") == ["A. Paris", "B. Rome"]
    assert sentences("Use 3.14 here. Then stop.") == ["Use 3.14 here.", "Then stop."]


@pytest.mark.parametrize("row", LEADS.rows)
def test_every_lead_announces_its_example(row: Row) -> None:
    assert score(f"{row.reads}.", Target("choice", "B", choices=("", "", ""))).value == 1.0


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Therefore,", True),
        ("So we have", True),
        ("the area is $5 \\cdot$", True),
        ("\\frac{1}{2}\\left(", True),
        ("It is on the", True),
        ("It is on the left", False),
        ("The answer is 5.", False),
        ("B", False),
        ("\\frac{1}{2}", False),
    ],
)
def test_texts_that_break_off(text: str, cut: bool) -> None:
    assert cut_off(text) == cut
