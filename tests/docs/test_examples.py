"""The how-tos of CONTRIBUTING.md, followed to the letter with the files of ``examples/``."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.scoring import Target
from examples.backend import FirstOption, serve
from examples.benchmark import Colours
from harness.errors import ItemError, UsageError
from harness.protocols import FailedItem, Tools
from harness.records import Item, Message, Response, Sampling, TextPart
from harness.runs import run as runs
from harness.runs.identity import ModelIdentity
from harness.runs.plan import plan_run
from harness.runs.todo import Settings
from tests.servers import Reply, ScriptedServer
from tests.sums import Quiet

ROOT = Path(__file__).parents[2]
QUESTIONS = (
    {"id": "q1", "question": "What colour is it?", "image": "red.png", "answer": "A"},
    {"id": "q2", "question": "Which colour is missing?", "image": "red.png", "answer": "B"},
    {"id": "q3", "question": "What colour is this?", "image": "gone.png", "answer": "A"},
)


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """Return a data root with two items that can be shown and one without its image."""
    folder = tmp_path / "data" / "colours"
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 8), "red").save(folder / "red.png")
    (folder / "gone.png").write_bytes(b"not an image")
    lines = [json.dumps({**row, "choices": ["red", "blue"]}) for row in QUESTIONS]
    (folder / "questions.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "data"


def test_the_benchmark_builds_and_scores(data_root: Path) -> None:
    benchmark = Colours(data_root, style="think")
    assert (benchmark.count(), list(benchmark.ids())) == (3, ["q1", "q2", "q3"])
    item = benchmark.build("q1")
    assert not isinstance(item, FailedItem)
    rendered = (
        "<image 8x8>What colour is it?\n(A) red\n(B) blue\nThink, then answer with the letter."
    )
    assert [message.render() for message in item.messages] == [rendered]
    assert isinstance(benchmark.build("q3"), FailedItem)
    assert not isinstance(Colours(data_root, images=False).build("q3"), FailedItem)
    values = {}
    for text in ("(A)", "<think>(B)</think>The answer is A.", "(B)", "no idea", "\udc80\x00"):
        score = asyncio.run(benchmark.score(item, Response(text), Tools()))
        values[text] = (score.value, score.status)
    assert list(values.values()) == [
        (1.0, "scored"),
        (1.0, "scored"),
        (0.0, "scored"),
        (0.0, "unparsable"),
        (0.0, "unparsable"),
    ]
    with pytest.raises(UsageError, match="no data at"):
        Colours(data_root / "nowhere").count()


def run_added(tmp_path: Path, example: str, name: str, data: Path, *words: str) -> dict[str, Any]:
    """Add an example to a copy of the project by the line of CONTRIBUTING.md, and run it.

    Every answer is "A".
    """
    for package in ("harness", "benchmarks"):  # the scorers' child sees this folder alone
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / "examples" / example, tmp_path / "benchmarks" / "vqa" / f"{name}.py")
    line = re.search(rf'^ *"{name}": .*$', (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert line is not None
    registry = tmp_path / "benchmarks" / "registry.py"
    text = re.sub(r"^(CLASSES.* = {)$", rf"\1\n{line[0]}", registry.read_text(), flags=re.MULTILINE)
    registry.write_text(text)
    with ScriptedServer(lambda request: Reply("A")) as server:
        command = ["run", "--model", "scripted", "--endpoint", server.url, "--suite", name]
        command += ["--data-root", str(data), "--out", str(tmp_path / "runs"), "--json", *words]
        done = subprocess.run(
            [sys.executable, "-m", "harness", *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["benchmarks"]
    found: dict[str, Any] = row
    return found


def test_the_benchmark_runs_by_one_file_and_one_line(data_root: Path, tmp_path: Path) -> None:
    words = ("--set", "colours.style=think", "--max-errors", "0.5")
    row = run_added(tmp_path, "benchmark.py", "colours", data_root, *words)
    assert (row["benchmark"], row["n"], row["strict"], row["errors"]) == ("colours", 3, 0.5, 1)
    assert row["parts"] == {"what": 1.0, "which": 0.0}


@pytest.mark.slow
def test_an_lmms_eval_task_runs_by_one_file_and_one_line(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    question = "Which way?\nA. Left\nB. Right\nPlease answer directly with only the letter."
    rows = [
        {"image": Image.new("RGB", (8, 8), colour), "question": asked, "answer": answer}
        for colour, asked, answer in (
            ("red", question, "A"),
            ("green", question, "B"),
            ("blue", "How many cars?", "3"),
        )
    ]
    folder = tmp_path / "data" / "realworldqa"
    DatasetDict({"test": Dataset.from_list(rows)}).save_to_disk(folder)
    row = run_added(tmp_path, "lmms_benchmark.py", "realworldqa", tmp_path / "data", "--items")
    values = {item["id"]: (item["value"], item["native"]) for item in row["items"]}
    assert values == {"0": (1, 1), "1": (0, 0), "2": (0, 0)}
    assert (row["native_n"], row["errors"]) == (3, 0)


def test_the_arm_is_one_entry(tmp_path: Path) -> None:
    """The entry of CONTRIBUTING.md goes into ablations/arms.py; amounts and contrasts follow."""
    shutil.copytree(ROOT / "ablations", tmp_path / "ablations")
    how_to = (ROOT / "CONTRIBUTING.md").read_text()
    entry = re.search(r"^    Arm\(\n.*?^    \),$", how_to, re.MULTILINE | re.DOTALL)
    assert entry is not None
    arms = tmp_path / "ablations" / "arms.py"
    arms.write_text(arms.read_text().replace("_ALL = (\n", f"_ALL = (\n{entry[0]}\n", 1))
    program = """
from ablations.arms import ARMS
from ablations.statistics.design.roles import STANDARD
from ablations.training.matching import Sizes, amounts
sizes = Sizes(prompts=64, pairs=32, prompts_per_step=8, group=4, pairs_per_step=8)
print([one.name for one in STANDARD.contrasts(["grpo", "contextrl", "contextrl-noise"])])
print(amounts(ARMS["contextrl-noise"], "steps", sizes).exposures)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    names, exposures = done.stdout.splitlines()
    assert names == "['contextrl - grpo', 'contextrl - contextrl-noise']"
    assert exposures == "32"


def test_the_reward_is_called_as_the_how_to_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from ablations.training.rewards import load_reward

    monkeypatch.chdir(ROOT / "examples")
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    reward = load_reward("reward:concise")
    item = Item("q1", (Message("user", (TextPart("Two?"),)),), Target("number", "2"), "q1")
    said = [[{"role": "assistant", "content": text}] for text in ("2", "3", "2" + " " * 400)]
    found = reward(completions=said, task=[item] * 3, selection=[False] * 3, other=None)
    # 401 characters are 201 more than are free.
    assert found == pytest.approx([1.0, 0.0, 1.0 - 0.201])


def test_the_backend_answers_a_run(data_root: Path, tmp_path: Path) -> None:
    model = FirstOption()
    benchmark = Colours(data_root)
    identity = ModelIdentity(model.name, "fingerprint", verified=True)
    plan = plan_run(identity, "colours", [benchmark], [benchmark], Settings(), tmp_path / "runs")
    (row,) = runs.execute(plan, lambda: serve(model), {"kind": "example"}, Quiet())
    assert (row.n, row.strict, row.errors, model.requests) == (3, 0.5, 1, 2)


def test_the_backend_fails_as_a_backend_should() -> None:
    async def fail() -> None:
        async with serve(FirstOption()) as model:
            question = Message("user", (TextPart("Why?"),))
            assert await model.logprobs([question], ["A"]) is None
            with pytest.raises(UsageError):
                _ = model.tokenizer
            await model.chat([question], Sampling(8))

    with pytest.raises(ItemError):
        asyncio.run(fail())
