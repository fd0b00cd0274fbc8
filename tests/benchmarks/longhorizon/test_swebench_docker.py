"""SWE-bench on a real docker engine: agents, grading, and everything that can fail on the way.

Skipped where no engine answers; `.ci/docker_engine` starts one.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.longhorizon.livecodebench.grade import Program, Resources, grade
from benchmarks.longhorizon.swebench.benchmark import FLAG, SweBenchLite
from benchmarks.longhorizon.swebench.container import NO_SPACE
from benchmarks.longhorizon.swebench.workspace import IMAGE_LIMITS
from harness.errors import ItemError
from harness.protocols import Tools
from harness.records import Response, Score
from harness.sandbox import MIB, choose, watch
from harness.sandbox.engine import owner
from tests.benchmarks.longhorizon import players
from tests.benchmarks.longhorizon.idioms import FUNCTIONS, IDIOMS, WRONG, WRONG_FUNCTIONS
from tests.benchmarks.longhorizon.images import IMAGE, containers, docker, soon, write_tasks
from tests.benchmarks.longhorizon.test_livecodebench_grading import SCALED, SUMS
from tests.commands import PROGRAM, ROOT, harness
from tests.servers import Reply, Request, ScriptedServer

TASKS = ("micro__bills-1", "micro__dates-1")


@pytest.fixture(scope="module")
def root(docker_image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swe")
    write_tasks(folder, TASKS)
    return folder


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert soon(lambda: not containers())


def words(server: ScriptedServer, root: Path, out: Path, *more: object) -> list[str]:
    asked = ["run", "--model", "scripted", "--endpoint", server.url, "--suite", "swebench_lite",
             "--data-root", root, "--out", out, "--json", "--items", *more]  # fmt: skip
    return list(map(str, asked))


def values(stdout: str) -> dict[str, float | None]:
    (row,) = json.loads(stdout)["benchmarks"]
    return {item["id"]: item["value"] for item in row["items"]}


def samples(out: Path) -> list[dict[str, Any]]:
    (path,) = out.glob("*/samples/swebench_lite.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


LOOK = (
    "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max 2>/dev/null "
    "|| cat memory.max pids.max; ls /sys/class/net; git -C /testbed rev-list --all --count"
)


def test_agents_play_in_limited_containers_and_are_graded(root: Path, tmp_path: Path) -> None:
    def script(row: dict[str, Any]) -> list[str]:
        right = row["instance_id"] == TASKS[0]
        return [LOOK, *(players.right(row) if right else players.wrong(row))]

    with ScriptedServer(players.plays(script)) as server:
        done = harness(*words(server, root, tmp_path, "--set", "swebench_lite.gold_check=1"))
    assert done.returncode == 0, done.stderr
    assert values(done.stdout) == {TASKS[0]: 1.0, TASKS[1]: 0.0}
    limits = {name: getattr(IMAGE_LIMITS, name) for name in ("memory", "processes", "output")}
    (manifest,) = tmp_path.glob("*/manifest.json")
    protocol = json.loads(manifest.read_text())["benchmarks"]["swebench_lite"]["protocol"]
    assert protocol["limits"] == limits
    # What the kernel enforces; no network; the later commit is gone.
    seen = f"{limits['memory']}\n{limits['processes']}\nlo\n1\n"
    for sample in samples(tmp_path):
        assert seen in sample["response"]["trajectory"][3]["content"]


def sleeps(request: Request) -> Reply:
    return Reply(players.command("sleep 300"))


def test_a_killed_run_leaves_no_container_and_goes_on(root: Path, tmp_path: Path) -> None:
    """Another live process's container is not touched, neither then nor at the next start."""
    mine = f"--label=harness.owner={owner()}"
    other = docker("run", "--detach", mine, "--network=none", IMAGE, "sleep", "300")
    player = [sleeps]
    with ScriptedServer(lambda request: player[0](request)) as server:
        program = [sys.executable, "-c", PROGRAM, *words(server, root, tmp_path)]
        process = subprocess.Popen(program, cwd=ROOT, stderr=subprocess.DEVNULL)
        assert soon(lambda: len(containers()) == 1 + len(TASKS), 60)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert soon(lambda: len(containers()) == 1)

        player[0] = players.plays(players.right)  # type: ignore[assignment]
        done = harness(*words(server, root, tmp_path))
    assert values(done.stdout) == dict.fromkeys(TASKS, 1.0)
    assert containers() == [other[:12]]
    docker("rm", "--force", other)


# The first process of a process namespace, as in a container of its own: with its end the kernel
# kills every other one there, also what would have cleaned up behind it.
FIRST = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL")


@pytest.mark.parametrize("inside", [False, True], ids=["here", "in a container"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_container(
    root: Path, tmp_path: Path, number: signal.Signals, inside: bool
) -> None:
    with ScriptedServer(sleeps) as server:
        program = [sys.executable, "-c", PROGRAM, *words(server, root, tmp_path)]
        process = subprocess.Popen(
            [*FIRST * inside, *program], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        assert soon(lambda: len(containers()) == len(TASKS), 60)
        if inside:
            (first,) = watch.children(process.pid)
            os.kill(first, number)
        else:
            process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert containers() == []


# What can fail in the middle: what is done, how it is repaired, and what the item's error says.
Harm = tuple[Callable[[], object], Callable[[], object]]


@contextmanager
def engine_gone(folder: Path) -> Iterator[Harm]:
    """The way to the engine's socket is a link, which is taken away."""
    real, link = os.environ["DOCKER_HOST"], folder / "docker.sock"
    target = real.removeprefix("unix://")
    link.symlink_to(target)
    os.environ["DOCKER_HOST"] = f"unix://{link}"
    try:
        yield link.unlink, lambda: link.symlink_to(target)
    finally:
        os.environ["DOCKER_HOST"] = real
        docker("rm", "--force", *containers(), check=False)


@contextmanager
def killed_by_hand(folder: Path) -> Iterator[Harm]:
    yield lambda: docker("kill", *containers()), lambda: None


@contextmanager
def disk_full(folder: Path) -> Iterator[Harm]:
    disk = Path(docker("info", "--format", "{{.DockerRootDir}}"))
    if not (os.path.ismount(disk) and os.statvfs(disk).f_blocks * 4096 < 8e9):
        pytest.skip("the engine's data is not on a small disk of its own")
    filler = disk / "filler"

    def fill() -> None:
        free = os.statvfs(disk)
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)

    try:
        yield fill, filler.unlink
    finally:
        filler.unlink(missing_ok=True)


FAILURES = {
    "engine gone": (engine_gone, "the docker engine does not answer any more"),
    "killed by hand": (killed_by_hand, "the container was stopped or removed from outside"),
    "disk full": (disk_full, "the docker engine cannot write: .*no space left on device.*"),
}


@pytest.mark.parametrize(("failure", "error"), FAILURES.values(), ids=FAILURES)
def test_a_failure_in_the_middle_is_an_error_of_the_item_which_is_retried(
    failure: Callable[[Path], Any], error: str, root: Path, tmp_path: Path
) -> None:
    right = players.plays(players.right)
    with failure(tmp_path) as (harm, repair):
        left = [harm]

        def answer(request: Request) -> Reply:
            if players.step_of(request) == 1 and left:
                left.pop()()
            reply = right(request)
            assert isinstance(reply, Reply)
            return reply

        with ScriptedServer(answer) as server:
            asked = words(server, root, tmp_path / "out", "--limit", 1)
            done = harness(*asked)
            (sample,) = samples(tmp_path / "out")
            assert sample["score"]["status"] == "error"
            assert re.fullmatch(error, sample["score"]["why"]), sample["score"]["why"]
            repair()
            done = harness(*asked)
    assert values(done.stdout) == {TASKS[0]: 1.0}


# Has the kernel choose the container's first process when memory runs out, which then does.
END_IT = """echo 1000 > /proc/1/oom_score_adj
for n in 1 2 3 4 5 6; do
  python3 -c "import time; x = bytearray(12 << 20); time.sleep(30)" &
done; wait"""


@pytest.mark.parametrize("trick", ["mkdir /.harness-probe", END_IT], ids=["probe", "memory"])
def test_no_command_makes_an_error_of_a_failure(trick: str, root: Path, tmp_path: Path) -> None:
    """An error is in no score: what an agent did wrong is to be a 0."""

    def answer(request: Request) -> Reply:
        if players.step_of(request) == 1:
            docker("update", "--memory=64m", "--memory-swap=64m", *containers())
            return Reply(players.command(f"echo {NO_SPACE}; {trick}"))
        return Reply(players.command(players.SUBMIT if players.step_of(request) > 2 else "true"))

    more = ("--limit", 1, "--set", "swebench_lite.step_limit=5")
    with ScriptedServer(answer) as server:
        done = harness(*words(server, root, tmp_path, *more))
    assert done.returncode == 0, done.stderr
    assert values(done.stdout) == {TASKS[0]: 0.0}


def test_an_image_that_is_missing_is_an_error_of_its_item(root: Path, tmp_path: Path) -> None:
    image = json.loads((root / "swebench_lite" / "test.jsonl").read_text().splitlines()[0])["image"]
    docker("tag", image, "harness-kept:local")
    docker("rmi", image)
    with ScriptedServer(players.plays(players.right)) as server:
        asked = words(server, root, tmp_path, "--limit", 1)
        harness(*asked)
        (sample,) = samples(tmp_path)
        why = sample["score"]["why"]
        assert f"the image {image} is missing and cannot be pulled: " in why
        docker("tag", "harness-kept:local", image)
        docker("rmi", "harness-kept:local")
        done = harness(*asked)
    assert values(done.stdout) == {TASKS[0]: 1.0}


# Grading alone


async def scored(root: Path, patch: str) -> Score:
    benchmark = SweBenchLite(root)
    item = benchmark.build(TASKS[0])
    return await benchmark.score(item, Response(patch), Tools())  # type: ignore[arg-type]


def added(path: str, text: str) -> str:
    lines = text.splitlines(keepends=True)
    head = f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
    return f"{head}@@ -0,0 +1,{len(lines)} @@\n{''.join('+' + line for line in lines)}"


PASS_ALL = """import pytest

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    outcome.get_result().outcome = "passed"
"""
GOLD = players.tasks()[TASKS[0]]["patch"]
NAMES = "diff --git a/names.py b/names.py\n--- a/names.py\n+++ b/names.py\n"
SIZE = "-SIZE = 1\n+SIZE = 2\n A = 1\n B = 2\n"
PATCHES = {
    "conftest": added("conftest.py", PASS_ALL),
    "ini": added("pytest.ini", "[pytest]\naddopts = -q -rA\n"),
    # A fix, and a hunk next to a line that is not UTF-8: as it is, as an agent's output is read,
    # encoded otherwise, left out of the hunk.
    "bytes": f'{GOLD}{NAMES}@@ -2,4 +2,4 @@\n NAME = "caf\udce9"\n{SIZE}',
    "replaced": f'{GOLD}{NAMES}@@ -2,4 +2,4 @@\n NAME = "caf\ufffd"\n{SIZE}',
    "utf8": f'{GOLD}{NAMES}@@ -2,4 +2,4 @@\n NAME = "caf\u00e9"\n{SIZE}',
    "outside": f"{GOLD}{NAMES}@@ -3,3 +3,3 @@\n{SIZE}",
}


@pytest.fixture(scope="module")
def scores(root: Path) -> dict[str, Score]:
    """All patches, graded as many at once as there are cores."""

    async def graded() -> list[Score]:
        return await asyncio.gather(*(scored(root, patch) for patch in PATCHES.values()))

    return dict(zip(PATCHES, asyncio.run(graded()), strict=True))


@pytest.mark.parametrize(
    ("name", "path", "value"), [("conftest", "conftest.py", 1.0), ("ini", "pytest.ini", 0.0)]
)
def test_a_patch_that_changes_how_tests_run_is_flagged(
    name: str, path: str, value: float, scores: dict[str, Score]
) -> None:
    """The score is swebench's own."""
    assert (scores[name].value, scores[name].flag) == (value, FLAG)
    assert f"the patch changes {path}" in scores[name].why


@pytest.mark.parametrize("name", ["bytes", "replaced", "utf8", "outside"])
def test_a_patch_whose_context_is_not_utf8_is_scored(name: str, scores: dict[str, Score]) -> None:
    """As swebench's totals do: it prints the difference, which it cannot read."""
    assert (scores[name].value, scores[name].status) == (0.0, "unparsable")
    assert scores[name].why.startswith("unresolved: swebench cannot read the patch as UTF-8")


def test_a_grading_whose_container_is_killed_is_an_error(root: Path) -> None:
    def kill() -> None:
        soon(containers)
        docker("kill", *containers())

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(ItemError, match=r"the grader failed: .*is not running"):
        asyncio.run(scored(root, added("conftest.py", "import time\ntime.sleep(60)\n")))
    killer.join()


def test_a_patch_that_takes_all_memory_is_unresolved(root: Path, tmp_path: Path) -> None:
    task = SweBenchLite(root).set.tasks[TASKS[0]]
    job = {
        "row": dict(task.row),
        "patch": added("conftest.py", "kept = b'x' * (1 << 30)\n"),
        "seconds": 60,
        "limits": {"memory": 128 * MIB, "processes": 100},
        "owner": owner(),
        "parent": os.getpid(),
    }
    worker = [sys.executable, "-m", "benchmarks.longhorizon.swebench.container_worker"]
    done = subprocess.run(
        worker,
        input=json.dumps(job),
        cwd=tmp_path,  # swebench writes its logs there
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert answer == {"unresolved": f"more than {128 * MIB} bytes of memory", "applied": True}


def test_livecodebench_in_containers(docker_image: str) -> None:
    sandbox, _ = choose(image=docker_image)
    stdin = [(code, None, True) for code in [*IDIOMS.values()][:4]]
    stdin += [(code, None, False) for code, *_ in [*WRONG.values()][:4]]
    functions = [(code, "scaled", True) for code in [*FUNCTIONS.values()][:2]]
    functions += [(code, "scaled", False) for code, _ in [*WRONG_FUNCTIONS.values()][:2]]

    async def graded(code: str, function: str | None) -> bool:
        tests = SCALED if function else SUMS
        return (
            await grade(sandbox, Program(code, function), tests, Resources(6.0, 512 * MIB))
        ).passed

    async def all_of_them() -> list[bool]:
        return [await graded(code, function) for code, function, _ in [*stdin, *functions]]

    assert asyncio.run(all_of_them()) == [right for *_, right in [*stdin, *functions]]
