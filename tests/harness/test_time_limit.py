"""Work within a time limit: it ends, in any thread, and leaves the interpreter as it was."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.time_limit import within


def loop() -> None:
    while True:
        pass


class Slow:
    """Its finalizer takes a while, in which it swallows what is raised."""

    def __del__(self) -> None:
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            pass


def test_work_that_ends_gives_its_result() -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda n: within(60, lambda: n), range(200))) == list(range(200))


def test_work_that_fails_raises_what_it_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 / 0)


def test_work_that_loops_ends_in_every_thread() -> None:
    def attempt(_: int) -> None:
        with pytest.raises(TimeoutError):
            within(0.05, loop)
        time.sleep(0.001)  # nothing comes after it

    attempt(0)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(attempt, range(6)))


# Limits around the time that the work takes: some are too short, some come at the very end.  Then
# a traced call, which never ends where CPython's flag for a raised exception stays set.
TRACED = """
import sys, time
from harness.time_limit import within
ended = 0
for n in range(200):
    try:
        ended += within(0.0005 + n * 1e-5, lambda: sum(range(30_000)) > 0 or time.sleep(0.001))
    except TimeoutError:
        pass
sys.settrace(lambda *about: None)
(lambda: time.sleep(0))()
print(ended)
"""


def test_afterwards_calls_can_be_traced() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRACED], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    assert 0 < int(done.stdout) <= 200


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_that_a_finalizer_swallows_is_not_waited_for() -> None:
    with pytest.raises(TimeoutError):
        within(0.02, lambda: [Slow() and None for _ in range(1)])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_work_that_loops_ends_although_a_finalizer_swallowed_the_exception() -> None:
    began = time.thread_time()
    with pytest.raises(TimeoutError):
        within(0.02, lambda: (Slow() and None) or loop())
    assert time.thread_time() < began + 5  # by itself, not by the test's time limit
    time.sleep(0.3)  # nothing comes after it


def test_time_in_which_others_have_the_processor_does_not_count() -> None:
    assert within(0.05, lambda: time.sleep(0.2) or "done") == "done"
    with pytest.raises(TimeoutError):
        within(0.05, lambda: time.sleep(0.1) or loop())
