"""Reasoning is taken out before scoring; quoted and stray tags do no harm."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.reasoning import PAIRS, without_reasoning

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


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("B</think>", "B"),
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
