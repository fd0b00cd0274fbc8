"""SWE-bench on the command line: runs that are killed and continued, trajectories, the doctor."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.micro.data import repositories
from tests.benchmarks.longhorizon import players
from tests.commands import PROGRAM, ROOT, harness
from tests.servers import Reply, Request, ScriptedServer

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed (apt-get install bubblewrap)"
)

NAMES = repositories.names()
SOLVED = set(NAMES[::2])


def half(request: Request) -> Reply:
    """Solve every other task, after a moment."""
    row = players.task_of(request)
    script = players.right if row["instance_id"] in SOLVED else players.wrong
    reply = players.plays(script)(request)
    assert isinstance(reply, Reply)
    return Reply(reply.text, delay=0.05)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swe")
    repositories.write(folder)
    return folder


def words(server: ScriptedServer, root: Path, out: Path, *more: object) -> list[object]:
    return ["run", "--model", "scripted", "--endpoint", server.url, "--suite", "swebench_lite",
            "--data-root", root, "--out", out, *more]  # fmt: skip


def values(document: dict[str, Any]) -> dict[str, float]:
    (row,) = document["benchmarks"]
    return {item["id"]: item["value"] for item in row["items"]}


@pytest.mark.slow
def test_a_killed_run_goes_on_and_loses_nothing(root: Path, tmp_path: Path) -> None:
    """Killed in the middle of eight episodes at once; what was stored is not played again."""
    with ScriptedServer(half) as server:
        asked = [str(word) for word in words(server, root, tmp_path, "--concurrency", 8)]
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *asked], cwd=ROOT, stderr=subprocess.DEVNULL
        )
        samples = tmp_path / "none"
        while process.poll() is None and (not samples.exists() or samples.stat().st_size == 0):
            time.sleep(0.02)
            samples = next(tmp_path.glob("*/samples/swebench_lite.jsonl"), samples)
        process.send_signal(signal.SIGKILL)
        process.wait()
        stored = {json.loads(line)["id"] for line in samples.read_text().splitlines()}
        assert 0 < len(stored) < len(NAMES)

        before = len(server.requests)
        done = harness(*words(server, root, tmp_path, "--concurrency", 8, "--json", "--items"))
        assert done.returncode == 0, done.stderr
        played = {players.task_of(request)["instance_id"] for request in server.requests[before:]}
        assert played.isdisjoint(stored)
        assert values(json.loads(done.stdout)) == {name: name in SOLVED for name in NAMES}

        # A finished run asks nothing; its summary and table say what it is not.
        before = len(server.requests)
        again = harness(*words(server, root, tmp_path))
        assert len(server.requests) == before
        assert "swebench_lite: small repositories of this project, not SWE-bench" in again.stdout
        assert "no native score" not in again.stdout
    (run,) = [path.parent for path in tmp_path.glob("*/manifest.json")]
    manifest = json.loads((run / "manifest.json").read_text())
    entry = manifest["benchmarks"]["swebench_lite"]
    assert entry["protocol"]["tasks"] == "not SWE-bench"
    assert manifest["invocations"][-1]["sandbox"]["kind"] == "bubblewrap"
    (summary,) = json.loads((run / "summary.json").read_text())["benchmarks"]
    assert summary["note"].endswith("not SWE-bench")
    _shown(run)


def test_an_interrupted_run_ends_soon_and_leaves_nothing_behind(root: Path, tmp_path: Path) -> None:
    """Interrupted while one episode waits for the model and others for their commands."""

    def slow(request: Request) -> Reply:
        sleeps = players.step_of(request) > 0
        return Reply(players.command("sleep 50"), delay=60.0 if sleeps else 0.0)

    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with ScriptedServer(slow) as server:
        asked = [str(word) for word in words(server, root, tmp_path, "--concurrency", 4)]
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *asked],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(temporary)},
            stderr=subprocess.PIPE,
            text=True,
        )
        while len(list(temporary.glob("harness-tmp-swe-*"))) < 4:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "never retrieved" not in said
    assert not list(temporary.glob("harness-tmp-swe-*"))


def _shown(run: Path) -> None:
    done = harness("show", run, NAMES[0])
    assert done.returncode == 0, done.stderr
    text = done.stdout
    assert text.count("--- step ") == len(players.right(players.tasks()[NAMES[0]]))
    assert "--- step 1 (2 tokens)\nTHOUGHT: the next step" in text
    assert "--- output\n<returncode>0</returncode>" in text
    assert "--- episode ended: Submitted\n--- response\ndiff --git a/" in text
    assert "why: resolved: FAIL_TO_PASS 2 of 2" in text
    document = json.loads(harness("show", run, NAMES[0], "--json").stdout)
    (sample,) = document["samples"]
    assert sample["response"]["trajectory"][2]["role"] == "assistant"


def test_a_long_output_is_shown_cut_and_kept_whole(root: Path, tmp_path: Path) -> None:
    def answer(request: Request) -> Reply:
        if players.step_of(request) == 0:
            return Reply(players.command("seq 1 1800"))
        return Reply("no command at all")

    with ScriptedServer(answer) as server:
        done = harness(*words(server, root, tmp_path, "--limit", 1))
        assert done.returncode == 0, done.stderr
    (run,) = [path.parent for path in tmp_path.glob("*/manifest.json")]
    shown = harness("show", run, NAMES[0]).stdout
    assert "characters are left out here" in shown
    assert "\n1000\n" not in shown
    reply = "no command at all\n--- reply to the model\nFormat error:"
    assert f"--- step 2 (2 tokens): FormatError\n{reply}" in shown
    assert "--- episode ended: RepeatedFormatError" in shown
    whole = json.loads(harness("show", run, NAMES[0], "--json").stdout)["samples"][0]
    assert "\n1000\n" in whole["response"]["trajectory"][3]["content"]


def test_the_gold_check_and_responses_that_exist(root: Path, tmp_path: Path) -> None:
    """`harness score` grades patches without a model, by the same rules."""
    rows = players.tasks()
    answers = {NAMES[0]: rows[NAMES[0]]["patch"], NAMES[1]: "", NAMES[2]: "no patch at all"}
    path = tmp_path / "responses.jsonl"
    lines = [json.dumps({"id": name, "response": text}) + "\n" for name, text in answers.items()]
    path.write_text("".join(lines))
    done = harness(
        "score",
        "swebench_lite",
        path,
        "--data-root",
        root,
        "--out",
        tmp_path,
        "--json",
        "--set",
        "swebench_lite.gold_check=1",
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["benchmarks"]
    found = {item["id"]: (item["value"], item["status"]) for item in row["items"]}
    assert found[NAMES[0]] == (1.0, "scored")
    assert found[NAMES[1]] == (0.0, "unparsable")
    assert found[NAMES[2]] == (0.0, "unparsable")


def test_wrong_options_are_one_line(root: Path, tmp_path: Path) -> None:
    base = ["run", "--model", "m", "--endpoint", "http://127.0.0.1:1", "--suite", "swebench_lite",
            "--data-root", root, "--out", tmp_path]  # fmt: skip
    for setting, said in {
        "swebench_lite.step_limit=0": "write a whole number above 0",
        "swebench_lite.environment=vmware": "write one of docker, podman, singularity",
        "swebench_lite.step_limits=3": "did you mean step_limit?",
    }.items():
        done = harness(*base, "--set", setting)
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
