"""How many programs are graded at once, and when one is graded alone.

Verdicts depend on the load, so a program that ran out of time is graded again with nothing
beside it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary


def places() -> int:
    """Return how many are graded at once: all cores but the one that the rest of us needs."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


class Gate:
    """Lets so many in at once, or one alone.  Belongs to one event loop.

    ``admitted`` is held by a problem that is being graded: so many have their tests in memory.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.admitted = asyncio.Semaphore(size)
        self._inside = 0
        self._want_it_alone = 0
        self._waiting: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Hold one place; who wants to be alone goes first."""
        while self._want_it_alone or self._inside >= self.size:
            await self._change()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            self._wake()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Hold the only place.  Who holds a shared one must leave it first."""
        self._want_it_alone += 1
        try:
            while self._inside:
                await self._change()
            self._inside += 1
            try:
                yield
            finally:
                self._inside -= 1
        finally:
            self._want_it_alone -= 1
            self._wake()

    async def _change(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()


_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, Gate] = WeakKeyDictionary()


def gate() -> Gate:
    """Return the gate of the running event loop."""
    return _gates.setdefault(asyncio.get_running_loop(), Gate(places()))
