"""Runs each episode in its own thread, from which it calls the event loop.

A cancelled episode ends at its next model call.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from os import cpu_count
from typing import Any, TypeVar

T = TypeVar("T")

CLEANUP_SECONDS = 5.0

_slots = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]()


def slots() -> asyncio.Semaphore:
    """Return the running loop's semaphore: as many commands run at once as there are cores.

    Commands have time limits, so more of them at once would change their results.
    """
    return _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(cpu_count() or 1))


class Caller:
    """Runs coroutines of an event loop for a thread, until it is closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._closed = False
        self._pending: concurrent.futures.Future[Any] | None = None

    def __call__(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what the coroutine returns; raises `CancelledError` in a cancelled episode."""
        if self._closed:
            raise asyncio.CancelledError
        pending = asyncio.run_coroutine_threadsafe(make(), self._loop)
        self._pending = pending
        try:
            return pending.result()
        except concurrent.futures.CancelledError:
            raise asyncio.CancelledError from None

    def close(self) -> None:
        """Cancel the call that is being waited for, and refuse all further ones."""
        self._closed = True
        if self._pending is not None:
            self._pending.cancel()


async def in_thread(work: Callable[[Caller], T]) -> T:
    """Return what ``work`` returns, run in a thread of its own.

    Not the loop's pool: episodes are long and many, and backends need the pool meanwhile.  The
    thread does not keep the process alive.  Cancelled, it ends the work at its present or next
    call, and gives it a moment to clean up.
    """
    caller = Caller(asyncio.get_running_loop())
    result: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        with suppress(concurrent.futures.InvalidStateError):  # nobody waits any more
            try:
                result.set_result(work(caller))
            except BaseException as error:
                result.set_exception(error)

    threading.Thread(target=run, daemon=True, name="episode").start()
    done = asyncio.wrap_future(result)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        caller.close()
        ended, _ = await asyncio.wait([done], timeout=CLEANUP_SECONDS)
        if ended:
            done.exception()  # retrieved: it is the cancellation's own
        else:
            done.cancel()
        raise
