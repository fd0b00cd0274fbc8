"""Batch single requests for a model that answers many at once; independent of torch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, Self, TypeVar

from harness.errors import ItemError
from harness.records import Message


class BatchError(Exception):
    """A batch failed, smaller ones may succeed; ``memory``: it was too large."""

    def __init__(self, reason: str, *, memory: bool = False) -> None:
        super().__init__(reason)
        self.memory = memory


class Prepared(Protocol):
    """A prompt of ``length`` tokens, for at most ``limit`` more; a batch shares one ``layout``."""

    @property
    def length(self) -> int: ...  # noqa: D102
    @property
    def limit(self) -> int: ...  # noqa: D102
    @property
    def layout(self) -> Hashable: ...  # noqa: D102


P = TypeVar("P", bound=Prepared)
H = TypeVar("H")
R = TypeVar("R")
Deliver = Callable[[int, R], None]  # a prompt's index in its batch, and its answer


def pick(prompts: Sequence[Prepared], most: int) -> list[int]:
    """Return the indices of the next batch, at most ``most``: the first prompt and those like it.

    Prompts of equal limit come first, so that short answers do not wait for long ones, then those
    nearest in length, to keep padding small.
    """
    first = prompts[0]
    fitting = [i for i, prompt in enumerate(prompts) if prompt.layout == first.layout]

    def distance(i: int) -> tuple[bool, int, int]:
        prompt = prompts[i]
        return prompt.limit != first.limit, abs(prompt.length - first.length), i

    return sorted(fitting, key=distance)[:most]


class Batcher(Generic[P, R, H]):
    """Prepare prompts in one thread and answer batches of them in another; use in ``async with``.

    On exit, every unanswered request is cancelled.

    Args:
        prepare: makes a prompt from messages and request settings; raises `ItemError` for an
            invalid request.
        generate: answers a batch and delivers each answer as soon as it is ready; raises
            `BatchError` if smaller batches may answer the rest.
        batch_size: the maximum batch size; reduced if memory does not suffice.
    """

    def __init__(
        self,
        prepare: Callable[[Sequence[Message], H], P],
        generate: Callable[[Sequence[P], Deliver[R]], None],
        batch_size: int,
    ) -> None:
        self.batch_size = batch_size
        self._prepare = prepare
        self._generate = generate
        self._waiting: list[tuple[P, asyncio.Future[R]]] = []
        self._unanswered: set[asyncio.Future[R]] = set()  # waiting, or in the running batch
        self._preparing = 0
        self._changed = asyncio.Event()
        self._threads = (ThreadPoolExecutor(1, "prepare"), ThreadPoolExecutor(1, "generate"))

    async def __aenter__(self) -> Self:
        self._driver = asyncio.create_task(self._drive())
        self._driver.add_done_callback(self._end_all)
        return self

    async def __aexit__(self, *_: object) -> None:
        for answer in list(self._unanswered):
            answer.cancel()
        self._driver.cancel()
        for thread in self._threads:
            thread.shutdown(cancel_futures=True)
        await asyncio.wait([self._driver])

    def _end_all(self, driver: asyncio.Task[None]) -> None:
        """Resolve every answer that will not come, with the driver's error if any."""
        error = None if driver.cancelled() else driver.exception()
        for answer in list(self._unanswered):
            if error is None:
                answer.cancel()
            elif not answer.done():
                answer.set_exception(error)

    async def ask(self, messages: Sequence[Message], how: H) -> R:
        """Return the answer to one request; `ItemError` if it is invalid, or fails even alone."""
        loop = asyncio.get_running_loop()
        self._preparing += 1
        try:
            prompt = await loop.run_in_executor(self._threads[0], self._prepare, messages, how)
        finally:
            self._preparing -= 1
            self._changed.set()  # processed after this answer is queued
        answer: asyncio.Future[R] = loop.create_future()
        self._unanswered.add(answer)
        answer.add_done_callback(self._unanswered.discard)
        self._waiting.append((prompt, answer))
        if self._driver.done():
            self._end_all(self._driver)
        return await answer

    async def _drive(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._ready():
                await self._answer(self._take())

    def _ready(self) -> bool:
        """Whether a batch is full, or no further prompt is on its way."""
        self._waiting = _open(self._waiting)
        full = len(self._waiting) >= self.batch_size
        return full or (bool(self._waiting) and self._preparing == 0)

    def _take(self) -> list[tuple[P, asyncio.Future[R]]]:
        chosen = set(pick([prompt for prompt, _ in self._waiting], self.batch_size))
        batch = [waiting for i, waiting in enumerate(self._waiting) if i in chosen]
        self._waiting = [waiting for i, waiting in enumerate(self._waiting) if i not in chosen]
        return batch

    async def _answer(self, batch: list[tuple[P, asyncio.Future[R]]]) -> None:
        """Answer a batch, in parts if it fails as a whole."""
        loop = asyncio.get_running_loop()

        def deliver(index: int, response: R) -> None:
            loop.call_soon_threadsafe(_settle, batch[index][1], response)

        prompts = [prompt for prompt, _ in batch]
        work = loop.run_in_executor(self._threads[1], self._generate, prompts, deliver)
        await asyncio.wait([work])
        error = work.exception()
        # Delivered answers are set by now: their callbacks were queued before the end of work.
        left = _open(batch)
        if isinstance(error, BatchError) and left and len(batch) > 1:
            half = max(1, len(left) // 2)
            if error.memory:
                self.batch_size = min(self.batch_size, half)
            await self._answer(left[:half])
            while rest := left[half : half + self.batch_size]:
                await self._answer(rest)
                half += len(rest)
        elif error is not None:
            final = ItemError(str(error)) if isinstance(error, BatchError) else error
            for _, answer in left:
                answer.set_exception(final)
        elif left:
            raise ValueError(f"{len(left)} of {len(batch)} answers were not delivered")


def _open(waiting: list[tuple[P, asyncio.Future[R]]]) -> list[tuple[P, asyncio.Future[R]]]:
    return [(prompt, answer) for prompt, answer in waiting if not answer.done()]


def _settle(answer: asyncio.Future[R], response: R) -> None:
    if not answer.done():
        answer.set_result(response)
