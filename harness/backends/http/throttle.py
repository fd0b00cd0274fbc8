"""Limit concurrent requests to a server: fewer when it is overloaded.

Additive increase, multiplicative decrease (Chiu and Jain 1989), as in TCP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class TryAgainError(Exception):
    """This attempt failed, the next may succeed.

    ``wait`` is the time in seconds that the server asked for. ``busy``: it is overloaded.
    ``unreachable``: no connection was made at all.
    """

    def __init__(
        self,
        reason: str,
        *,
        wait: float | None = None,
        busy: bool = False,
        unreachable: bool = False,
    ) -> None:
        super().__init__(reason)
        self.wait, self.busy, self.unreachable = wait, busy, unreachable


class Throttle:
    """Allow at most ``limit`` concurrent requests; the rest wait.

    The limit, at first its maximum, halves when a request fails as ``busy``, once for all that were
    in flight together, and grows by one for as many successes as it lets through.
    """

    def __init__(self, limit: int) -> None:
        self.limit = float(limit)
        self._most = limit
        self._in_flight = 0
        self._halvings = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait until a request may be made; make it inside the context."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._in_flight < self.limit)
            self._in_flight += 1
        halvings = self._halvings
        try:
            yield
            self.limit = min(self._most, self.limit + 1 / self.limit)
        except TryAgainError as error:
            if error.busy and halvings == self._halvings:
                self.limit = max(1.0, min(self.limit, self._in_flight) / 2)
                self._halvings += 1
            raise
        finally:
            self._in_flight -= 1
            async with self._changed:
                self._changed.notify(2)
