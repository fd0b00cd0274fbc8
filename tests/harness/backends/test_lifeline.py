"""No process of a guarded command outlives the one who started it, however that one ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.backends import lifeline
from tests.processes import alive_after

# A command with a child and a grandchild that ignore polite signals.
STUBBORN = "trap '' TERM INT; (trap '' TERM INT; sleep 300 & wait) & echo ready; wait"
# Starts the guard as `harness.backends.vllm` does, then waits for its own end.
STARTER = """
import os, subprocess, sys, time
guard = [sys.executable, "-P", sys.argv[1], str(os.getpid()), sys.argv[2]]
subprocess.Popen([*guard, "bash", "-c", sys.argv[3]], start_new_session=True)
time.sleep(300)
"""


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    children: list[psutil.Process] = psutil.Process(process.pid).children(recursive=True)
    return children


@pytest.mark.slow
def test_when_the_parent_dies_everything_ends(tmp_path: Path) -> None:
    """Killed or asked to end: both at once, since a stubborn command is given its time."""
    folders = {by: tmp_path / by.name for by in (signal.SIGKILL, signal.SIGTERM)}
    families = {}
    for by, scratch in folders.items():
        scratch.mkdir()
        (scratch / "socket").touch()
        words = [sys.executable, "-c", STARTER, lifeline.__file__, str(scratch), STUBBORN]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            assert parent.stdout.readline() == "ready\n"
            families[by] = descendants(parent)
            assert len(families[by]) >= 3, "the guard, the command and its children"
            parent.send_signal(by)
            parent.wait()
    for by, scratch in folders.items():
        assert not alive_after(lifeline.PATIENCE + 5, families[by]), by
        assert not scratch.exists()


def test_a_guard_that_is_asked_to_end_ends_everything(tmp_path: Path) -> None:
    words = [sys.executable, "-P", lifeline.__file__, str(psutil.Process().pid), str(tmp_path)]
    with subprocess.Popen(
        [*words, "bash", "-c", "sleep 300 & echo ready; wait"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as guard:
        assert guard.stdout is not None
        assert guard.stdout.readline() == "ready\n"
        family = descendants(guard)
        begun = time.monotonic()
        guard.terminate()
        guard.wait()
        assert not alive_after(5, family)
        assert time.monotonic() - begun < 5, "a command that obeys is not waited for"


def test_a_command_that_ends_takes_its_children_along(tmp_path: Path) -> None:
    words = [sys.executable, "-P", lifeline.__file__, str(psutil.Process().pid), str(tmp_path)]
    with subprocess.Popen(
        [*words, "bash", "-c", "sleep 300 & echo $!; exit 1"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as guard:
        assert guard.stdout is not None
        child = int(guard.stdout.readline())
        guard.wait()
        assert not psutil.pid_exists(child) or not alive_after(5, [psutil.Process(child)])
