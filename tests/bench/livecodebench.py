"""Programs graded per second and core, and what a test costs beside its program's own work.

Grades solutions of the embedded problems in the real sandbox, one after another:
``python -m tests.bench livecodebench``.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator

from benchmarks.longhorizon.livecodebench.grade import FIRST_JOB, GROWTH, Program, Resources, grade
from benchmarks.longhorizon.livecodebench.problems import Case, problem, tests
from benchmarks.micro.data import programs
from harness.sandbox import Sandbox, choose

_RESOURCES = Resources(6.0, 1 << 30)
_NOTHING = Program("", None)
_REPEATS = 5
_MANY = 84


async def _passed(sandbox: Sandbox, program: Program, cases: list[Case]) -> None:
    verdict = await grade(sandbox, program, cases, _RESOURCES)
    if not verdict.passed:
        raise RuntimeError(verdict.why)


def _seconds(sandbox: Sandbox, work: list[tuple[Program, list[Case]]]) -> float:
    """Return the least seconds of a pass over the work, one program at a time."""

    async def go() -> None:
        for program, cases in work:
            await _passed(sandbox, program, cases)

    taken = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        asyncio.run(go())
        taken.append(time.perf_counter() - began)
    return min(taken)


def main() -> None:
    """Print programs per second and core, and what a program and a further test cost."""
    sandbox, why = choose()
    print(f"{sandbox.describe()['kind']} ({why}), load {os.getloadavg()[0]:.1f}")
    work = []
    for made in programs.problems(0):
        program = Program(made.solution, problem(made.row).function)
        work.append((program, list(tests(made.row))))
    n = sum(len(cases) for _, cases in work)
    taken = _seconds(sandbox, work)
    print(f"  {len(work)} programs with {n} tests, one at a time:")
    print(f"  {len(work) / taken:6.1f} programs/s and core, {n / taken:6.1f} tests/s and core")
    one, many = (_seconds(sandbox, [(_NOTHING, [Case("", "")] * tests)]) for tests in (1, _MANY))
    jobs = len(list(_jobs(_MANY)))
    print(f"  an empty program with one test {1e3 * one:6.1f} ms")
    print(f"  a further test {1e3 * (many - jobs * one) / (_MANY - jobs):6.1f} ms")


def _jobs(n: int) -> Iterator[int]:
    """Yield the sizes of the jobs in which so many tests are run."""
    size = FIRST_JOB
    while n > 0:
        yield min(size, n)
        n, size = n - size, size * GROWTH
