"""Ctrl-C and SIGTERM: a command finishes what must be whole, says how to resume it, and ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

# Seconds within which two signals count as one: a terminal, a launcher and a scheduler each pass
# the same one on to all processes that they know.
_TOGETHER = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal has asked this command to end; the message says what was saved.

    ``exit_code`` is 128 + the signal's number, as of a shell.
    """

    def __init__(self, message: str, number: int = signal.SIGTERM) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


@dataclass
class _Received:
    """The first signal that came while `listening`, and whether it waits for a whole step."""

    number: int | None = None
    time: float = 0.0
    deferred: bool = False


_received = _Received()


@contextmanager
def listening() -> Iterator[None]:
    """Handle the two signals until the block ends (of the main thread; elsewhere do nothing).

    The first one raises `Interrupted`, or waits inside of `deferred`; the second ends the process.
    A signal that was ignored before, as under nohup, still is.  A library that raises a
    KeyboardInterrupt of its own in our exception's place (Ray) changes nothing.
    """
    global _received
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received = _Received()
    handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _handle) for number in handled}
    try:
        yield
    except KeyboardInterrupt as error:
        if isinstance(error, Interrupted) or not requested():
            raise
        raise interrupted("interrupted") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _received = _Received()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Handle the two signals as before after a block in which a library sets handlers of its own.

    Ray's for SIGTERM, for one, ends the process.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def deferred() -> Iterator[None]:
    """Let the first signal wait: whoever works inside asks `requested` when a step is whole."""
    _received.deferred = True
    try:
        yield
    finally:
        _received.deferred = False


def requested() -> bool:
    """Whether a signal has come."""
    return _received.number is not None


def interrupted(message: str) -> Interrupted:
    """Return the exception of the signal that has come, to this process or to another rank."""
    return Interrupted(message, _received.number or signal.SIGTERM)


def _handle(number: int, _: FrameType | None) -> None:
    if _received.number is None:
        _received.number, _received.time = number, time.monotonic()
        if not _received.deferred:
            raise Interrupted("interrupted", number)
        _write("interrupted: finishing this step and saving; interrupt again to stop at once")
    elif time.monotonic() - _received.time > _TOGETHER:
        _write("stopped at once: the same command resumes from what was last saved")
        os._exit(128 + number)


def _write(text: str) -> None:
    os.write(2, f"{text}\n".encode())  # a stream may be in use by what was interrupted
