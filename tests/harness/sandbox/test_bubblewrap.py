"""Hostile programs in bubblewrap: each ends within its limit, and the next run is as ever."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.install import doctor
from harness.sandbox import Command, Limits, Result, choose, run_sync
from harness.sandbox.bubblewrap import Bubblewrap
from tests.conftest import REPOSITORY
from tests.harness.sandbox import hostile


@pytest.fixture(scope="module")
def sandbox() -> Bubblewrap:
    try:
        found, _ = choose()
    except UsageError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    assert isinstance(found, Bubblewrap)
    return found


@pytest.fixture(scope="module")
def ground() -> Iterator[hostile.Ground]:
    # In the environment of this process, so that an inheriting sandbox would show it.
    os.environ["A_SECRET"] = "HUSH"
    with hostile.ground() as found:
        yield found
    del os.environ["A_SECRET"]


@pytest.mark.parametrize("case", hostile.CASES, ids=lambda case: case.name)
def test_hostile(sandbox: Bubblewrap, ground: hostile.Ground, case: hostile.Case) -> None:
    assert asyncio.run(ground.attack(sandbox, case)) == ""


@pytest.mark.slow
def test_hostile_to_an_ordinary_user(sandbox: Bubblewrap) -> None:
    """The same table as an ordinary user, who has user namespaces in place of another id."""
    python, user = "/usr/bin/python3", 54321
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]
    if os.geteuid() != 0:
        pytest.skip("we are an ordinary user: the table above ran as one")
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), "A_SECRET": "HUSH"}
    program = [python, str(Path(hostile.__file__))]
    can = "import sys, harness; sys.exit(sys.version_info < (3, 11))"
    if subprocess.run([*become, python, "-c", can], env=environment, check=False).returncode:
        pytest.skip("another user has no Python 3.11 here, or cannot read this repository")
    done = subprocess.run(
        [*become, *program], env=environment, cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["sandbox"]["user"] == "user namespace"
    assert set(found["wrong"]) == {case.name for case in hostile.CASES}
    assert {name: wrong for name, wrong in found["wrong"].items() if wrong} == {}


def run(sandbox: Bubblewrap, *argv: str, **more: object) -> Result:
    return run_sync(sandbox, Command(argv, **more))  # type: ignore[arg-type]


def gone(mark: str, seconds: float = 5.0) -> bool:
    """Whether all processes with the mark are gone, at the latest after ``seconds``."""
    end = time.monotonic() + seconds
    while hostile.marked(mark) and time.monotonic() < end:
        time.sleep(0.02)
    return not hostile.marked(mark)


SLEEPER = """
import asyncio, sys
from harness.sandbox import Command, choose, run_sync
sandbox, _ = choose()
script = 'setsid sleep "$0" & (setsid sleep "$0" &) ; sleep "$0"'
print("ready", flush=True)
run_sync(sandbox, Command(("sh", "-c", script, sys.argv[1])))
"""


def test_nothing_outlives_our_own_sudden_end(sandbox: Bubblewrap, ground: hostile.Ground) -> None:
    mark = f"1000.{time.monotonic_ns()}"  # seconds to sleep, by which the sleepers are found
    ours = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, mark], stdout=subprocess.PIPE, cwd=REPOSITORY
    )
    assert ours.stdout
    ours.stdout.readline()
    end = time.monotonic() + 10
    while len(hostile.marked(mark)) < 7 and time.monotonic() < end:  # ours, bwrap twice, theirs
        time.sleep(0.02)
    assert len(hostile.marked(mark)) >= 7
    ours.send_signal(signal.SIGKILL)
    ours.wait()
    ours.stdout.close()
    assert gone(mark)


def test_a_cancelled_run_leaves_nothing(sandbox: Bubblewrap) -> None:
    mark = f"1000.{time.monotonic_ns()}"

    async def cancel() -> None:
        task = asyncio.ensure_future(
            sandbox.run(Command(("sh", "-c", 'sleep "$0" & sleep "$0"', mark)))
        )
        while len(hostile.marked(mark)) < 5:  # bwrap twice, the shell, two sleepers
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert gone(mark)  # killed; the kernel may still be at it


def test_a_run_cancelled_while_it_starts_leaves_nothing(sandbox: Bubblewrap) -> None:
    """At any moment of bubblewrap's start: its first process must not wait for ever."""
    mark = f"1000.{time.monotonic_ns()}"

    async def cancel(after: float) -> None:
        task = asyncio.ensure_future(sandbox.run(Command(("sleep", mark))))
        await asyncio.sleep(after)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    for moment in range(150):
        asyncio.run(cancel(moment * 1e-4))
    assert gone(mark)


def test_many_at_once_do_not_disturb_each_other(sandbox: Bubblewrap, tmp_path: Path) -> None:
    cases = {case.name: case for case in hostile.CASES}
    here = hostile.Ground(tmp_path, tmp_path / "outside", 1)
    here.outside.write_text("untouched")
    names = ["fork bomb", "memory bomb", "endless output", *["input that is read"] * 12]
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.02)
            ticks += 1

    async def one(case: hostile.Case, folder: Path, gate: asyncio.Semaphore) -> str:
        folder.mkdir()
        async with gate:
            return case.wrong(await sandbox.run(here.command(case, folder)))

    async def all_of_them() -> list[str]:
        gate = asyncio.Semaphore(5)
        clock = asyncio.ensure_future(tick())
        runs = [one(cases[name], tmp_path / str(n), gate) for n, name in enumerate(names)]
        found = await asyncio.gather(*runs)
        clock.cancel()
        return found

    assert asyncio.run(all_of_them()) == [""] * len(names)
    # The fork bomb alone takes a second.  A loop that waits for its runs would tick between them.
    assert ticks > len(names) + 5


def test_input_output_and_exit_code_are_exact(sandbox: Bubblewrap) -> None:
    everything = bytes(range(256)) * 1000
    result = run(sandbox, "sh", "-c", "cat; echo no >&2; exit 9", stdin=everything)
    assert (result.status, result.exit_code) == ("ok", 9)
    assert (result.stdout, result.stderr) == (everything, b"no\n")


def test_the_environment_is_what_was_given(sandbox: Bubblewrap) -> None:
    result = run(sandbox, "env", environment={"LANG": "de_DE.UTF-8", "MORE": "a b"})
    assert sorted(result.stdout.decode().split("\n"))[1:] == [
        "HOME=/tmp",
        "LANG=de_DE.UTF-8",
        "MORE=a b",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "PWD=/tmp",
    ]


def test_exactly_the_limit_of_output_is_no_offence(sandbox: Bubblewrap) -> None:
    limits = Limits(output=1000)
    for size, status in ((1000, "ok"), (1001, "output")):
        result = run(sandbox, "head", "-c", str(size), "/dev/zero", limits=limits)
        assert (result.status, len(result.stdout)) == (status, 1000)


def test_a_missing_program_is_told_as_shells_tell_it(sandbox: Bubblewrap) -> None:
    result = run(sandbox, "no-such-program")
    assert (result.status, result.exit_code) == ("ok", 127)


def test_a_sandbox_that_fails_says_so(sandbox: Bubblewrap) -> None:
    result = run(sandbox, "true", cwd=Path("/no/such/folder"))
    assert (result.status, result.exit_code) == ("error", None)
    assert "/no/such/folder" in result.reason


def test_a_working_folder_keeps_what_was_written(sandbox: Bubblewrap, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "ours").write_text("1")
    for _ in range(2):
        result = run(sandbox, "sh", "-c", "echo 2 >> deep/ours; echo 3 > new", writable=(tmp_path,))
        assert result.exit_code == 0, result.stderr
    assert (tmp_path / "deep" / "ours").read_text() == "12\n2\n"
    # A second folder beside one that is known already.
    more = tmp_path.parent / f"{tmp_path.name}-more"
    more.mkdir()
    result = run(sandbox, "touch", "new", str(more / "new"), writable=(tmp_path, more))
    assert (result.exit_code, (more / "new").exists()) == (0, True)


def test_git_finds_its_repository(sandbox: Bubblewrap, tmp_path: Path) -> None:
    script = "git init -q && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m one"
    assert subprocess.run(["sh", "-c", script], cwd=tmp_path, check=False).returncode == 0
    result = run(sandbox, "git", "log", "--format=%s", writable=(tmp_path,))
    assert (result.stdout, result.stderr) == (b"one\n", b"")


def test_a_readable_folder_is_not_written_to(sandbox: Bubblewrap, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "given").write_text("read me")
    result = run(sandbox, "sh", "-c", "cat given; touch new", readable=(tmp_path,), cwd=tmp_path)
    assert (result.stdout, result.exit_code) == (b"read me", 1)
    assert not (tmp_path / "new").exists()


def test_a_link_in_place_of_a_folder_is_refused(sandbox: Bubblewrap, tmp_path: Path) -> None:
    work, outside = tmp_path / "work", tmp_path / "outside"
    work.mkdir()
    outside.mkdir()
    owner = outside.stat().st_uid
    assert run(sandbox, "ln", "-s", str(outside), "link", writable=(work,)).exit_code == 0
    with pytest.raises(UsageError, match="symbolic link"):
        run(sandbox, "true", writable=(work / "link",))
    # Handing the folder over again does not follow the link either.
    os.chown(work, os.getuid(), os.getgid())
    assert run(sandbox, "true", writable=(work,)).exit_code == 0
    assert outside.stat().st_uid == owner


@pytest.mark.parametrize("folder", ["/", "/usr", "/tmp", str(Path.home()), "/no/such"])
def test_folders_that_are_more_than_work_are_refused(sandbox: Bubblewrap, folder: str) -> None:
    with pytest.raises(UsageError):
        run(sandbox, "true", writable=(Path(folder),))


def test_what_is_recorded_is_json(sandbox: Bubblewrap) -> None:
    said = json.loads(json.dumps(sandbox.describe()))
    assert said["kind"] == "bubblewrap"
    assert said["limits"]["memory"] == sandbox.limits.memory


def test_the_doctor_says_which_it_would_be(sandbox: Bubblewrap) -> None:
    found = doctor.sandbox(needed=True)
    assert found.status == "ok"
    assert found.text.startswith("bubblewrap: ")
    assert f"bubblewrap {sandbox.version} works" in found.text


def test_in_a_container_that_forbids_it_the_line_names_docker_options(
    sandbox: Bubblewrap, tmp_path: Path
) -> None:
    """Where no user namespace can be made, with the file that podman's containers have."""
    mark = tmp_path / "mark"
    mark.touch()
    argv = ["bwrap", "--unshare-user", "--uid", "1000", "--disable-userns", "--die-with-parent"]
    argv += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    argv += ["--tmpfs", "/var/tmp", "--tmpfs", "/run", "--ro-bind", str(mark), "/run/.containerenv"]
    argv += [
        sys.executable,
        "-c",
        "import harness.sandbox as s; print(s.native_state()[1]); s.choose()",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    error = done.stderr.splitlines()[-1]
    assert "no sandbox for model-generated code works here" in error
    for name in ("seccomp", "apparmor", "systempaths"):
        assert f"--security-opt {name}=unconfined" in done.stdout
        assert f"--security-opt {name}=unconfined" in error
