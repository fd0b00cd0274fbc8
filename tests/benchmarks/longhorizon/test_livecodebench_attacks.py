"""Programs that attack their grader get hold of nothing, as root and as an ordinary user."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.longhorizon.livecodebench.grade import Program, Resources, grade
from benchmarks.longhorizon.livecodebench.problems import Case
from harness.sandbox import MIB, Sandbox, choose
from tests.benchmarks.longhorizon import attacks
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed (apt-get install bubblewrap)"
)


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return choose()[0]


@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_an_attack_gets_nothing(sandbox: Sandbox, name: str) -> None:
    verdict = attacks.run(sandbox, name)
    assert verdict.passed, verdict.why


@pytest.mark.docker
def test_nor_does_it_in_a_container(docker_image: str) -> None:
    sandbox, _ = choose(image=docker_image)
    verdicts = {name: attacks.run(sandbox, name) for name in attacks.ATTACKS}
    assert {name: end.why for name, end in verdicts.items() if not end.passed} == {}


def test_nor_does_it_as_an_ordinary_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("we are an ordinary user: the table above ran as one")
    python, user = "/usr/bin/python3", 54321
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY)}
    can = "import sys, harness; sys.exit(sys.version_info < (3, 11))"
    if subprocess.run([*become, python, "-c", can], env=environment, check=False).returncode:
        pytest.skip("another user has no Python 3.11 here, or cannot read this repository")
    done = subprocess.run(
        [*become, python, str(Path(attacks.__file__))],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["sandbox"]["user"] == "user namespace"
    assert document["found"] == dict.fromkeys(attacks.ATTACKS, "")


# A program that is too slow, and writes reports of its own where it can: by the descriptors of the
# process above it, taken from it or opened again.
_FORGER = """
import ctypes, json, os, signal, time
driver, libc = os.getppid(), ctypes.CDLL(None)
try:
    os.kill(driver, signal.SIGSTOP)
except OSError:
    pass
time.sleep(SECONDS)
found = []
handle = os.pidfd_open(driver)
for number in range(64):
    taken = libc.syscall(438, handle, number, 0)
    if taken >= 0:
        found.append(taken)
    for pid in {driver, 1}:
        try:
            found.append(os.open(f"/proc/{pid}/fd/{number}", os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            pass
report = b""
for n in range(9):
    answer = b"%d\\n" % (n * n)
    head = {"status": "ended", "code": 0, "seconds": 0.1, "stderr": "", "size": len(answer)}
    head |= {"more": True, "token": ""}
    report += json.dumps(head).encode() + b"\\n" + answer
for each in found:
    try:
        os.write(each, report)
    except OSError:
        pass
try:
    os.kill(driver, signal.SIGKILL)
except OSError:
    print(int(input()) ** 2)
"""


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_a_report_cannot_be_forged(sandbox: Sandbox, seconds: float) -> None:
    """In time it passes by its own answers alone; beyond the limit, by nothing that it does."""
    tests = [Case(f"{n}\n", f"{n * n}\n") for n in range(3)]
    program = Program(_FORGER.replace("SECONDS", str(seconds)), None)
    began = time.monotonic()
    verdict = asyncio.run(grade(sandbox, program, tests, Resources(0.4, 256 * MIB)))
    assert verdict.passed is (seconds == 0.0), verdict.why
    assert time.monotonic() - began < 10  # the limit on time still binds
