"""Laws of values: each gold equals itself, in every notation; no sign or point is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.scoring import Target, score
from benchmarks.scoring.mathematics.values import same_value
from benchmarks.vqa.base.benchmark import LmmsBenchmark
from benchmarks.vqa.mathverse import MathVerse
from benchmarks.vqa.mathvision import MathVision
from tests.examples import examples

DATA = Path(__file__).parents[4] / "shared" / "data"
FRAMES = ("{}", "\\boxed{{{}}}", "The answer is {}", "Answer: ${}$")
# Golds that no response can match: two numbers on two lines, a command without its first letter.
UNREADABLE = {"-4.9\n-4.9", "\x0crac{36}{13}"}

numbers = st.one_of(
    st.integers(-9999, 9999).map(str),
    st.decimals(-99, 99, places=2).map(str),
    st.integers(1, 999).map(lambda n: f".{n}"),
    st.tuples(st.integers(-9, 9), st.integers(2, 9)).map(lambda p: f"\\frac{{{p[0]}}}{{{p[1]}}}"),
    st.tuples(st.integers(1, 9), st.integers(-20, 20)).map(
        lambda p: f"{p[0]} \\times 10^{{{p[1]}}}"
    ),
    st.tuples(st.integers(1, 9), st.integers(1, 4)).map(lambda p: f"{p[0]}\\frac{{{p[1]}}}{{5}}"),
    st.tuples(st.integers(1, 12), st.integers(0, 59)).map(lambda p: f"{p[0]}:{p[1]:02}"),
)
golds = st.one_of(
    numbers,
    numbers.map("${}$".format),
    numbers.map("{}\\pi".format),
    numbers.map("{}^\\circ".format),
    numbers.map("{}\\%".format),
    st.tuples(numbers, st.sampled_from(("cm", "kg", "m/s", "J/(kg K)", "Ω"))).map(" ".join),
    st.tuples(numbers, numbers).map("({0[0]}, {0[1]})".format),
    st.tuples(numbers, numbers).map("[{0[0]}, {0[1]})".format),
    numbers.map("x>{}".format),
    numbers.map("y = {}x + 1".format),
)


@given(golds, st.sampled_from(("{}", "\\boxed{{{}}}", "The answer is {}.", "**{}**")))
@examples(500)
def test_a_gold_is_its_own_answer(gold: str, frame: str) -> None:
    given_ = score(frame.format(gold), Target("math", gold))
    assert given_.value == 1.0, given_


@given(golds, st.sampled_from("−–﹣－"))
@examples(200)
def test_a_gold_with_typographic_minus_signs_is_the_same(gold: str, sign: str) -> None:
    typeset = gold.replace("-", sign)
    assert score(gold, Target("math", typeset)).value == 1.0
    assert score(typeset, Target("math", gold)).value == 1.0


@given(st.integers(1, 999), st.sampled_from(("-", "−", "minus ", "negative ", "- ")))
@examples(100)
def test_a_sign_is_never_lost(number: int, sign: str) -> None:
    for kind in ("math", "number"):
        wrong, right = Target(kind, str(number)), Target(kind, str(-number))
        for frame in ("{}", "\\boxed{{{}}}", "The answer is {}.", "**{}**", "So we get {} there."):
            text = frame.format(f"{sign}{number}")
            assert (score(text, wrong).value, score(text, right).value) == (0.0, 1.0), text
    assert same_value(f"{sign}{number}", str(number)) is False


@given(st.integers(1, 99), st.sampled_from(("{}", "\\boxed{{{}}}", "The answer is {}.", "**{}**")))
@examples(100)
def test_a_leading_point_is_never_lost(digits: int, frame: str) -> None:
    text = frame.format(f".{digits}")
    assert score(text, Target("math", f"0.{digits}")).value == 1.0
    assert score(text, Target("math", str(digits))).value == 0.0


AROUND = (
    "{}\\sqrt{{3}}", "{}\\pi", "\\frac{{{}}}{{2}}", "{}^2", "1/{}", "{}!", "-{}",
    "{} + \\sqrt{{2}}",
    "{}:4", "({}, 2)", "\\log {}", "\\pm {}", ".{}", "{} or 4", "> {}", "≥{}", "{} million",
    "{} dozen", "{}x", "more than {}", "not {}", "{}e2", "{} \\times 10^2", "\\sqrt{{{}}}",
)  # fmt: skip


@given(st.integers(5, 99), st.sampled_from(AROUND))
@examples(200)
def test_an_expression_is_not_the_number_inside_it(number: int, frame: str) -> None:
    assert same_value(frame.format(number), str(number)) is False


@given(numbers, numbers)
@examples(200)
def test_same_value_is_symmetric(first: str, second: str) -> None:
    assume("percent" not in first)
    assert same_value(first, second) == same_value(second, first)
    assert same_value(first, first) is True


def documents() -> Iterator[tuple[type[LmmsBenchmark], dict[str, object]]]:
    for line in (DATA / "mathvision" / "test.jsonl").read_text().splitlines():
        yield MathVision, json.loads(line)
    for row in json.loads((DATA / "mathverse" / "testmini_text_only.json").read_text()):
        yield MathVerse, {"question_for_eval": row["question"], **row}


@pytest.mark.skipif(not DATA.is_dir(), reason="the data sets are not there")
def test_every_gold_of_a_data_set_is_its_own_answer() -> None:
    for benchmark, row in documents():
        target = benchmark(data_root=DATA).target(row)
        if target.answer in UNREADABLE:
            continue
        for frame in FRAMES[: 4 if target.kind == "choice" else 3]:
            text = frame.format(target.answer)
            assert score(text, target).value == 1.0, (text, target)
