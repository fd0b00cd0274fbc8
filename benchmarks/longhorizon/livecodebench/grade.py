"""Grades one program: runs its tests in order in the sandbox, up to the first failure.

Tests are sent in jobs of growing size (one interpreter start per job), without the expected
answers, which are compared here.  Verdicts depend on the load, so `gate` limits how many programs
are graded at once, and one that ran out of time is graded again alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import struct
import sys
import sysconfig
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

from benchmarks.longhorizon.livecodebench import compare
from benchmarks.longhorizon.livecodebench.problems import Case
from harness.errors import ItemError
from harness.files.text import last_line
from harness.sandbox import MIB, Command, Limits, Result, Sandbox, seccomp

# Most wrong programs fail early: the first job is small, the next ones grow.
FIRST_JOB, GROWTH = 8, 8
_JOB_BYTES = 64 * MIB  # of inputs in one job
_ANSWER = 16 * MIB  # of one test; the longest expected answers have a few
_JOB_OUTPUT = 96 * MIB  # the driver's own limit on a job's answers, one answer and the reports
_START = 10.0  # seconds that the sandbox and the interpreter may take to start
_NOTICE = 0.5  # seconds a test that the driver may need to end what ran out of time
_THREADS = 8  # of a program at full load, for the limit on processor time

_READY = b"ready\n"  # what the driver says once it has seen a test run

_DRIVER = Path(__file__).with_name("driver.py")
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONIOENCODING": "utf-8",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True, slots=True)
class Resources:
    """What one test may use: wall seconds, and resident bytes of all of its processes."""

    seconds: float
    memory: int


@dataclass(frozen=True, slots=True)
class Program:
    """A program to grade; ``function`` is the one to call, None where it reads standard input."""

    code: str
    function: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a program passed, how many tests it passed, and what the record should know."""

    passed: bool
    tests: int
    why: str


_Status = Literal["ended", "timeout", "output"]


@dataclass(frozen=True, slots=True)
class _Report:
    """What the driver reports of one test.

    ``code`` is the exit code, or minus the signal; ``more``: the driver goes on to the next test.
    """

    status: _Status
    code: int
    seconds: float
    stderr: str
    more: bool
    answer: bytes


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


_gates = WeakKeyDictionary[asyncio.AbstractEventLoop, Gate]()


def gate() -> Gate:
    """Return the gate of the running event loop: all cores but one, which the harness needs."""
    size = max(1, len(os.sched_getaffinity(0)) - 1)
    return _gates.setdefault(asyncio.get_running_loop(), Gate(size))


async def grade(
    sandbox: Sandbox, program: Program, tests: Sequence[Case], resources: Resources
) -> Verdict:
    """Run a program on its tests and stop at the first that fails.

    A test that ran out of time, or that has no report, is run once more while nothing else of ours
    is graded.  Raises `ItemError` if the sandbox failed, not the program.
    """
    passed, size, slowest, again = 0, FIRST_JOB, 0.0, 0
    wrong = ""
    while passed < len(tests) and not wrong:
        job = _portion(tests[passed:], size)
        async with gate().shared():
            reports, end = await _run(sandbox, program, job, resources)
        good, slow, wrong, unsure = await asyncio.to_thread(_judge, program, job, reports)
        passed += good
        if unsure:
            again += 1
            retried = job[good : good + 1]
            async with gate().alone():
                reports, end = await _run(sandbox, program, retried, resources)
            good, slow_again, wrong, _ = await asyncio.to_thread(_judge, program, retried, reports)
            passed, slow = passed + good, max(slow, slow_again)
            wrong = wrong or ("" if good else end)
        slowest = max(slowest, slow)
        size = size * GROWTH if reports and reports[-1].more else 1
    return Verdict(not wrong, passed, _why(len(tests), passed, wrong, slowest, again, resources))


def _portion(tests: Sequence[Case], size: int) -> Sequence[Case]:
    """Return the first ``size`` tests, or fewer where they fill a job, but at least one."""
    taken = 0
    for number, test in enumerate(tests[:size]):
        taken += len(test.given)
        if number and taken > _JOB_BYTES:
            return tests[:number]
    return tests[:size]


async def _run(
    sandbox: Sandbox, program: Program, tests: Sequence[Case], resources: Resources
) -> tuple[list[_Report], str]:
    """Run one job; return its reports, and how it ended (for a test without a report)."""
    kind = sandbox.describe()["kind"]
    # Our Python starts without its site customization (-S), which takes longer than all else; the
    # driver gets the folder of packages by its name.
    ours = (sys.executable, "-s", "-S")
    python = ours if kind in ("bubblewrap", "unsafe") else ("python3", "-s")
    job = {
        # Bubblewrap applies the filter itself.
        "filter": "" if kind == "bubblewrap" else (seccomp.program() or b"").hex(),
        "code": program.code,
        "function": program.function,
        "packages": sysconfig.get_path("purelib"),
        "seconds": resources.seconds,
        "output": _ANSWER,
    }
    tokens = [secrets.token_hex(16) for _ in tests]
    seconds = _START + len(tests) * (resources.seconds + _NOTICE)
    command = Command(
        (*python, "-c", _DRIVER.read_text(encoding="utf-8")),
        stdin=_frames(job, tests, tokens),
        environment=_ENVIRONMENT,
        limits=Limits(
            seconds=seconds,
            cpu_seconds=seconds * _THREADS,
            memory=resources.memory,
            processes=128,
            files=64,
            output=_JOB_OUTPUT,
        ),
        init=True,
    )
    result = await sandbox.run(command)
    if result.status == "error":
        raise ItemError(f"the sandbox failed: {result.reason}")
    if not result.stdout.startswith(_READY):  # the program has not run yet
        raise ItemError(f"the sandbox does not run tests: {_end(result)}")
    return list(_reports(result.stdout[len(_READY) :], tokens)), _end(result)


def _frames(job: Mapping[str, Any], tests: Sequence[Case], tokens: Sequence[str]) -> bytes:
    """Return what the driver reads: the job, then an input and a token for each test."""
    frames = [json.dumps(job).encode()]
    for test, token in zip(tests, tokens, strict=True):
        frames += [test.given.encode(errors="replace"), token.encode()]
    return b"".join(struct.pack(">Q", len(frame)) + frame for frame in frames)


def _reports(data: bytes, tokens: Sequence[str]) -> Iterator[_Report]:
    """Read the driver's reports, each with its token, up to where they end or are spoilt."""
    start = 0
    for token in tokens:
        head, newline, _rest = data[start : start + 16384].partition(b"\n")
        start += len(head) + len(newline)
        try:
            fields = json.loads(head)
            status, size = fields["status"], int(fields["size"])
            answer = data[start : start + size]
            report = _Report(
                status=status,
                code=int(fields["code"]),
                seconds=float(fields["seconds"]),
                stderr=str(fields["stderr"]),
                more=bool(fields["more"]),
                answer=answer,
            )
            known = secrets.compare_digest(str(fields["token"]), token)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return
        if not known or len(answer) != size or status not in get_args(_Status):
            return
        yield report
        start += size


def _end(result: Result) -> str:
    """Return how a job ended, for a test without a report."""
    if result.status != "ok":
        return f"{result.status}: {result.reason}"
    reason = last_line(result.stderr.decode(errors="replace")) or f"exit code {result.exit_code}"
    return f"the process that ran it ended ({reason})"


def _judge(
    program: Program, tests: Sequence[Case], reports: Sequence[_Report]
) -> tuple[int, float, str, bool]:
    """Return how many tests passed in a row, the slowest, what is wrong, and whether to retry."""
    right = compare.returned if program.function else compare.printed
    slowest = 0.0
    for number, (test, report) in enumerate(zip(tests, reports, strict=False)):
        slowest = max(slowest, report.seconds)
        if report.status == "timeout":
            return number, slowest, "time limit exceeded", True
        wrong = _failed(report) or right(report.answer, test.expected)
        if wrong:
            return number, slowest, wrong, False
    # A job that ends early without a failure, and unannounced, has lost its driver.
    lost = len(reports) < len(tests) and (not reports or reports[-1].more)
    return len(reports), slowest, "", lost


def _failed(report: _Report) -> str:
    if report.status == "output":
        return f"more than {_ANSWER // MIB} MiB of output"
    if report.code == 0:
        return ""
    end = f"exit code {report.code}" if report.code > 0 else f"signal {-report.code}"
    last = last_line(report.stderr)
    return f"runtime error ({end})" + (f": {compare.quoted(last)}" if last else "")


def _why(n: int, passed: int, wrong: str, slowest: float, again: int, resources: Resources) -> str:
    """Return the record of a grading: the verdict, and the conditions that it depends on."""
    verdict = f"test {passed + 1} of {n}: {wrong}" if wrong else f"passed {n} tests"
    repeated = f"; {again} run again alone" if again else ""
    load = os.getloadavg()[0]
    return (
        f"{verdict}; slowest {slowest:.2f} s of {resources.seconds:g} s{repeated}; "
        f"{resources.memory // MIB} MiB; load {load:.1f} on {os.cpu_count()} CPUs"
    )
