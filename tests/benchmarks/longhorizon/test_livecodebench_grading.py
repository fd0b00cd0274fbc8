"""Programs graded in the real sandbox: every idiom right, every wrong or hostile program wrong.

Rules: lcb_runner/evaluation/testing_util.py.  Where the official runner misgrades an idiom (it
patches ``sys.stdin``), a real process is the rule: what the program prints for that input.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.longhorizon.livecodebench.benchmark import LiveCodeBenchV6
from benchmarks.longhorizon.livecodebench.grade import Program, Resources, Verdict, grade
from benchmarks.longhorizon.livecodebench.problems import Case
from benchmarks.micro.data import programs
from harness.errors import ItemError
from harness.protocols import Tools, build_items
from harness.records import Item, Response
from harness.sandbox import Command, Result, Sandbox, choose
from tests.benchmarks.longhorizon.idioms import FUNCTIONS, IDIOMS, WRONG, WRONG_FUNCTIONS
from tests.commands import harness
from tests.servers import Request, ScriptedServer

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed (apt-get install bubblewrap)"
)

MIB = 1 << 20
# Print the sum, then the numbers from the last to the first.
SUMS = [
    Case(
        f"{n}\n{' '.join(map(str, range(n)))}\n",
        f"{sum(range(n))}\n{' '.join(map(str, reversed(range(n))))}\n",
    )
    for n in (1, 3, 4, 2, 9, 10)
]
# Return the sum of a list times a number, in a list.
SCALED = [
    Case(f"{list(range(n))}\n{k}", f"[{sum(range(n)) * k}]") for n, k in ((2, 3), (5, 1), (9, 4))
]
GOOD = IDIOMS["open(0)"]
QUICK = Resources(6.0, 1024 * MIB)
SHORT = Resources(0.8, 256 * MIB)


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return choose()[0]


def run(
    sandbox: Sandbox,
    code: str,
    tests: list[Case],
    function: str | None = None,
    resources: Resources = QUICK,
) -> Verdict:
    return asyncio.run(grade(sandbox, Program(code, function), tests, resources))


@pytest.mark.parametrize("code", IDIOMS.values(), ids=IDIOMS)
def test_an_idiom_is_graded_right(sandbox: Sandbox, code: str) -> None:
    verdict = run(sandbox, code, SUMS)
    assert verdict.passed, verdict.why
    assert verdict.tests == len(SUMS)


@pytest.mark.parametrize(("code", "passed", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_program_fails(sandbox: Sandbox, code: str, passed: int, said: str) -> None:
    verdict = run(sandbox, code, SUMS, resources=SHORT)
    assert not verdict.passed
    assert verdict.tests == passed
    assert said in verdict.why
    good = run(sandbox, GOOD, SUMS[:2])  # as if nothing had happened
    assert good.passed, good.why


@pytest.mark.parametrize("code", FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_function_is_graded_right(sandbox: Sandbox, code: str) -> None:
    verdict = run(sandbox, code, SCALED, "scaled")
    assert verdict.passed, verdict.why


@pytest.mark.parametrize(("code", "said"), WRONG_FUNCTIONS.values(), ids=WRONG_FUNCTIONS)
def test_a_wrong_function_fails(sandbox: Sandbox, code: str, said: str) -> None:
    verdict = run(sandbox, code, SCALED, "scaled", SHORT)
    assert not verdict.passed
    assert verdict.tests == 0
    assert said in verdict.why


def test_a_test_has_an_interpreter_to_itself(sandbox: Sandbox) -> None:
    code = "seen = []\ndef f(x):\n    seen.append(x)\n    return len(seen)\n"
    assert run(sandbox, code, [Case("1", "1")] * 3, "f").passed


# Where a program may leave something for its next run, and how.
LEFT = {
    "a file": "open('left', 'w').write('x')",
    "a file of nothing": "open('left', 'w').close()",
    "a hidden file": "open('.left', 'w').close()",
    "an absolute path": "open('/tmp/left', 'w').close()",
    "the other temporary folder": "open('/var/tmp/left', 'w').close()",
    "shared memory": "open('/dev/shm/left', 'w').close()",
    "a semaphore": "import _multiprocessing as m; m.SemLock(1, 0, 1, '/left', False)",
    "a folder": "os.mkdir('left')",
    "a folder that nobody may read": "os.mkdir('left'); os.chmod('left', 0)",
    "a folder in a folder": "os.makedirs('left/left/left')",
    "a link to nothing": "os.symlink('/nothing', 'left')",
    "a fifo": "os.mkfifo('left')",
    "a socket": "import socket; socket.socket(socket.AF_UNIX).bind('left')",
    "the home folder": "open(os.path.expanduser('~/left'), 'w').close()",
    "a file at the end": "import atexit; atexit.register(lambda: open('left', 'w').close())",
    "a process that writes later": (
        "sys.stdout.flush()\n"
        "if os.fork() == 0:\n"
        "    os.setsid(); os.closerange(0, 3)\n"
        "    while True: open('left', 'w').close()"
    ),
}


@pytest.mark.parametrize("leave", LEFT.values(), ids=LEFT)
def test_a_test_finds_no_files_of_the_one_before(sandbox: Sandbox, leave: str) -> None:
    code = (
        "import os, sys\n"
        "print(sorted(os.listdir('/tmp') + os.listdir('/dev/shm') + os.listdir('.')))\n"
    )
    verdict = run(sandbox, code + leave, [Case("", "[]")] * 3)
    assert verdict.passed, verdict.why
    assert "again" not in verdict.why


def test_the_limits_and_the_load_are_recorded(sandbox: Sandbox) -> None:
    why = run(sandbox, GOOD, SUMS).why
    assert why.startswith("passed 6 tests; slowest ")
    assert " s of 6 s; 1024 MiB; load " in why
    assert why.endswith(f" on {os.cpu_count()} CPUs")


def test_many_tests_go_in_several_jobs(sandbox: Sandbox) -> None:
    tests = [Case(f"{n}\n", f"{n * n}\n") for n in range(90)]
    noted = Changed(sandbox, None, times=0)
    assert run(noted, "print(int(input()) ** 2)", tests).passed
    assert [number for number, _ in noted.seen] == [8, 64, 18]
    late = run(sandbox, "n = int(input())\nprint(n * n if n < 75 else 0)", tests)
    assert (late.passed, late.tests) == (False, 75)
    assert late.why.startswith("test 76 of 90: wrong answer in line 1: '0', expected '5625'")


def test_much_input_and_output(sandbox: Sandbox) -> None:
    words = " ".join(map(str, range(600_000)))
    tests = [Case(f"{words}\n", f"{words} \n")] * 3
    verdict = run(sandbox, "print(*map(int, input().split()))", tests)
    assert verdict.passed, verdict.why


@dataclasses.dataclass
class Changed:
    """The real sandbox, with the first commands changed; notes how many tests and commands run."""

    real: Sandbox
    change: Any
    times: int = 1
    running: int = 0
    seen: list[tuple[int, int]] = dataclasses.field(default_factory=list)

    async def run(self, command: Command) -> Result:
        if self.times:
            self.times -= 1
            command = self.change(command)
        self.running += 1
        self.seen.append((_tests(command), self.running))
        try:
            return await self.real.run(command)
        finally:
            self.running -= 1

    def describe(self) -> dict[str, Any]:
        return self.real.describe()


def at_once(command: Command) -> Command:
    """Leave a program no time."""
    head, *rest = _frames(command)
    frames = [json.dumps({**json.loads(head), "seconds": 0.001}).encode(), *rest]
    data = b"".join(struct.pack(">Q", len(frame)) + frame for frame in frames)
    return dataclasses.replace(command, stdin=data)


def hurried(command: Command) -> Command:
    """Leave a program no time, unless it has a single test to run."""
    return command if _tests(command) == 1 else at_once(command)


def _frames(command: Command) -> list[bytes]:
    """Return the job, then the input and the token of each test."""
    rest, frames = command.stdin, []
    while rest:
        end = 8 + struct.unpack(">Q", rest[:8])[0]
        frames.append(rest[8:end])
        rest = rest[end:]
    return frames


def _tests(command: Command) -> int:
    return len(_frames(command)) // 2


def test_what_ran_out_of_time_is_run_once_more_alone(sandbox: Sandbox) -> None:
    verdict = run(Changed(sandbox, hurried), GOOD, SUMS)
    assert verdict.passed
    assert "1 run again alone" in verdict.why
    twice = run(Changed(sandbox, at_once, times=2), GOOD, SUMS)
    assert not twice.passed
    assert "time limit exceeded" in twice.why


def test_nothing_else_is_graded_meanwhile(sandbox: Sandbox) -> None:
    many = Changed(sandbox, hurried, times=9)

    async def all_of_them() -> list[Verdict]:
        return await asyncio.gather(
            *(grade(many, Program(GOOD, None), SUMS, QUICK) for _ in range(4))
        )

    verdicts = asyncio.run(all_of_them())
    assert all(verdict.passed for verdict in verdicts)
    assert max(running for _, running in many.seen) <= max(1, len(os.sched_getaffinity(0)) - 1)
    alone = [running for tests, running in many.seen if tests == 1]
    assert len(alone) >= 4
    assert set(alone) == {1}


def broken(command: Command) -> Command:
    return dataclasses.replace(command, argv=("/bin/false",))


def absent(command: Command) -> Command:
    return dataclasses.replace(command, argv=("/no/such/program",))


@pytest.mark.parametrize("change", [broken, absent])
def test_a_sandbox_that_fails_is_an_error_and_never_a_verdict(
    sandbox: Sandbox, change: Any
) -> None:
    with pytest.raises(ItemError, match="the sandbox"):
        run(Changed(sandbox, change), GOOD, SUMS)
    assert run(sandbox, GOOD, SUMS).passed


# The benchmark, on the embedded problems


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lcb")
    programs.write(folder, seed=0)
    return folder


def answers() -> Iterator[tuple[str, str, bool]]:
    """Yield an id, a response and whether it is right: solutions, and programs that miss a case."""
    made = list(programs.problems(0))
    for number, problem in enumerate(made):
        right = number % 3 != 2
        wrong = "print(0)\n" if not problem.row["starter_code"] else "class Solution:\n    pass\n"
        code = problem.solution if right else wrong
        text = f"<think>```python\nprint('no')\n```</think>Here it is:\n```python\n{code}\n```\n"
        yield problem.row["question_id"], text, right


@pytest.mark.slow
def test_the_command_line_scores_programs(embedded: Path, tmp_path: Path) -> None:
    given = list(answers())
    file = tmp_path / "responses.jsonl"
    file.write_text("".join(json.dumps({"id": i, "response": t}) + "\n" for i, t, _ in given))
    where = ("--data-root", embedded, "--out", tmp_path)
    done = harness("score", "livecodebench_v6", file, *where, "--json")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["benchmarks"]
    values = {item["id"]: item["value"] for item in result["items"]}
    assert values == {item_id: float(right) for item_id, _, right in given}
    assert result["strict"] == sum(right for *_, right in given) / 24
    assert set(result["parts"]) == {"easy", "medium", "atcoder", "leetcode"}
    assert (result["errors"], result["unparsable"]) == (0, 0)


def test_a_run_asks_grades_and_is_finished(embedded: Path, tmp_path: Path) -> None:
    made = list(programs.problems(0))[5:9]  # of both kinds
    questions = {problem.row["question_content"].strip(): problem for problem in made}

    def reply(request: Request) -> str:
        asked = next((p for text, p in questions.items() if text in request.text), None)
        return f"```python\n{asked.solution}\n```" if asked else "I do not know."

    with ScriptedServer(reply) as server:
        words = ["run", "--model", "scripted", "--json", "--items"]
        words += ["--endpoint", server.url, "--suite", "livecodebench_v6", "--limit", "9"]
        words += ["--data-root", str(embedded), "--out", str(tmp_path)]
        done = harness(*words)
        assert done.returncode == 0, done.stderr
        asked = len(server.requests)
        again = harness(*words)
        assert len(server.requests) == asked == 9
    assert again.stdout == done.stdout
    document = json.loads(done.stdout)
    (result,) = document["benchmarks"]
    right = {problem.row["question_id"] for problem in made}
    assert {item["id"] for item in result["items"] if item["value"] == 1.0} == right
    assert (result["strict"], result["unparsable"], result["errors"]) == (4 / 9, 5, 0)
    manifest = json.loads((Path(document["run"]) / "manifest.json").read_text())
    entry = manifest["benchmarks"]["livecodebench_v6"]
    assert entry["protocol"]["checker"] == "real-stdin"
    assert "bubblewrap" in json.dumps(manifest)


@pytest.mark.slow
def test_every_solution_of_other_seeds_passes(sandbox: Sandbox, tmp_path: Path) -> None:
    programs.write(tmp_path, seed=7, variants=1)
    benchmark = LiveCodeBenchV6(tmp_path)
    solutions = {made.row["question_id"]: made.solution for made in programs.problems(7, 1)}

    async def score(item: Item) -> str:
        text = f"```python\n{solutions[item.id]}\n```"
        verdict = await benchmark.score(item, Response(text), Tools(sandbox))
        return "" if verdict.value == 1.0 else f"{item.id}: {verdict.why}"

    async def all_of_them() -> list[str]:
        items = [item for item in build_items(benchmark) if isinstance(item, Item)]
        return await asyncio.gather(*map(score, items))

    assert asyncio.run(all_of_them()) == [""] * 12
