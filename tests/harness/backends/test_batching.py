"""Batches form as they should, whoever answers them; the model here is a plain function."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from harness.backends.batching import Batcher, BatchError, Deliver, pick
from harness.errors import ItemError
from harness.records import Message, Response, Sampling, TextPart


@dataclass(frozen=True)
class Words:
    """A prompt whose length is its number of words."""

    text: str
    limit: int = 8
    layout: str = "text"

    @property
    def length(self) -> int:
        return len(self.text.split())


def prepare(messages: Sequence[Message], sampling: Sampling) -> Words:
    text = messages[0].render()
    if not text:
        raise ItemError("an empty question")
    return Words(text, sampling.max_tokens)


class Shouter:
    """Answers in capitals; refuses batches above ``holds`` and any with ``poison`` in it."""

    def __init__(self, holds: int = 1000, poison: str | None = None, delay: float = 0.0) -> None:
        self.holds, self.poison, self.delay = holds, poison, delay
        self.sizes: list[int] = []

    def __call__(self, prompts: Sequence[Words], deliver: Deliver[Response]) -> None:
        time.sleep(self.delay)
        self.sizes.append(len(prompts))
        if len(prompts) > self.holds:
            raise BatchError("out of memory", memory=True)
        if any(prompt.text == self.poison for prompt in prompts):
            raise BatchError("generation failed")
        for index, prompt in enumerate(prompts):
            deliver(index, Response(prompt.text.upper()))


Generate = Callable[[Sequence[Words], Deliver[Response]], None]


def ask_all(texts: Sequence[str], generate: Generate, size: int) -> list[Response | BaseException]:
    async def run() -> list[Response | BaseException]:
        async with Batcher(prepare, generate, size) as batcher:
            asked = [batcher.ask((Message("user", (TextPart(t),)),), Sampling(8)) for t in texts]
            return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(run())


def test_every_question_gets_its_own_answer_in_few_batches() -> None:
    generate = Shouter(delay=0.01)
    texts = [f"question {'word ' * (i % 7)}{i}" for i in range(50)]
    assert ask_all(texts, generate, 8) == [Response(text.upper()) for text in texts]
    assert max(generate.sizes) == 8
    assert len(generate.sizes) <= 10


def test_a_question_that_cannot_be_prepared_fails_alone() -> None:
    first, second, third = ask_all(["one", "", "three"], Shouter(), 8)
    assert (first, third) == (Response("ONE"), Response("THREE"))
    assert isinstance(second, ItemError)


def test_a_question_that_cannot_be_answered_fails_alone() -> None:
    texts = [str(i) for i in range(9)]
    answers = ask_all(texts, Shouter(poison="5"), 9)
    assert isinstance(answers.pop(5), ItemError)
    assert answers == [Response(text) for text in texts if text != "5"]


def test_a_batch_that_memory_does_not_hold_is_halved_from_then_on() -> None:
    generate = Shouter(holds=3)
    texts = [str(i) for i in range(32)]
    assert ask_all(texts, generate, 16) == [Response(text) for text in texts]
    assert generate.sizes == [16, 8, 4] + [2] * 16


def test_an_answer_is_there_before_its_batch_has_ended() -> None:
    ended = threading.Event()

    def one_by_one(prompts: Sequence[Words], deliver: Deliver[Response]) -> None:
        deliver(1, Response("first"))
        assert ended.wait(10), "nobody got the first answer while the batch went on"
        deliver(0, Response("second"))

    async def run() -> list[str]:
        async with Batcher(prepare, one_by_one, 2) as batcher:
            ask = [batcher.ask((Message("user", (TextPart(t),)),), Sampling(8)) for t in "ab"]
            texts = []
            for answer in asyncio.as_completed(ask):
                texts.append((await answer).text)
                ended.set()
            return texts

    assert asyncio.run(run()) == ["first", "second"]


def test_what_was_delivered_before_a_failure_is_not_made_again() -> None:
    delivered: list[str] = []

    def half(prompts: Sequence[Words], deliver: Deliver[Response]) -> None:
        for index in range((len(prompts) + 1) // 2):
            delivered.append(prompts[index].text)
            deliver(index, Response(prompts[index].text.upper()))
        if len(prompts) > 1:
            raise BatchError("out of memory", memory=True)

    texts = [f"text{i}" for i in range(8)]
    assert ask_all(texts, half, 8) == [Response(text.upper()) for text in texts]
    assert sorted(delivered) == texts


def test_a_question_too_large_alone_is_its_own_error() -> None:
    (answer,) = ask_all(["one"], Shouter(holds=0), 4)
    assert isinstance(answer, ItemError)
    assert "out of memory" in str(answer)


def test_a_bug_reaches_the_one_who_asks() -> None:
    def broken(prompts: Sequence[Words], deliver: Deliver[Response]) -> None:
        deliver(1 // (len(prompts) - len(prompts)), Response("x"))

    answers = ask_all(["one", "two"], broken, 2)
    assert all(isinstance(answer, ZeroDivisionError) for answer in answers)


def test_an_asker_who_leaves_does_not_hold_up_the_others() -> None:
    async def run() -> list[Response]:
        async with Batcher(prepare, Shouter(delay=0.05), 2) as batcher:
            asked = [
                asyncio.create_task(batcher.ask((Message("user", (TextPart(t),)),), Sampling(8)))
                for t in "abcdef"
            ]
            await asyncio.sleep(0.02)
            asked.pop(3).cancel()
            return await asyncio.gather(*asked)

    assert [r.text for r in asyncio.run(run())] == ["A", "B", "C", "E", "F"]


def slow_prepare(messages: Sequence[Message], sampling: Sampling) -> Words:
    time.sleep(0.3)
    return prepare(messages, sampling)


@pytest.mark.parametrize(
    ("ready", "generate", "size"),
    [
        (slow_prepare, Shouter(), 8),  # left while the first prompt is prepared
        (prepare, Shouter(delay=0.3), 2),  # left while the first batch runs, others wait
    ],
)
def test_leaving_cancels_every_question_that_has_no_answer(
    ready: Callable[[Sequence[Message], Sampling], Words], generate: Shouter, size: int
) -> None:
    async def run() -> list[Response | BaseException]:
        async with Batcher(ready, generate, size) as batcher:
            message = Message("user", (TextPart("text"),))
            asked = [asyncio.create_task(batcher.ask((message,), Sampling(8))) for _ in range(5)]
            await asyncio.sleep(0.1)
        return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)

    answers = asyncio.run(run())
    assert [type(answer) for answer in answers] == [asyncio.CancelledError] * 5


def test_asking_after_leaving_is_refused_and_does_not_wait() -> None:
    async def run() -> None:
        async with Batcher(prepare, Shouter(), 2) as batcher:
            pass
        message = Message("user", (TextPart("text"),))
        with pytest.raises(RuntimeError, match="after shutdown"):
            await asyncio.wait_for(batcher.ask((message,), Sampling(8)), 10)

    asyncio.run(run())


def test_answers_too_few_for_a_batch_reach_all_who_ask() -> None:
    texts = ["one", "two", "three"]
    answers = ask_all(texts, lambda prompts, deliver: deliver(0, Response("ONE")), 2)
    assert [type(answer) for answer in answers] == [Response, ValueError, ValueError]


@pytest.mark.parametrize(
    ("prompts", "most", "expected"),
    [
        # The first waiting is always in; then the nearest in length.
        ([Words("a " * 5), Words("a " * 50), Words("a " * 6), Words("a " * 4)], 3, [0, 2, 3]),
        # Equal limits go before nearer lengths.
        ([Words("a " * 5), Words("a " * 5, limit=99), Words("a " * 40)], 2, [0, 2]),
        # Other layouts never fit.
        ([Words("a"), Words("a", layout="image"), Words("a")], 3, [0, 2]),
    ],
)
def test_pick_takes_what_fits_the_first_best(
    prompts: list[Words], most: int, expected: list[int]
) -> None:
    assert pick(prompts, most) == expected
