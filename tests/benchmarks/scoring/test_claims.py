"""What a response does not claim is taken out before its answer is read."""

from __future__ import annotations

from string import ascii_uppercase

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.scoring import Target, score
from benchmarks.scoring.claims import segments, without_run_on
from tests.benchmarks.scoring.kinds import CHOOSES, REFUSES
from tests.examples import examples

SETS = (
    ("red", "blue", "green", "black"),
    ("a small dog", "a large cat", "two birds", "an old horse"),
    ("3", "7", "-2", "12"),
)
OPTIONS = SETS[0]
PAIRS = ((1, 0), (2, 3))
DENIALS = (
    "It is not {}.",
    "{} is incorrect.",
    "The answer cannot be {}.",
    "I don't think it is {}.",
    "Option {} is wrong.",
    "{} can be ruled out.",
)
letters = st.integers(0, 3).map(lambda index: ascii_uppercase[index])


def framed(frame: str, options: tuple[str, ...], chosen: int, other: int) -> str:
    names = dict(zip("abcd", options, strict=True))
    return frame.format(
        L=ascii_uppercase[chosen],
        T=options[chosen],
        W=ascii_uppercase[other],
        V=options[other],
        **names,
    )


def value(response: str, options: tuple[str, ...], chosen: int) -> float | None:
    return score(response, Target("choice", ascii_uppercase[chosen], choices=options)).value


@pytest.mark.parametrize("frame", [frame for frames in CHOOSES.values() for frame in frames])
def test_frames_that_choose(frame: str) -> None:
    for options in SETS:
        for chosen, other in PAIRS:
            response = framed(frame, options, chosen, other)
            assert value(response, options, chosen) == 1.0, response
            assert value(response, options, other) == 0.0, response


@pytest.mark.parametrize("frame", [frame for frames in REFUSES.values() for frame in frames])
def test_frames_that_do_not_choose(frame: str) -> None:
    for options in SETS:
        for chosen, other in PAIRS:
            response = framed(frame, options, chosen, other)
            assert value(response, options, chosen) == 0.0, response


@given(letters, letters, st.sampled_from(DENIALS), st.booleans())
@examples(300)
def test_a_denied_letter_changes_nothing(said: str, other: str, denial: str, first: bool) -> None:
    assume(said != other)
    claim, denied = f"The answer is {said}.", denial.format(other)
    text = f"{denied} {claim}" if first else f"{claim} {denied}"
    given_ = score(text, Target("choice", said, choices=OPTIONS))
    assert (given_.prediction, given_.value) == (said, 1.0), text


@given(letters, st.sampled_from(DENIALS))
@examples(100)
def test_a_denied_letter_alone_is_no_answer(said: str, denial: str) -> None:
    assert score(denial.format(said), Target("choice", said, choices=OPTIONS)).value == 0.0


@given(st.permutations(range(4)), st.integers(0, 3), st.sampled_from(("The answer is {}.", "{}")))
@examples(200)
def test_a_permutation_of_options_permutes_the_letter(
    order: list[int], right: int, frame: str
) -> None:
    options = tuple(OPTIONS[index] for index in order)
    given_ = score(frame.format(OPTIONS[right]), Target("choice", "A", choices=options))
    assert given_.prediction == ascii_uppercase[order.index(right)]


FRAMES = [frame for frames in CHOOSES.values() for frame in frames if "{T}" in frame]


@given(st.permutations(range(4)), st.sampled_from(FRAMES), st.sampled_from(SETS[:2]))
@examples(300)
def test_a_permutation_of_options_permutes_every_frame(
    order: list[int], frame: str, options: tuple[str, ...]
) -> None:
    shuffled = tuple(options[index] for index in order)
    chosen, other = order.index(0), order.index(1)
    given_ = score(framed(frame, shuffled, chosen, other), Target("choice", "A", choices=shuffled))
    assert given_.prediction == ascii_uppercase[chosen]


@given(
    st.sampled_from(
        ("a dog", "Norway", "STOP", "24/7", "never mind", "no", "July 4, 1999", "5 or 6")
    ),
    st.sampled_from(("{}", "The answer is {}.", "**{}**", "It is {}.", "\\boxed{{{}}}")),
)
@examples(100)
def test_a_gold_of_words_is_its_own_answer(gold: str, frame: str) -> None:
    assert score(frame.format(gold), Target("text", gold)).value == 1.0


@given(
    letters, st.sampled_from((" It is the only one that is", "\n\nThe others are not, since the"))
)
@examples(50)
def test_what_breaks_off_behind_an_answer_changes_nothing(letter: str, rest: str) -> None:
    given_ = score(f"The answer is {letter}.{rest}", Target("choice", letter, choices=OPTIONS))
    assert (given_.prediction, given_.value) == (letter, 1.0)


@given(st.integers(-99, 99), st.integers(-99, 99))
@examples(200)
def test_a_sign_is_never_lost(said: int, right: int) -> None:
    options = (str(right), str(right + 1), str(right + 2), str(right + 3))
    for frame in ("{}", "The answer is {}.", "\\boxed{{{}}}", "Answer: ${}$", "**{}**"):
        text = frame.format(said)
        given_ = score(text, Target("choice", "A", choices=options))
        assert given_.value == float(said == right), text


@given(st.text(alphabet="ABwaitno,. \n?-", max_size=60), st.booleans())
@examples(200)
def test_segments_are_parts_of_the_text_in_order(text: str, with_no: bool) -> None:
    position = 0
    for part in segments(text, with_no):
        position = text.index(part, position) + len(part)


def test_run_on_questions_are_cut() -> None:
    text = "The answer is B.\n\nQuestion: Which one is red?\nAnswer: A"
    assert without_run_on(text) == "The answer is B.\n"


def test_the_reason_says_what_was_passed_over() -> None:
    given_ = score("A is wrong. The answer is B.", Target("choice", "B", choices=OPTIONS))
    assert given_.why == "answer statement: 'B.' reads as B (passed over: 'A is wrong.')"
