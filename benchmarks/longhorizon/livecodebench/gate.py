"""How many programs are graded at once, and when one is graded alone.

Verdicts depend on the load, so a program that ran out of time is graded again alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakKeyDictionary


class Gate:
    """Lets ``size`` in at once, or one alone, in the order of asking.  Belongs to one event loop.

    ``admitted`` is held by a problem that is being graded: ``size`` have their tests in memory.
    """

    def __init__(self, size: int) -> None:
        self.admitted = asyncio.Semaphore(size)
        self._size = size
        self._slots = asyncio.Semaphore(size)
        self._turn = asyncio.Lock()  # nobody overtakes the one that waits for all slots

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Hold one slot."""
        async with self._turn:
            await self._slots.acquire()
        try:
            yield
        finally:
            self._slots.release()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Hold all slots.  Leave a shared one first."""
        async with self._turn, AsyncExitStack() as held:
            for _ in range(self._size):
                await held.enter_async_context(self._slots)
            yield


_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, Gate] = WeakKeyDictionary()


def gate() -> Gate:
    """Return the gate of the running event loop: all cores but one, which the harness needs."""
    size = max(1, len(os.sched_getaffinity(0)) - 1)
    return _gates.setdefault(asyncio.get_running_loop(), Gate(size))
