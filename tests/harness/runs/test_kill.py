"""A run may be killed at any moment: the scores are the same and little is asked twice."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.backends.http.endpoint import EndpointModel
from harness.runs import run as runs
from tests.harness.runs.kill_me import plan_of
from tests.servers import Reply, Request, ScriptedServer
from tests.sums import Quiet

ITEMS = 60
CONCURRENCY = 8


def add(request: Request) -> Reply:
    """Answer a + b, wrong for every third a, after a moment."""
    first, second = map(int, re.findall(r"\d+", request.text))
    return Reply(str(first + second + (first % 3 == 0)), delay=0.03)


def start(url: str, out: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "tests.harness.runs.kill_me", url, str(out), str(ITEMS)]
    return subprocess.Popen(words, cwd=Path(__file__).parents[3])


def scores(out: Path) -> list[dict[str, object]]:
    document = json.loads((plan_of(out, ITEMS).path / "summary.json").read_text())
    # Times differ between two runs; each has one source, which gave all responses.
    return [
        {**row, "samples_bytes": 0, "sources": [source["answers"] for source in row["sources"]]}
        for row in document["benchmarks"]
    ]


@pytest.mark.slow
def test_killed_many_times_a_run_ends_as_if_it_never_was(tmp_path: Path) -> None:
    dice = random.Random(0)
    with ScriptedServer(add) as server:
        whole = plan_of(tmp_path / "whole", ITEMS)
        runs.execute(whole, lambda: EndpointModel(server.url), {"kind": "endpoint"}, Quiet())
        assert len(server.requests) == 2 * ITEMS
        server.requests.clear()

        kills = 0
        for _ in range(200):
            process = start(server.url, tmp_path / "killed")
            asked = len(server.requests)
            patience = dice.randint(0, 15)
            while process.poll() is None and len(server.requests) < asked + patience:
                time.sleep(0.005)
            time.sleep(dice.uniform(0, 0.05))
            if process.poll() is not None:
                assert process.returncode == 0
                break
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        assert process.returncode == 0
        assert kills >= 10
        assert len(server.requests) <= 2 * ITEMS + kills * CONCURRENCY
    assert scores(tmp_path / "killed") == scores(tmp_path / "whole")


def test_sigint_leaves_a_valid_run_that_goes_on(tmp_path: Path) -> None:
    with ScriptedServer(add) as server:
        process = start(server.url, tmp_path)
        while len(server.requests) < 20:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.wait(30)
        assert process.returncode != 0
        plan = plan_of(tmp_path, ITEMS)
        assert runs.finished(plan) is None
        stored = sum(int(str(row["n"])) for row in scores(tmp_path))
        assert stored >= 20 - CONCURRENCY
        before = len(server.requests)
        assert start(server.url, tmp_path).wait(60) == 0
        assert len(server.requests) - before == 2 * ITEMS - stored
    assert runs.finished(plan) is not None
