"""A model asked with parts of the prompt blanked: one that reads, one that cheats."""

from __future__ import annotations

import json
import random
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ablations.pairs.progress import Progress
from ablations.pairs.soundness.blanked import BLANK, SEES, asked, prompts
from ablations.pairs.soundness.shortcuts import Shortcut
from benchmarks.pair_sources import open_pairs
from benchmarks.pairs.template import GROUPS, PairTemplate
from harness.errors import ItemError
from harness.protocols import Tokenizer
from harness.records import Message, Pair, Response, Sampling, TextPart
from tests.ablations import tiny
from tests.commands import harness
from tests.servers import Reply, Request, ScriptedServer

Reads = Callable[[str, str, str, str], float]
"""Nats that speak for A: of question, answer and the two contexts."""


def parts(text: str) -> tuple[str, str, str, str]:
    found = re.search(
        r"Context A:\n(.*)\nContext B:\n(.*)\nQuestion: (.*)\nAnswer: (.*)\nWhich", text, re.DOTALL
    )
    assert found
    first, second, question, answer = found.groups()
    return question, answer, first, second


class Chooser:
    """A model whose log-probabilities are a function of the prompt's parts."""

    name = "chooser"

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def logprobs(
        self, messages: Sequence[Message], tokens: Sequence[str]
    ) -> Sequence[float | None] | None:
        text = messages[-1].render()
        if "broken" in text:
            raise ItemError("no answer")
        return [self._reads(*parts(text)), 0.0]

    async def chat(self, messages: Sequence[Message], sampling: Sampling) -> Response:
        raise AssertionError("log-probabilities are enough")

    @property
    def tokenizer(self) -> Tokenizer:
        raise AssertionError("not needed")


def told(pairs: Sequence[Any], reads: Reads) -> tuple[dict[str, Shortcut], list[str]]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Chooser]:
        yield Chooser(reads)

    found, missed = asked(pairs, opened)
    return {test.test: test for test in found}, missed


def made(number: int, longer: bool = False) -> list[Pair]:
    rng = random.Random(5)
    pairs = []
    for n in range(number):
        right, wrong = rng.sample(range(100, 1000), 2)
        more = " and so on" * longer
        pairs.append(
            Pair(
                f"p{n}", "text", f"key {n}?", str(right), str(wrong),
                (TextPart(f"key {n} is {right}{more}"),), (TextPart(f"key {n} is {wrong}"),), "",
            )
        )  # fmt: skip
    return pairs


def reading(question: str, answer: str, first: str, second: str) -> float:
    return float(answer in first) - float(answer in second)


def test_a_model_that_reads_needs_the_answer_and_the_contexts() -> None:
    found, missed = told(made(40), reading)
    assert not missed
    assert {name: test.accuracy for name, test in found.items()} == {
        "model": 1.0,
        "model, question blanked": 1.0,  # the contexts name the answer
        "model, answer blanked": 0.5,
        "model, contexts blanked": 0.5,  # both letters are alike
    }
    assert [name for name, test in found.items() if test.notice] == ["model, question blanked"]
    assert not any(test.alarm for test in found.values())
    # Clopper and Pearson: all 40 right, at the level of four tests: (0.001 / 4 / 2) ** (1 / 40).
    assert found["model"].low == pytest.approx((0.001 / 4 / 2) ** (1 / 40))


def test_a_model_that_looks_at_lengths_is_found() -> None:
    found, _ = told(made(40, longer=True), lambda _q, _a, first, second: len(first) - len(second))
    assert found["model, answer blanked"].alarm
    assert found["model, answer blanked"].accuracy == 1.0
    assert not found["model, contexts blanked"].alarm


def test_a_taste_for_a_letter_is_no_shortcut_and_few_pairs_are_not_tested() -> None:
    found, _ = told(made(40), lambda *_: 9.0)
    del found["model, contexts blanked"]  # asked in one order
    assert {(test.accuracy, test.alarm) for test in found.values()} == {(0.5, False)}
    few, _ = told(made(19), reading)
    assert {test.accuracy for test in few.values()} == {None}


def test_pairs_of_one_context_are_one_vote() -> None:
    pairs = made(30)
    same = [
        Pair(f"{pair.id}-2", "text", "again?", pair.answer, None, pair.context_positive,
             pair.context_negative, "")
        for pair in pairs
    ]  # fmt: skip
    found, _ = told([*pairs, *same], reading)
    assert (found["model"].pairs, found["model"].clusters) == (60, 30)


def test_what_cannot_be_asked_is_counted() -> None:
    pairs = made(30)
    pairs[3] = Pair("b", "text", "broken?", "1", "2", (TextPart("1"),), (TextPart("2"),), "")
    found, missed = told(pairs, reading)
    assert len(missed) == 2 + 2 + 1  # all but the question blanked
    assert found["model"].pairs == 29


def test_of_written_prompts_only_images_are_blanked(tmp_path: Path) -> None:
    for colour in tiny.COLOURS:
        tiny.image(colour).save(tmp_path / f"{colour}.png")
    rows = [
        {"problem": "<image><image>Red?", "answer": "B", "images": ["red.png", "blue.png"]},
        {"prompt": "A: x B: y. Which?", "correct_answer": "A"},
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    images, text = open_pairs(str(tmp_path / "p.jsonl"))
    assert [len(prompts(images, test)) for test in SEES] == [2, 0, 0, 1]
    (blind,) = prompts(images, "model, contexts blanked")
    assert (blind.letter, blind.messages[0].render()) == ("B", f"{BLANK.text * 2}Red?")
    assert [len(prompts(text, test)) for test in SEES] == [1, 0, 0, 0]


def test_of_written_texts_a_template_tells_what_to_blank(tmp_path: Path) -> None:
    pieces = (f"{at}: (?P<{name}>.+?)\n" for at, name in zip("QA12", GROUPS, strict=True))
    (tmp_path / "t").write_text("".join(pieces) + r"Which\?")
    template = PairTemplate.load(tmp_path / "t")
    row = {"prompt": "Q: key\nA: 5\n1: key=4\n2: key=5\nWhich?", "correct_answer": "B"}
    (tmp_path / "p.jsonl").write_text(json.dumps(row))
    (pair,) = open_pairs(str(tmp_path / "p.jsonl"), template=tmp_path / "t")
    blank = BLANK.text
    shown = {test: prompts(pair, test, template) for test in SEES}
    texts = {test: [p.messages[0].render() for p in found] for test, found in shown.items()}
    assert texts == {
        "model": ["Q: key\nA: 5\n1: key=5\n2: key=4\nWhich?", row["prompt"]],
        "model, question blanked": [
            f"Q: {blank}\nA: 5\n1: key=5\n2: key=4\nWhich?",
            f"Q: {blank}\nA: 5\n1: key=4\n2: key=5\nWhich?",
        ],
        "model, answer blanked": [
            f"Q: key\nA: {blank}\n1: key=5\n2: key=4\nWhich?",
            f"Q: key\nA: {blank}\n1: key=4\n2: key=5\nWhich?",
        ],
        "model, contexts blanked": [f"Q: key\nA: 5\n1: {blank}\n2: {blank}\nWhich?"],
    }
    assert [p.letter for p in shown["model, answer blanked"]] == ["A", "B"]
    assert shown["model, contexts blanked"][0].letter == "B"


def test_the_command_asks(tmp_path: Path) -> None:
    def answer(request: Request) -> Reply:
        return Reply("A", logprobs={"A": reading(*parts(request.text)), "B": 0.0})

    rows = [
        {"id": pair.id, "query": pair.query, "answer": pair.answer,
         "context_positive": pair.context_positive[0].text,  # type: ignore[union-attr]
         "context_negative": pair.context_negative[0].text}  # type: ignore[union-attr]
        for pair in made(30)
    ]  # fmt: skip
    source = tmp_path / "p.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    with ScriptedServer(answer) as server:
        words = ("pairs", "check", source, "--endpoint", server.url, "--model", "scripted")
        document = json.loads(harness(*words, "--json", "--ask", 25).stdout)
        assert len(server.requests) == 25 * (2 + 2 + 2 + 1)
        text = harness(*words).stdout
    found = {test["test"]: test for test in document["shortcuts"]}
    assert found["model"]["accuracy"] == 1.0
    assert found["model, answer blanked"]["pairs"] == 25
    assert re.search(r"model, answer blanked: question and contexts +30 +50\.0", text)


def test_long_questions_are_counted_while_they_are_asked() -> None:
    lines: list[str] = []
    progress = Progress("the model", 3, lines.append, every=0)
    for _ in range(3):
        progress.advance()
    assert [line.partition(",")[0] for line in lines] == [
        f"the model answered {number} of 3" for number in (1, 2, 3)
    ]
    assert lines[-1].endswith(", 0 s left")
    quiet = Progress("the model", 3, lines.append, every=60)
    quiet.advance()
    assert len(lines) == 3
