"""Who owns a container, told from a label: the process, as long as it lives, and nobody else."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.sandbox.engine import Engine, client_error, has_ended, owner
from tests.conftest import REPOSITORY


def test_a_process_has_ended_when_it_was_killed_and_not_before() -> None:
    program = "from harness.sandbox.engine import owner; print(owner(), flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert process.stdout
    name = process.stdout.readline().strip()
    assert not has_ended(name)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(name)  # its parent has not asked for it yet
    process.communicate()
    assert has_ended(name)


def test_a_later_process_with_the_same_id_is_another() -> None:
    machine, pid, started = owner().split(".")
    assert has_ended(f"{machine}.{pid}.{int(started) + 1}")
    assert not has_ended(owner())


@pytest.mark.parametrize("name", ["", "x", "<no value>", "1.2.3", "elsewhere-1.1.1", "..", "a.b.c"])
def test_what_cannot_be_known_has_not_ended(name: str) -> None:
    """Processes of other machines, and labels that are not ours."""
    assert not has_ended(name)


def test_other_users_processes_are_alive() -> None:
    machine = owner().partition(".")[0]
    started = Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]
    assert not has_ended(f"{machine}.1.{started}")


@pytest.mark.parametrize(
    ("printed", "error"),
    [  # docker 28.2 and 20.10
        (
            "docker: Cannot connect to the Docker daemon at unix:///x. Is it running?\n\n"
            "Run 'docker run --help' for more information\n",
            "Cannot connect to the Docker daemon at unix:///x. Is it running?",
        ),
        ("docker: Error response from daemon: x.\nSee 'docker run --help'.\n",
         "Error response from daemon: x."),
        ('time="2026-11-29T00:13:51Z" level=error msg="error waiting: unexpected EOF"\n',
         "error waiting: unexpected EOF"),
        ("Error response from daemon: No such container: a\n",
         "Error response from daemon: No such container: a"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_clients_complaint_is_one_line_without_advice(printed: str, error: str) -> None:
    assert client_error(printed.encode()) == error


@pytest.mark.parametrize(
    ("name", "said", "refused"),
    [  # docker 20.10, 28.2, of a kernel without seccomp; podman 4.3
        ("docker", '["name=seccomp,profile=default"]', False),
        ("docker", '["name=apparmor","name=seccomp,profile=builtin","name=cgroupns"]', False),
        ("docker", '["name=apparmor","name=seccomp,profile=unconfined"]', True),
        ("docker", '["name=cgroupns"]', True),
        ("docker", "null", True),
        ("podman", "true", False),
        ("podman", "false", True),
    ],
)
def test_an_engine_without_a_filter_is_refused(
    tmp_path: Path, name: str, said: str, refused: bool
) -> None:
    program = tmp_path / name
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    expected = pytest.raises(UsageError, match="seccomp") if refused else nullcontext()
    with expected:
        Engine(name, str(program), "1").check_filter()


ENGINE = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in "ps --all --quiet --filter label=harness.owner="*) echo ours ;; esac
"""


def test_who_ends_removes_his_containers_also_where_the_watcher_dies_with_him(
    tmp_path: Path,
) -> None:
    """As in a container: when its first process ends, the kernel kills all others."""
    fake, calls = tmp_path / "docker", tmp_path / "calls"
    fake.write_text(ENGINE.format(calls=calls))
    fake.chmod(0o755)
    program = (
        "import sys; from harness.sandbox.engine import owner, remove_leftovers as remove; "
        "life = remove(sys.argv[1]); life.process.kill(); life.process.wait(); print(owner())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(fake)],
        capture_output=True, text=True, check=True, cwd=REPOSITORY,
    )  # fmt: skip
    assert calls.read_text().splitlines()[-2:] == [
        f"ps --all --quiet --filter label=harness.owner={done.stdout.strip()}",
        "rm --force --volumes ours",
    ]


@pytest.mark.parametrize("ignored", [False, True])
def test_sigterm_cleans_up_as_ctrl_c_does(ignored: bool) -> None:
    """`docker stop` sends it; a shell's background jobs ignore SIGINT."""
    program = f"""
import asyncio, os, signal
from harness.cli.main import end_as_by_ctrl_c
if {ignored}:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
end_as_by_ctrl_c()
async def work():
    try:
        asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60)
    finally:
        print("cleaned up")
try:
    asyncio.run(work())
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY, timeout=50
    )
    assert done.stdout.split("\n")[:2] == ["cleaned up", "interrupted"], done.stderr
