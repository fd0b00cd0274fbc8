"""Reasoning is taken out before scoring; quoted and stray tags do no harm."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.reasoning import PAIRS, extra_tags, reasoning_version, without_reasoning

NAMES = ("think", "thinking", "thought", "Reasoning", "ANALYSIS", "mm:think", "seed:think")
FRAMES = (("<{}>", "</{}>"), ("◁{}▷", "◁/{}▷"), ("<|{}|>", "<|/{}|>"), ("<{} >", "</{} >"))
CODE = "```python\nprint(1)\n```"
COMMENTED = "```\n# no <think> tag\nx = '</think>'\n```"


@pytest.mark.parametrize(("opening", "closing", "example"), PAIRS)
def test_every_row_reads_its_example(opening: str, closing: str, example: str) -> None:
    assert without_reasoning(example) == "B"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("opening", "closing"), FRAMES)
def test_every_name_in_every_frame(opening: str, closing: str, name: str) -> None:
    begin, end = opening.format(name), closing.format(name)
    thought = "The answer is A. Or C?"
    assert without_reasoning(f"{begin}\n{thought}\n{end}\n\nB") == "B"
    assert without_reasoning(f"{thought}\n{end}\nB") == "B"
    assert without_reasoning(f"{begin}{thought}") == ""


@pytest.mark.parametrize("name", ["thinking_process", "antThinking", "chain-of-thought"])
def test_a_name_may_have_more_words_and_attributes(name: str) -> None:
    assert without_reasoning(f"<{name} mode='deep'>A</{name}>B") == "B"
    assert without_reasoning(f"<{name}>A") == ""
    assert without_reasoning(f"<{name} of a dog>B") == f"<{name} of a dog>B"


@pytest.mark.parametrize(
    "text",
    [
        "<final_thoughts>The answer is B</final_thoughts>",
        "<thoughtful-answer>B</thoughtful-answer>",
        "<no_think>B</no_think>",
        "<non-thinking>B",
        "std::vector<think_t> x; B",
        "x <thinkpad> B",
    ],
)
def test_a_name_that_only_holds_one_of_reasoning_is_text(text: str) -> None:
    assert without_reasoning(text) == text


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("B</think>", "B"),
        ("B\n<details>Why?</details>\nSo B", "B\n<details>Why?</details>\nSo B"),
        (
            "<details type='reasoning'>A<details>b</details>c<details>d</details>e</details>B",
            "B",
        ),
        (f"{CODE}\n</think>", CODE),
        (f"{CODE}\n</think><|im_end|>", CODE),
        (COMMENTED, COMMENTED),
        ("B</think></think>", "B"),
        ("It strips `</think>`. (B)", "It strips `</think>`. (B)"),
        ("The <think> tag opens it. (B)", "The <think> tag opens it. (B)"),
        (f"<think>```py\na draft\n</think>\n{CODE}", CODE),
        (f"<think>```py\na draft\n```</think>Here:\n{CODE}", f"Here:\n{CODE}"),
        ("<think><analysis>A</analysis> more</think>B", "B"),
        ("<think><analysis>A</analysis> cut: A", ""),
        ("B <reasoning>for reasons</reasoning>", "B"),
        ("[Analysis]\nIt is blue.\n[Answer]\nB", "[Analysis]\nIt is blue.\n[Answer]\nB"),
    ],
)
def test_stray_and_quoted_tags(text: str, answer: str) -> None:
    assert without_reasoning(text) == answer


@given(st.text(alphabet="AB \n`'<>/think[]|", max_size=60))
def test_text_without_tags_is_kept(text: str) -> None:
    if "think" not in text.lower():
        assert without_reasoning(text) == text.strip()


@pytest.mark.parametrize("piece", ["<think>", "</think>", "<think></think>", "```\n", "</think> x"])
def test_time_is_linear(piece: str) -> None:
    start = time.thread_time()
    without_reasoning(piece * 20_000)
    assert time.thread_time() - start < 1.0


PLAN, STARS, LETTERS = ("<plan>", "</plan>"), ("**", "**"), ("{}Idea:", "Answer(")


@pytest.mark.parametrize("tags", [PLAN, STARS, LETTERS, ("◆", "◇")])
def test_the_users_tags_are_read_exactly_and_only_while_they_are_given(
    tags: tuple[str, str],
) -> None:
    opening, closing = tags
    text, cut = f"{opening}It is A.{closing}B", f"B{opening}It is A."
    with extra_tags([tags]):
        version = reasoning_version()
        assert without_reasoning(text) == without_reasoning(cut) == "B"
        assert without_reasoning(text, ()) == text.strip()
        assert without_reasoning("<think>A</think>B") == "B"
        if opening != closing:
            assert without_reasoning(f"A{closing}B") == "B"
            assert without_reasoning(f"B\n{closing}") == "B"
            assert without_reasoning(f"Write `{opening}` first. B").endswith("B")
        if opening.upper() != opening:
            assert without_reasoning(text.upper()) == text.upper()
    assert without_reasoning(text) == text
    assert version.startswith(reasoning_version())
    assert version != reasoning_version()


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), max_size=3), st.text())
def test_no_tags_and_no_text_break_it(tags: list[tuple[str, str]], text: str) -> None:
    with extra_tags(tags):
        assert len(without_reasoning(text)) <= len(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Here are my reasoning steps:\n1. 2+2 is 4.\n\n\\boxed{7}", None),
        ("Here's my thought process:\n1. The bus is red.\n\nAnswer: B", None),
        ("Here is my thought process: A Here is my response: B", "B"),
        ("<think>x</think>\nBlock B", "Block B"),
        ("</think>\nTokens: 5", "Tokens: 5"),
        ("<think>\nBlock A slides, the answer is 5", ""),
    ],
)
def test_words_that_begin_an_answer_are_no_tags(text: str, answer: str | None) -> None:
    """Nor is a sentence that any model may write, where its closing one is missing."""
    assert without_reasoning(text) == (text if answer is None else answer)
