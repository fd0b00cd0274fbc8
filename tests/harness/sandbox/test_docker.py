"""Containers of a real engine: what it enforces, and that none outlives the process it belongs to.

Skipped where no engine answers; `.ci/docker_engine` starts one.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from harness.sandbox import Command, Limits, Result, choose, run_sync
from harness.sandbox.container import Container
from harness.sandbox.engine import OWNER, has_ended, owner
from harness.sandbox.protocol import Status
from tests.conftest import REPOSITORY
from tests.harness.sandbox import hostile

# What ends otherwise than in bubblewrap.  Docker's own init counts as a process; its filter allows
# files and queues in memory, which count as memory; the image's own files can be read; root stays
# root, without capabilities; a variable names the host.
OTHERWISE: dict[str, str] = {
    "processes are counted": "23 EAGAIN\n",
    "threads are counted": "23\n",
    "memory that no process holds": "done: .*",
    "writing outside": "ENOENT\n(EROFS\n){3}done: .*\nENOENT\n(EROFS|ENOENT)\n(EROFS|ENOENT)\n",
    "reading the shadow file": "done: root:.*",
    "secrets of the environment": r"\['HOME', 'HOSTNAME', 'LANG', 'PATH'\]\n(False\n)+",
    "more rights": "(done: None|EPERM)\nEPERM\nEPERM\nEPERM\n",
    "queues that no process holds": "done: None\n" * 3,
    "a larger buffer is not made": "False\n",
}
# Not limited, as docs/sandbox.md says: CPU time over all processes, what is written to a folder.
# The others look for bubblewrap's own mounts, filter and network.
UNLIMITED = {"endless loops in many processes", "filling the disk", "what is mounted for writing"}
UNLIMITED |= {"other processes", "sockets that no network namespace holds"}
UNLIMITED |= {"connections full of data"}
# The kernel kills one process: a child, and the others sleep on, or the first one.
EITHER = "memory bomb in many processes"
CASES = [
    dataclasses.replace(case, printed=OTHERWISE.get(case.name, case.printed))
    for case in hostile.CASES
    if case.name not in UNLIMITED | {EITHER}
]


@pytest.fixture(scope="module")
def sandbox(docker_image: str) -> Container:
    chosen, _ = choose(image=docker_image)
    assert isinstance(chosen, Container)
    return chosen


def docker(*words: str) -> list[str]:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    return done.stdout.split()


def owned_by(name: str) -> list[str]:
    return docker("ps", "--all", "--quiet", "--filter", f"label={OWNER}={name}")


def soon(condition: Callable[[], object], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return bool(condition())


def test_the_catalogue_of_hostile_programs(sandbox: Container) -> None:
    """All cases, two at a time; after each, a normal program runs as ever."""
    os.environ["A_SECRET"] = "HUSH"  # which a container that inherits would show

    async def attack() -> dict[str, str]:
        slots = asyncio.Semaphore(2)

        async def one_case(case: hostile.Case) -> str:
            with hostile.ground() as ground:
                ground.python = "python3"
                async with slots:
                    return await ground.attack(sandbox, case)

        wrong = await asyncio.gather(*map(one_case, CASES))
        return {case.name: text for case, text in zip(CASES, wrong, strict=True) if text}

    assert asyncio.run(attack()) == {}
    del os.environ["A_SECRET"]
    assert owned_by(owner()) == []


def test_a_memory_bomb_in_many_processes_ends_by_memory_or_by_time(sandbox: Container) -> None:
    (case,) = (case for case in hostile.CASES if case.name == EITHER)
    with hostile.ground() as ground:
        ground.python = "python3"
        folder = Path(tempfile.mkdtemp(dir=ground.folder))
        result = asyncio.run(sandbox.run(ground.command(case, folder)))
    ends: tuple[Status, ...] = ("memory", "timeout")
    assert "" in [dataclasses.replace(case, status=end, reason="").wrong(result) for end in ends]
    assert owned_by(owner()) == []


def in_the_middle(sandbox: Container, do: Callable[[str], Sequence[str]]) -> Result:
    """Run a sleeper, and a command of docker's once its container is there."""

    async def both() -> Result:
        running = asyncio.ensure_future(sandbox.run(Command(("sleep", "50"))))
        while not (names := await asyncio.to_thread(owned_by, owner())):
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(docker, *do(names[0]))
        return await running

    return asyncio.run(both())


@pytest.mark.parametrize("words", [("kill",), ("rm", "--force"), ("stop", "--time=0")])
def test_a_container_that_is_ended_by_hand_is_an_error(
    sandbox: Container, words: Sequence[str]
) -> None:
    limits = Limits(seconds=40)
    patient = Container(sandbox.engine, sandbox.image, limits)
    result = in_the_middle(patient, lambda name: (*words, name))
    assert (result.status, result.exit_code) == ("error", None)
    assert result.reason == "the container was stopped or removed from outside"


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [("kill -9 $$", "signal", 137), ("exit 125", "ok", 125), ("exit 126", "ok", 126)],
)
def test_a_program_cannot_look_like_a_failure_of_the_engine(
    sandbox: Container, script: str, status: str, code: int
) -> None:
    result = run_sync(sandbox, Command(("sh", "-c", script)))
    assert (result.status, result.exit_code) == (status, code)


OWNS = """
import sys
from harness.sandbox.engine import owner
print(owner(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other_process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process, and its name as an owner."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert process.stdout
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def test_leftovers_go_at_the_next_start_and_those_of_the_living_stay(
    docker_image: str, other_process: tuple[subprocess.Popen[str], str]
) -> None:
    process, name = other_process
    sleeper = ("--detach", "--network=none", docker_image, "sleep", "300")
    docker("run", f"--label={OWNER}={name}", *sleeper)
    elsewhere = f"{name.replace('-', '0', 1)}"  # a process of another machine
    docker("run", f"--label={OWNER}={elsewhere}", *sleeper)
    start = "import sys; from harness.sandbox import choose; choose(image=sys.argv[1])"

    def begin() -> None:
        program = [sys.executable, "-c", start, docker_image]
        subprocess.run(program, cwd=REPOSITORY, check=True)

    try:
        begin()
        assert len(owned_by(name)) == 1
        process.kill()
        process.wait()
        begin()
        assert owned_by(name) == []
        assert len(owned_by(elsewhere)) == 1
    finally:
        docker("rm", "--force", *owned_by(name), *owned_by(elsewhere))


SLEEPER = """
import sys
from harness.sandbox import Command, choose, run_sync
from harness.sandbox.engine import owner
sandbox, _ = choose(image=sys.argv[1])
print(owner(), flush=True)
run_sync(sandbox, Command(("sleep", "300")))
"""


def test_our_own_sudden_end_removes_the_container(docker_image: str) -> None:
    ours = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, docker_image],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert ours.stdout
    name = ours.stdout.readline().strip()
    assert soon(lambda: owned_by(name))
    ours.send_signal(signal.SIGKILL)
    ours.wait()
    ours.stdout.close()
    assert soon(lambda: not owned_by(name))
    assert has_ended(name)


def test_an_engine_that_does_not_answer_is_an_error(
    sandbox: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    result = run_sync(sandbox, Command(("true",)))
    assert (result.status, result.exit_code) == ("error", None)
    assert result.reason.startswith("Cannot connect to the Docker daemon at unix:///")
