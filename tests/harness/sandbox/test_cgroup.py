"""Control groups: kernel memory of every kind counts where one can be made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.sandbox import MIB, Command, Limits, cgroup, run_sync
from harness.sandbox.bubblewrap import Bubblewrap
from harness.sandbox.cgroup import Groups

LIMITS = Limits(seconds=20, cpu_seconds=20, memory=64 * MIB, disk=16 * MIB)

# Programs that let the kernel hold much more than the limit.
KERNEL_MEMORY = {
    "files in memory, of nothing": """
import os
for n in range(400_000): os.close(os.open(f"/tmp/{n}", os.O_CREAT))
""",
    "pipes full of data": """
import os, time
for _ in range(3): os.fork()
while True:
    try:
        _, end = os.pipe()
        os.set_blocking(end, False)
        try:
            while True: os.write(end, bytes(1 << 16))
        except BlockingIOError: pass
    except OSError: time.sleep(60)
""",
    "locks": """
import fcntl, os, struct, time
for _ in range(20): os.fork()
file = os.open("/tmp/x", os.O_CREAT | os.O_RDWR)
for n in range(1 << 20, 0, -1):
    fcntl.fcntl(file, fcntl.F_SETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 2 * n, 1, 0))
time.sleep(60)
""",
}


@pytest.fixture(scope="module")
def sandbox() -> Bubblewrap:
    made = cgroup.groups()
    if made is None:
        pytest.skip("no control group with a limit on memory can be made here")
    made.remove()
    return Bubblewrap(LIMITS)


@pytest.mark.parametrize("program", KERNEL_MEMORY.values(), ids=KERNEL_MEMORY)
def test_what_the_kernel_holds_counts(sandbox: Bubblewrap, program: str) -> None:
    result = run_sync(sandbox, Command((sys.executable, "-c", program)))
    assert (result.status, result.exit_code) == ("memory", None), result
    again = run_sync(sandbox, Command(("echo", "as ever")))
    assert (again.status, again.stdout) == ("ok", b"as ever\n")


def test_a_group_ends_what_the_watch_is_too_slow_for(sandbox: Bubblewrap) -> None:
    """The kernel kills at the hard limit; that is told from a program that kills itself."""
    assert sandbox._groups
    hold = "import os; input(); x = bytearray(200 << 20); os.kill(os.getpid(), 9)"
    for memory, broke in ((512 * MIB, False), (16 * MIB, True)):
        limits = Limits(memory=memory, disk=0)
        with sandbox._groups.take(limits) or pytest.fail("no group") as group:
            argv = (sys.executable, "-c", hold)
            with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
                group.add(process.pid)
                process.communicate(b"go\n")
            assert process.returncode == -9
            assert group.broke() is broke
            assert group.kernel_memory() >= 0


def test_groups_of_ended_processes_are_removed(sandbox: Bubblewrap) -> None:
    assert sandbox._groups
    folder = sandbox._groups._folder
    with subprocess.Popen(["true"]) as process:
        process.wait()
    left, ours = (folder / f"harness-sandbox-{pid}-x" for pid in (process.pid, os.getpid()))
    left.mkdir()
    ours.mkdir()
    try:
        assert cgroup.groups()
        assert (left.exists(), ours.exists()) == (False, True)
    finally:
        ours.rmdir()


def test_version_2_reads_its_own_files(tmp_path: Path) -> None:
    """Documentation/admin-guide/cgroup-v2.rst: what a group's files hold."""
    group = Groups(tmp_path, v1=False).take(Limits(memory=100 * MIB, disk=MIB))
    assert group
    (path,) = tmp_path.iterdir()
    assert int((path / "memory.max").read_text()) >= 102 * MIB
    (path / "memory.stat").write_text("anon 5\nfile 6\nkernel 700\nkernel_stack 1\nsock 80\n")
    (path / "memory.events").write_text("low 0\nhigh 0\nmax 3\noom 1\noom_kill 0\n")
    assert (group.kernel_memory(), group.broke()) == (780, False)
    (path / "memory.events").write_text("low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\n")
    assert group.broke()
