"""Containers against a stand-in for the engine, where none is at hand.

What is tested is our side: the options that we ask for, how ends are told apart, and that every
container is removed.  `test_docker.py` tests the same on a real engine.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.install import doctor
from harness.sandbox import Command, Limits, choose, run_sync
from harness.sandbox.bubblewrap import remedy
from harness.sandbox.container import Container
from tests.conftest import REPOSITORY
from tests.harness.sandbox import hostile

LIMITS = Limits(seconds=5, cpu_seconds=5, memory=100_000_000, processes=9, output=1000, disk=5000)


class Engine:
    """The stand-in, as a program named docker in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(Path(__file__).with_name("fake_engine.py"), folder / "docker")
        (folder / "docker").chmod(0o755)

    def calls(self, verb: str) -> list[list[str]]:
        lines = map(json.loads, (self.folder / "calls").read_text().splitlines())
        return [words for words in lines if words[0] == verb]

    def containers(self) -> list[str]:
        return [path.name for path in self.folder.glob("harness-*") if not path.suffix]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return Engine(folder)


@pytest.fixture
def sandbox(engine: Engine) -> Container:
    found, reason = choose(image="known:image", limits=LIMITS)
    assert isinstance(found, Container)
    assert "27.0-fake" in reason
    return found


def test_what_the_engine_is_asked_for(engine: Engine, sandbox: Container, tmp_path: Path) -> None:
    work, given = tmp_path / "work", tmp_path / "given"
    work.mkdir()
    given.mkdir()
    script = "cat; echo $WORD; pwd; exit 3"
    command = Command(
        ("sh", "-c", script),
        stdin=b"in ",
        writable=(work,),
        readable=(given,),
        environment={"WORD": "out"},
    )
    result = run_sync(sandbox, command)
    assert (result.status, result.exit_code) == ("ok", 3)
    assert result.stdout.decode().split() == ["in", "out", str(work)]
    (words,) = engine.calls("run")
    # https://docs.docker.com/reference/cli/docker/container/run/
    assert set(words) >= {
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--memory=100000000",
        "--memory-swap=100000000",
        "--pids-limit=9",
        "--tmpfs=/tmp:rw,exec,nosuid,nodev,mode=1777,size=5000",
        "--ulimit=cpu=5:6",
        f"--mount=type=bind,src={work},dst={work}",
        f"--mount=type=bind,src={given},dst={given},readonly",
    }
    assert words[-4:] == ["sha256:0123", "sh", "-c", script]
    assert engine.containers() == []


def test_secrets_stay_outside(
    engine: Engine, sandbox: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "HUSH")
    result = run_sync(sandbox, Command(("env",)))
    assert b"HUSH" not in result.stdout
    assert all("HUSH" not in word for words in engine.calls("run") for word in words)


@pytest.mark.parametrize(
    ("script", "status", "exit_code"),
    [
        ("sleep 1000 & sleep 1000", "timeout", None),
        ("while :; do :; done", "timeout", None),
        ("yes", "output", None),
        ("exec 1>&- 2>&-; exit 7", "ok", 7),
        ("kill -9 $$", "signal", 137),
        ("sleep 1000 & echo left one", "ok", 0),
        ("echo OUT-OF-MEMORY; sleep 1000", "memory", None),
    ],
)
def test_ends(
    engine: Engine, sandbox: Container, script: str, status: str, exit_code: int | None
) -> None:
    mark = f"1000.{time.monotonic_ns()}"  # seconds to sleep, by which the sleepers are found
    limits = Limits(seconds=1.5, output=1000)
    argv = ("sh", "-c", script.replace("1000", mark), mark)
    result = run_sync(sandbox, Command(argv, stdin=b"x" * 1_000_000, limits=limits))
    assert (result.status, result.exit_code) == (status, exit_code), result
    assert len(result.stdout) <= 1000
    assert engine.containers() == []
    assert hostile.marked(mark) == []
    normal = run_sync(sandbox, Command(("cat",), stdin=b"as ever"))
    assert (normal.status, normal.stdout) == ("ok", b"as ever")


def test_an_engine_that_fails_is_an_error(sandbox: Container) -> None:
    result = run_sync(sandbox, Command(("true",), cwd=Path("/no/such/folder")))
    assert (result.status, result.exit_code) == ("error", None)
    assert "no such folder" in result.reason


def test_an_engine_that_hangs_is_an_error_and_not_a_slow_program(
    engine: Engine, sandbox: Container
) -> None:
    hasty = Container(sandbox.engine, sandbox.image, Limits(seconds=0.5), patience=1)
    (engine.folder / "hangs").touch()
    result = run_sync(hasty, Command(("true",)))
    (engine.folder / "hangs").unlink()
    assert (result.status, result.exit_code) == ("error", None)
    assert result.reason == "the docker engine does not answer any more"


def test_a_cancelled_run_is_removed(engine: Engine, sandbox: Container) -> None:
    async def cancel() -> None:
        task = asyncio.ensure_future(sandbox.run(Command(("sleep", "1000"))))
        while not engine.containers():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert nothing_left(engine)


SLEEPER = """
import sys
from harness.sandbox import Command, choose, run_sync
sandbox, _ = choose(image="known:image")
run_sync(sandbox, Command(("sleep", "1000")))
"""


def test_our_own_sudden_end_removes_the_container(engine: Engine) -> None:
    ours = subprocess.Popen([sys.executable, "-c", SLEEPER], cwd=REPOSITORY)
    end = time.monotonic() + 20
    while not engine.containers() and time.monotonic() < end:
        time.sleep(0.02)
    assert engine.containers()
    ours.send_signal(signal.SIGKILL)
    ours.wait()
    assert nothing_left(engine)


def nothing_left(engine: Engine) -> bool:
    end = time.monotonic() + 10
    while engine.containers() and time.monotonic() < end:
        time.sleep(0.02)
    return not engine.containers()


def test_an_image_that_is_not_there(engine: Engine) -> None:
    with pytest.raises(UsageError, match="docker pull other:image"):
        choose(image="other:image")


def test_a_client_without_an_engine_is_none(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What docker's client does where no daemon runs: it prints to stderr and exits with 1.
    for name, said in (("docker", "no daemon"), ("bwrap", "namespaces are forbidden")):
        (engine.folder / name).write_text(f"#!/bin/sh\necho {said} >&2; exit 1\n")
        (engine.folder / name).chmod(0o755)
    for name in ("prlimit", "setpriv"):
        (engine.folder / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(engine.folder))  # no podman either
    with pytest.raises(UsageError, match="engine answers; bubblewrap: namespaces are forbidden"):
        choose(image="known:image")
    assert doctor.sandbox(needed=True).status == "missing"
    found = doctor.sandbox(needed=False)
    assert (found.status, "namespaces are forbidden" in found.text) == ("note", True)
    assert remedy() in found.text


def test_what_is_recorded_is_json(sandbox: Container) -> None:
    said = json.loads(json.dumps(sandbox.describe()))
    assert (said["kind"], said["version"], said["image_id"]) == (
        "docker",
        "27.0-fake",
        "sha256:0123",
    )
    assert said["limits"]["processes"] == 9
