"""Commands of ours side by side: what they say comes back, and all of them can be ended."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ablations.study.children import FailedError, ProcessPool, StoppedError
from tests.processes import alive_after
from tests.servers import Reply, ScriptedServer, asking


def test_commands_run_side_by_side(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    processes = ProcessPool(at_once=2)
    wrong = ["run", "--model", "nowhere", "--suite", "vqa13"]
    with ThreadPoolExecutor(2) as pool:
        fine = pool.submit(processes.run, ["--version"], tmp_path / "arms" / "one" / "run.log")
        bad = pool.submit(processes.run, wrong, tmp_path / "arms" / "two" / "run.log")
        assert fine.result().startswith("harness ")
        with pytest.raises(FailedError, match=r"vqa12.*exit code 2.*run\.log"):
            bad.result()
    # Whose line it is can be told.
    assert "\n  arms/two: harness: " in capfd.readouterr().err
    assert "vqa12" in (tmp_path / "arms" / "two" / "run.log").read_text()
    assert not list(tmp_path.rglob("*.out"))


def test_all_commands_are_ended_and_none_begins(tmp_path: Path, micro_data: Path) -> None:
    processes = ProcessPool(at_once=2)
    with ScriptedServer(lambda _: Reply("A", delay=300)) as server, ThreadPoolExecutor(2) as pool:
        args = ["run", "--model", "scripted", "--endpoint", server.url, "--suite", "phyx"]
        args += ["--data-root", str(micro_data), "--limit", "1", "--max-tokens", "8"]
        waiting = [
            pool.submit(
                processes.run, [*args, "--out", str(tmp_path / name)], tmp_path / f"{name}.log"
            )
            for name in ("one", "two")
        ]
        before = time.monotonic()
        while len(server.requests) < 2:
            assert time.monotonic() - before < 120
            time.sleep(0.05)
        running = asking()
        share = max(1, len(os.sched_getaffinity(0)) // 2)
        assert [command.environ()["OMP_NUM_THREADS"] for command in running] == [str(share)] * 2
        processes.stop()
        for future in waiting:
            with pytest.raises(StoppedError):
                future.result(timeout=30)
    assert not alive_after(5, running)
    with pytest.raises(StoppedError):
        processes.run(["--version"], tmp_path / "late.log")
