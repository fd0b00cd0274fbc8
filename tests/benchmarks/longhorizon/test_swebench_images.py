"""The tasks with images, as far as it goes without an engine: what is asked for and said.

A small script stands in for the docker client; no container was started by any of these.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.longhorizon.swebench.benchmark import SweBenchLite
from benchmarks.longhorizon.swebench.container_worker import failure
from benchmarks.longhorizon.swebench.environments import image_environment, qualified
from benchmarks.longhorizon.swebench.grading import grade, verdict
from benchmarks.longhorizon.swebench.tasks import TaskSet
from benchmarks.longhorizon.swebench.threads import Caller, in_thread
from benchmarks.longhorizon.swebench.workspace import IMAGE_LIMITS
from harness.errors import ItemError, UsageError
from harness.protocols import Check, Tools
from harness.sandbox.engine import owner
from tests.benchmarks.longhorizon.test_swebench import real_row, table
from tests.commands import harness

IMAGE = "swebench/sweb.eval.x86_64.a_1776_b-1:latest"


def engine(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> Path:
    """Put a script named docker first in PATH; it writes down what it is asked."""
    log = folder / "asked"
    script = folder / "bin" / "docker"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\necho "$@" >> {log}\n{program}')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    return log


ANSWERS = """case "$1 $2" in
  "version --format") echo 28.1.1 ;;
  "info --format") echo / ;;
  "image ls") printf 'swebench/sweb.eval.x86_64.a_1776_b-1:latest\\nother:1\\n' ;;
esac
"""


def checks(root: Path, **options: Any) -> dict[str, Check]:
    return {check.name: check for check in SweBenchLite(root, **options).checks()}


def test_an_engine_and_its_images_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = real_row(instance_id="a__b-2", image="docker.io/swebench/two:latest")
    table([real_row(), other], tmp_path / "swebench_lite")
    engine(tmp_path, monkeypatch, ANSWERS)
    found = checks(tmp_path)
    assert found["swebench_lite engine"] == Check("swebench_lite engine", "ok", "docker 28.1.1")
    images = found["swebench_lite images"]
    assert images.status == "note"
    assert images.text.startswith("1 of 2 are not here")
    assert "docker pull docker.io/swebench/two:latest" in images.text
    assert "0 GB needed for 1 image," in found["swebench_lite disk"].text


def test_an_engine_that_does_not_answer_is_missing_and_stops_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table([real_row()], tmp_path / "swebench_lite")
    engine(tmp_path, monkeypatch, "echo 'Cannot connect to the Docker daemon' >&2; exit 1\n")
    check = checks(tmp_path)["swebench_lite engine"]
    assert check.status == "missing"
    assert "no docker answers: install docker and start its engine" in check.text
    with pytest.raises(UsageError, match="swebench_lite engine: no docker answers"):
        asyncio.run(SweBenchLite(tmp_path).prepare(Tools()))


def test_without_data_the_disk_for_all_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(tmp_path, monkeypatch, ANSWERS)
    found = checks(tmp_path)
    assert found["swebench_lite images"].text == "300; the data, which name them, are not here"
    assert found["swebench_lite disk"].text.startswith("72 GB needed for 300 images")


@pytest.mark.slow
def test_the_doctor_says_it_in_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table([real_row()], tmp_path / "swebench_lite")
    engine(tmp_path, monkeypatch, "exit 1\n")
    done = harness("doctor", "--suite", "swebench_lite", "--data-root", tmp_path, "--json")
    assert done.returncode == 2
    named = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert named["swebench_lite engine"]["status"] == "missing"
    assert "1 of 1 are not here" in named["swebench_lite images"]["text"]


def test_singularity_plays_and_says_that_it_does_not_grade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table([real_row()], tmp_path / "swebench_lite")
    engine(tmp_path, monkeypatch, "exit 1\n")
    found = checks(tmp_path, environment="singularity")
    assert found["swebench_lite engine"].status == "missing"
    assert "swebench grades with docker alone" in found["swebench_lite grader"].text


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("swebench/a:latest", "docker.io/swebench/a:latest"),
        ("docker.io/swebench/a", "docker.io/swebench/a"),
        ("ghcr.io/x/y", "ghcr.io/x/y"),
        ("localhost:5000/a", "localhost:5000/a"),
    ],
)
def test_names_of_images(name: str, whole: str) -> None:
    assert qualified(name) == whole


DIES = """case "$1" in
  version) echo 28.1.1 ;;
  exec) n=$(grep -c '^exec' %s)
        if [ "$n" -gt 1 ]; then echo "Error response from daemon: not running" >&2; exit 1; fi ;;
  inspect) case "$2" in *ExitCode*) echo 137 ;; *) echo false ;; esac ;;
esac
"""


def play(command: str) -> None:
    """Start an image's environment and run one command in it."""

    def work(caller: Caller) -> None:
        with image_environment("docker", IMAGE, 60, caller) as environment:
            environment.execute({"command": command})

    asyncio.run(in_thread(work))


def test_a_container_that_died_ends_the_episode_as_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = engine(tmp_path, monkeypatch, DIES % (tmp_path / "asked"))
    with pytest.raises(ItemError, match="the container was stopped or removed from outside"):
        play("ls")
    asked = log.read_text()
    started = next(line for line in asked.splitlines() if line.startswith("run "))
    memory, processes = IMAGE_LIMITS.memory, IMAGE_LIMITS.processes
    wanted = f"--network=none --memory={memory} --memory-swap={memory} --pids-limit={processes}"
    assert f"{wanted} -- {IMAGE} bash" in started
    assert f"--label=harness.owner={owner()}" in started
    assert "clone --quiet --no-checkout" in asked  # the history was cut first
    assert asked.splitlines()[-1].startswith("rm --force")


@pytest.mark.parametrize(
    ("verb", "error"),
    [("run", f"{IMAGE} does not start"), ("pull", f"the image {IMAGE} is missing and cannot be")],
)
def test_an_image_that_does_not_start_is_an_error(
    verb: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = "echo 'No such image' >&2; exit 1" if verb == "pull" else "echo sha256:0123"
    script = f"""case "$1" in
      version) echo 28.1.1 ;;
      image) {missing} ;;
      {verb}) echo 'manifest unknown' >&2; exit 125 ;;
    esac"""
    engine(tmp_path, monkeypatch, script)
    with pytest.raises(ItemError, match=f"^{error}.*: manifest unknown$"):
        play("ls")


def test_an_engine_that_went_away_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(tmp_path, monkeypatch, "echo 'Cannot connect to the Docker daemon' >&2; exit 1\n")
    with pytest.raises(ItemError, match=r"^no docker engine answers$"):
        play("ls")


def test_a_grader_without_an_engine_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table([real_row()], tmp_path / "swebench_lite")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    (task,) = TaskSet("swebench_lite", tmp_path).tasks.values()
    before = set(Path().iterdir())
    with pytest.raises(ItemError, match="the grader failed: no docker engine answers"):
        asyncio.run(grade(task, "diff --git a/x b/x\n", None, 60))
    assert set(Path().iterdir()) == before


def test_what_swebench_wrote_of_a_run_without_a_report_is_told_apart() -> None:
    """The words are those of swebench 5.0.2: run_instance raises and logs them."""
    from swebench.harness.constants import APPLY_PATCH_FAIL

    assert failure(f"x\n{APPLY_PATCH_FAIL}:\nerror")["applied"] is False
    assert "in time" in failure("EvaluationError: Test timed out after 1800 seconds.")["unresolved"]
    dead = failure("Error creating container for a__b-1: 500 Server Error")
    assert dead == {"error": "Error creating container for a__b-1: 500 Server Error"}
    assert "no report" in failure("")["error"]


def test_reports_of_a_broken_environment_are_errors() -> None:
    report = {"resolved": False, "infra_failure": True, "infra_failure_reason": "out_of_memory"}
    with pytest.raises(ItemError, match="the environment broke: out_of_memory"):
        verdict(report)
    assert not verdict({"resolved": False, "infra_failure": False}).resolved
