"""Traces: the answer stands in the decisive step and nowhere else does the trace tell it."""

from __future__ import annotations

import random
import re

import pytest

from benchmarks.micro.content.splits import SPLITS, owner
from benchmarks.micro.content.traces import Trace, contrast, trace

# The questions and the steps, read back by another road than the one that wrote them.
_SUBJECT = re.compile(r"What (?:does (\w+)\.txt hold|did show (\w+) print|was (\w+) set to)\?")
_TOLD = (r"read {}\.txt: (\w+)", r"\$ show {}\n(\w+)", r"call set\({}, (\w+)\)")


def _answers(text: str, question: str) -> list[str]:
    """Every value that a text tells of the question's subject."""
    found = _SUBJECT.fullmatch(question)
    assert found
    kind = next(place for place, key in enumerate(found.groups()) if key)
    return re.findall(_TOLD[kind].format(found.group(kind + 1)), text)


@pytest.mark.parametrize("words", [1, 8, 60, 2000])
def test_exactly_one_step_answers_the_question(words: int) -> None:
    for seed in range(30):
        made = trace(random.Random(seed), words, "eval")
        assert _answers(made.text, made.question) == [made.answer]
        start, end = made.evidence
        assert _answers(made.text[start:end], made.question) == [made.answer]
        assert made.options.count(made.answer) == 1
        assert len(set(made.options)) == 4
        assert made.options["ABCD".index(made.letter)] == made.answer
        assert words == 1 or abs(len(made.text.split()) - words) < 4


def test_the_decisive_step_goes_where_it_is_wanted() -> None:
    for depth in (0.0, 0.25, 0.5, 1.0):
        made = trace(random.Random(1), 1000, "eval", depth=depth)
        assert made.depth == pytest.approx(depth, abs=0.02)


def test_a_contrast_differs_in_the_decisive_step_alone() -> None:
    for seed in range(30):
        rng = random.Random(seed)
        made, other = contrast(rng, 40, "pairs")
        assert made.options == other.options
        assert owner(made.text) == owner(other.text) == "pairs"
        assert _answers(other.text, other.question) == [other.answer] != [made.answer]
        differing = [
            i for i, (a, b) in enumerate(zip(made.steps, other.steps, strict=True)) if a != b
        ]
        assert differing == [made.place]


def _draws(seed: int) -> list[Trace]:
    rng = random.Random(seed)
    return [trace(rng, 30, split) for split in SPLITS for _ in range(50)]


def test_the_same_seed_gives_the_same_and_a_split_owns_what_it_draws() -> None:
    assert _draws(3) == _draws(3)
    assert _draws(3) != _draws(4)
    owners = [owner(made.text) for made in _draws(5)]
    assert owners == [split for split in SPLITS for _ in range(50)]
