"""Signals: what ends at once, what finishes its step first, and that nothing differs after it."""

from __future__ import annotations

import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from ablations.interrupts import Interrupted, listening, undisturbed
from ablations.training.check import check_launcher
from ablations.training.ledger import last_complete
from harness.cli.main import run_command
from harness.errors import UsageError
from tests.ablations.training.test_training import read_steps, train, weights, words
from tests.commands import ROOT
from tests.harness.files.test_storage import on_small_disk

PROGRAM = """
import sys, time
from ablations.interrupts import Interrupted, deferred, listening, requested
try:
    with listening():
        print("ready", flush=True)
        if sys.argv[1] == "at once":
            time.sleep(60)
        with deferred():
            for _ in range(3000):
                time.sleep(0.01)
                if requested() and sys.argv[1] == "step":
                    time.sleep(0.3)
                    print("whole", flush=True)
                    raise Interrupted("saved", 15)
except Interrupted as stop:
    print(stop, flush=True)
    sys.exit(stop.exit_code)
"""


def stopped(kind: str, *signals: float) -> tuple[int, list[str], str]:
    """Send signals (an integer) and wait between them (a fraction of a second)."""
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.1)
    for each in signals:
        if each < 1:
            time.sleep(each)
        else:
            child.send_signal(int(each))
    out, errors = child.communicate(timeout=20)
    return child.returncode, out.splitlines(), errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_waits_for_a_whole_step_and_the_second_does_not(number: int) -> None:
    code, lines, errors = stopped("at once", number)
    assert (code, lines, errors) == (128 + number, ["interrupted"], "")
    code, lines, errors = stopped("step", number)
    assert (code, lines) == (143, ["whole", "saved"])
    assert errors.count("\n") == 1
    # One signal that a launcher and a terminal both pass on is not a second one.
    assert stopped("step", number, 0.05, signal.SIGTERM)[:2] == (143, ["whole", "saved"])
    code, lines, errors = stopped("never", number, 0.6, number)
    assert (code, lines) == (128 + number, [])
    assert errors.splitlines()[-1].startswith("stopped at once: the same command resumes")


def test_a_librarys_own_interrupt_says_which_signal_came() -> None:
    """Ray raises a KeyboardInterrupt of its own where a handler of ours has raised."""

    def waiting() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None

    with pytest.raises(Interrupted) as caught, listening():
        waiting()
    assert caught.value.exit_code == 143
    with pytest.raises(KeyboardInterrupt) as other, listening():
        raise KeyboardInterrupt  # no signal of ours
    assert not isinstance(other.value, Interrupted)


def test_handlers_that_a_library_sets_do_not_stay() -> None:
    """As Ray sets one for SIGTERM that ends the process."""
    with listening():
        before = signal.getsignal(signal.SIGTERM)
        with undisturbed():
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))
        assert signal.getsignal(signal.SIGTERM) is before
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@contextmanager
def signalled(number: int, log: Path, steps: int) -> Iterator[None]:
    """Send this process a signal once a training has logged so many steps."""

    def wait() -> None:
        while not log.exists() or log.read_bytes().count(b"\n") < steps:
            time.sleep(0.001)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    yield
    thread.join(10)


@pytest.mark.parametrize(
    ("name", "number", "lora_rank"),
    [
        ("contextrl", signal.SIGTERM, 0),
        pytest.param("da-sft", signal.SIGINT, 0, marks=pytest.mark.slow),
        pytest.param("ca-only", signal.SIGTERM, 2, marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_the_step_and_the_resumed_run_equals_a_whole_one(
    name: str,
    number: int,
    lora_rank: int,
    text_world: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    changes: dict[str, Any] = {"prompts": 32, "pairs_per_step": 1, "pair_count": 8}
    changes["lora_rank"] = lora_rank
    train(text_world, name, tmp_path / "whole", **changes)
    parts = tmp_path / "parts"
    capsys.readouterr()
    with signalled(number, parts / "training.jsonl", 2):
        code = run_command(words(text_world, name, parts, **changes))
    last = capsys.readouterr().err.splitlines()[-1]
    assert code == 128 + number
    match = re.fullmatch(
        r"(\w+): checkpoint saved after step (\d+) of \d+: rerun the same command to resume", last
    )
    assert match, last
    # --save-every is 50: without the signal there would be no checkpoint.
    folder = parts / "stages" / match[1] / f"checkpoint-{match[2]}"
    assert (folder / "trainer_state.json").exists()
    assert len(read_steps(parts / "training.jsonl")) == int(match[2])
    train(text_world, name, parts, **changes)
    assert weights(parts / "checkpoint") == weights(tmp_path / "whole/checkpoint")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


LAUNCHED = {
    "RANK": "0",
    "WORLD_SIZE": "1",
    "LOCAL_RANK": "0",
    "MASTER_ADDR": "localhost",
    "MASTER_PORT": "29500",
}
INCOMPLETE = [names for size in range(1, 5) for names in combinations(LAUNCHED, size)]


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Return what sets variables, of which none of a launcher's is set."""
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("names", INCOMPLETE, ids="+".join)
def test_some_variables_of_a_launcher_without_the_others_are_refused(
    names: tuple[str, ...], launcher: pytest.MonkeyPatch
) -> None:
    check_launcher()
    for name in names:
        launcher.setenv(name, LAUNCHED[name])
    with pytest.raises(UsageError, match=f"^{', '.join(names)} set without ") as caught:
        check_launcher()
    missing = str(caught.value).partition(" without ")[2].partition(":")[0].split(", ")
    assert {*missing, *names} == set(LAUNCHED)
    for name in LAUNCHED:
        launcher.setenv(name, LAUNCHED[name])
    check_launcher()


@pytest.mark.parametrize(
    "changed", [{"RANK": "1"}, {"RANK": "x"}, {"WORLD_SIZE": "0"}, {"LOCAL_RANK": "-1"}]
)
def test_ranks_that_disagree_are_refused(
    changed: dict[str, str], launcher: pytest.MonkeyPatch
) -> None:
    for name, value in {**LAUNCHED, **changed}.items():
        launcher.setenv(name, value)
    with pytest.raises(UsageError, match=r"torchrun or accelerate launch"):
        check_launcher()


def test_a_lone_rank_writes_nothing_and_is_one_line(
    text_world: Path, tmp_path: Path, launcher: pytest.MonkeyPatch, capsys: Any
) -> None:
    launcher.setenv("RANK", "1")
    assert run_command(words(text_world, "grpo", tmp_path / "out")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "RANK set without WORLD_SIZE, LOCAL_RANK" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_ray_cluster_without_gpus_is_one_line_after_a_short_wait() -> None:
    if find_spec("ray") is None:
        pytest.skip("ray is not installed")
    # In a process of its own: Ray reads its settings when it is imported, which others here do.
    program = "from ablations.study.jobs import on_ray; list(on_ray([], 4.0))"
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert time.monotonic() - begun < 60
    said = done.stderr.splitlines()[-1]
    assert re.search(r"UsageError: .*takes 4 GPUs, and no machine .* --gpus-per-job 0", said), said


@contextmanager
def files_of_at_most(size: int, log: Path, steps: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size once a training has logged so many steps.

    The kernel then refuses a write with EFBIG, as a full disk does with ENOSPC.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def wait() -> None:
        while not log.exists() or log.read_bytes().count(b"\n") < steps:
            time.sleep(0.001)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(10)
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


FILLED: dict[str, Any] = {"prompts": 32, "save_every": 2, "pairs_per_step": 1, "pair_count": 8}


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(4096, marks=pytest.mark.slow),
        40_000,
        pytest.param(150_000, marks=pytest.mark.slow),
    ],
)
def test_a_training_whose_disk_fills_is_one_line_and_resumes_from_its_last_checkpoint(
    size: int, text_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sizes: not even the log, not the trainer's state and weights, not the optimizer."""
    parts = tmp_path / "parts"
    with files_of_at_most(size, parts / "training.jsonl", 5):
        code = run_command(words(text_world, "contextrl", parts, **FILLED))
    last = capsys.readouterr().err.splitlines()[-1]
    assert code == 2, last
    assert last.startswith("harness: cannot write"), last
    assert "run the same command again" in last
    checkpoint = last_complete(parts / "stages" / "rl")
    assert checkpoint is not None
    assert int(checkpoint.name.rpartition("-")[2]) in (2, 4)
    train(text_world, "contextrl", parts, **FILLED)
    assert "resuming after step" in capsys.readouterr().err
    train(text_world, "contextrl", tmp_path / "whole", **FILLED)
    assert weights(parts / "checkpoint") == weights(tmp_path / "whole/checkpoint")


@pytest.mark.slow
@pytest.mark.parametrize(("size", "inodes"), [("800k", 1000), ("64m", 24)])
def test_a_training_on_a_small_disk_is_one_line_and_continues_elsewhere(
    size: str, inodes: int, text_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = words(text_world, "contextrl", Path("{disk}/out"), **FILLED)
    done, kept = on_small_disk(
        tmp_path, "{python} -m harness " + shlex.join(command), size=size, inodes=inodes
    )
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2, done.stderr[-2000:]
    assert last.startswith("harness: cannot write"), last
    assert last_complete(kept / "out" / "stages" / "rl") is not None
    train(text_world, "contextrl", kept / "out", **FILLED)
    assert "resuming after step" in capsys.readouterr().err
    train(text_world, "contextrl", tmp_path / "whole", **FILLED)
    assert weights(kept / "out/checkpoint") == weights(tmp_path / "whole/checkpoint")
