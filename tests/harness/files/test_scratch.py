"""Temporary folders: removed after use, and by the next process where one was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.files.scratch import Scratch, abandoned

HOLDS = """
import sys, time
from harness.files.scratch import Scratch
scratch = Scratch("test")
(scratch.path / "file").write_text("x")
print(scratch.path, flush=True)
time.sleep(60)
"""
MAKES = """
from harness.files.scratch import Scratch
with Scratch("test") as scratch:
    print(scratch.path)
"""


def start(program: str, temporary: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        text=True,
    )


def path_of(process: subprocess.Popen[str]) -> Path:
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())


def test_a_folder_is_private_and_goes_with_its_use() -> None:
    with Scratch("test") as scratch:
        (scratch.path / "a" / "b").mkdir(parents=True)
        assert scratch.outer not in abandoned("test")
    assert not scratch.outer.exists()
    scratch.close()


def test_a_program_that_opens_its_folder_lets_nobody_in() -> None:
    """A sandboxed program could leave a file there that runs with the rights of its owner, us."""
    with Scratch("test") as scratch:
        scratch.path.chmod(0o777)
        assert scratch.outer in scratch.path.parents
        assert scratch.outer.stat().st_mode & 0o077 == 0


def test_the_next_process_sweeps_after_a_killed_one_and_not_after_a_living(tmp_path: Path) -> None:
    killed, living = start(HOLDS, tmp_path), start(HOLDS, tmp_path)
    try:
        left, held = path_of(killed), path_of(living)
        killed.kill()
        killed.wait()
        assert left.exists()
        (tmp_path / "harness-tmp-test-link").symlink_to(tmp_path / "other")
        (tmp_path / "harness-tmp-else-1").mkdir()
        maker = start(MAKES, tmp_path)
        own = path_of(maker)
        assert maker.wait() == 0
        assert not left.exists()
        assert not own.exists()
        assert (held / "file").read_text() == "x"
        assert (tmp_path / "harness-tmp-else-1").exists()
        assert (tmp_path / "harness-tmp-test-link").is_symlink()
    finally:
        for process in (killed, living):
            process.kill()
            process.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_what_was_handed_to_a_sandbox_is_swept_as_well(tmp_path: Path) -> None:
    killed = start(HOLDS, tmp_path)
    left = path_of(killed)
    os.chown(left, 12345, 12345)
    killed.kill()
    killed.wait()
    maker = start(MAKES, tmp_path)
    path_of(maker)
    assert maker.wait() == 0
    assert not left.exists()


def test_processes_that_start_together_do_not_sweep_each_other(tmp_path: Path) -> None:
    makers = [start(HOLDS, tmp_path) for _ in range(8)]
    try:
        paths = [path_of(maker) for maker in makers]
        assert len(set(paths)) == 8
        assert all((path / "file").exists() for path in paths)
    finally:
        for maker in makers:
            maker.kill()
            maker.wait()
