"""Ask a model many things at a time, and report from time to time how many it has answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
Note = Callable[[str], None]
EVERY = 10.0  # seconds between lines


def silent(_: str) -> None:
    """Say nothing."""


class Progress:
    """Count answers, and report at most every ``every`` seconds, with the time left."""

    def __init__(self, who: str, total: int, note: Note, every: float = EVERY) -> None:
        self._who, self._total, self._note, self._every = who, total, note, every
        self._done = 0
        self._began = self._last = time.monotonic()

    def advance(self) -> None:
        """Count one answered or failed request."""
        self._done += 1
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            left = (now - self._began) / self._done * (self._total - self._done)
            self._note(f"{self._who} answered {self._done} of {self._total}, {left:.0f} s left")

    async def over(
        self, asked: Iterable[T], ask: Callable[[T], Awaitable[None]], at_once: int
    ) -> None:
        """Await ``ask`` for each of ``asked``, ``at_once`` at a time; count them."""
        waiting = iter(asked)

        async def work() -> None:
            for each in waiting:
                await ask(each)
                self.advance()

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
