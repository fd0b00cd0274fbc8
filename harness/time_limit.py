"""A limit of processor time for pure Python work, in whichever thread it runs."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


_ARRIVES = 1.0  # seconds, of which an exception takes microseconds
_AGAIN = 0.25  # seconds of processor time after which one that a finalizer swallowed is repeated


class _TimeUpError(BaseException):
    """Raised in the thread that works; nothing in between may catch it."""


class _Limit:
    """Raises in the thread that makes it, once that thread has had its processor time."""

    def __init__(self, seconds: float) -> None:
        self._thread, self._lock = threading.get_ident(), threading.Lock()
        self._clock = time.pthread_getcpuclockid(self._thread)
        self._end = time.clock_gettime(self._clock) + seconds
        self._running, self._raised = True, False

    def watch(self) -> None:
        """Look again when the time may be up."""
        self._timer = threading.Timer(self._end - time.clock_gettime(self._clock), self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        with self._lock:
            if not self._running:
                return
            if time.clock_gettime(self._clock) >= self._end:
                self._raised = True
                self._end += _AGAIN
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(_TimeUpError)
                )
            self.watch()

    def arrived(self) -> None:
        """End the watch, as its exception has arrived; a repeated one arrives here."""
        self._end_watch()
        for _ in range(1000):  # it is raised where a loop begins again
            pass

    def _end_watch(self) -> None:
        with self._lock:
            self._running = False
            self._timer.cancel()

    def stop(self) -> None:
        """End the watch; raise what was to be raised."""
        self._end_watch()
        # One that was raised must arrive: taken back, it would leave CPython's flag for it set,
        # and every later bytecode of the process would look for it (a traced call, forever).  It
        # has arrived already where a finalizer ran, which swallows it.
        end_of_wait = time.monotonic() + _ARRIVES
        while self._raised and time.monotonic() < end_of_wait:
            time.sleep(0)
        if self._raised:
            raise _TimeUpError


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return the result of pure Python work.

    Works in any thread, unlike an alarm: the exception is raised there between two bytecodes. What
    counts is the thread's own processor time: on a busy machine the work may take longer. Raises
    `TimeoutError` if the work does not end in time.
    """
    limit = _Limit(seconds)
    try:
        try:
            limit.watch()  # within: a short limit is up before it returns
            result = work()
        except _TimeUpError:
            raise
        except BaseException:
            limit.stop()
            raise
        limit.stop()
    except _TimeUpError:
        with suppress(_TimeUpError):
            limit.arrived()
        raise TimeoutError from None
    return result
