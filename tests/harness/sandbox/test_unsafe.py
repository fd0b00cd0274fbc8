"""No sandbox at all: only where a user insists, and then at least the limits hold."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.sandbox import MIB, Command, Limits, Sandbox, choose, run_sync
from tests.harness.sandbox import hostile

LIMITS = Limits(seconds=1, cpu_seconds=5, memory=100 * MIB, output=1000, disk=5 * MIB)


@pytest.fixture
def sandbox() -> Sandbox:
    found, reason = choose(unsafe=True, limits=LIMITS)
    assert "NO sandbox" in reason
    assert found.describe()["kind"] == "unsafe"
    return found


@pytest.mark.parametrize(
    ("script", "status", "exit_code"),
    [
        ("cat; exit 3", "ok", 3),
        ("sleep 1000 & sleep 1000", "timeout", None),
        ("while :; do :; done", "timeout", None),
        ("yes", "output", None),
        ("exec python3 -c 'x = b\"x\" * (150 << 20); import time; time.sleep(9)'", "memory", None),
        ("head -c 6000000 /dev/zero > $TMPDIR/file", "output", None),
        ("exec 1>&- 2>&-; exit 7", "ok", 7),
        ("kill -9 $$", "signal", 137),
        ("sleep 1000 & echo left one", "ok", 0),
    ],
)
def test_ends(sandbox: Sandbox, script: str, status: str, exit_code: int | None) -> None:
    mark = f"1000.{time.monotonic_ns()}"  # seconds to sleep, by which the sleepers are found
    result = run_sync(
        sandbox, Command(("sh", "-c", script.replace("1000", mark), mark), stdin=b"word")
    )
    assert (result.status, result.exit_code) == (status, exit_code), result
    assert hostile.marked(mark) == []


def test_secrets_of_the_environment_stay_outside(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "HUSH")
    assert b"HUSH" not in run_sync(sandbox, Command(("env",))).stdout


def test_the_private_folder_is_removed(sandbox: Sandbox, tmp_path: Path) -> None:
    result = run_sync(sandbox, Command(("sh", "-c", "pwd; echo $TMPDIR; touch x")))
    where, named = result.stdout.decode().split()
    assert where == named
    assert not Path(where).exists()
    result = run_sync(sandbox, Command(("touch", "x"), writable=(tmp_path,)))
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
