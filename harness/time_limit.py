"""A wall-clock limit for pure Python work, in whichever thread it runs."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


_ARRIVES = 1.0  # seconds, of which an exception takes microseconds


class _TimeUpError(BaseException):
    """Raised in the thread that works; nothing in between may catch it."""


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return the result of pure Python work.

    Works in any thread, unlike an alarm: the exception is raised there between two bytecodes.

    Raises:
        TimeoutError: the work does not end in time.
    """
    thread, lock, running, raised = threading.get_ident(), threading.Lock(), True, False

    def end() -> None:
        nonlocal raised
        with lock:
            if running:
                raised = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(_TimeUpError)
                )

    def stop() -> None:
        nonlocal running
        with lock:
            running = False
        timer.cancel()
        # One that was raised must arrive: taken back, it would leave CPython's flag for it set,
        # and every later bytecode of the process would look for it (a traced call, forever).  It
        # has arrived already where a finalizer ran, which swallows it.
        end_of_wait = time.monotonic() + _ARRIVES
        while raised and time.monotonic() < end_of_wait:
            time.sleep(0)
        if raised:
            raise _TimeUpError

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    try:
        try:
            timer.start()  # within: a short limit is up before it returns
            result = work()
        except _TimeUpError:
            raise
        except BaseException:
            stop()
            raise
        stop()
    except _TimeUpError:
        raise TimeoutError from None
    return result
