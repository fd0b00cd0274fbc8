"""docs/own_benchmarks.md, followed to the letter by real commands in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.benchmarks.data.test_pull import HEAD, FakeHub, environment, serving
from tests.servers import Reply, ScriptedServer

ROOT = Path(__file__).parents[2]
HARNESS = f"{sys.executable} -m harness"
PAGE = ROOT / "docs" / "own_benchmarks.md"


@pytest.fixture
def url() -> Iterator[str]:
    """Return the address of a server whose every answer is A."""
    with ScriptedServer(lambda request: Reply("A")) as server:
        yield server.url


def block(heading: str, kind: str = "") -> str:
    """Return the first commands, or the first file of a kind, below a heading of the page."""
    part = PAGE.read_text().partition(f"## {heading}\n")[2]
    fenced = re.finditer(r"^```(\w*)\n(.*?)^```$", part, re.DOTALL | re.MULTILINE)
    return next(match[2] for match in fenced if match[1] == kind)


def followed(folder: Path, commands: str, url: str, **environment: str) -> str:
    """Run commands in a folder that is no repository; return what they print."""
    commands = commands.replace("--model NAME", "--model scripted").replace("URL", url)
    commands = re.sub(r"^harness ", f"{HARNESS} ", commands, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_table_of_questions(tmp_path: Path, url: str) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    shown = followed(tmp_path, block("A table of questions"), url)
    assert re.search(r"^colours +50\.0 +- +2 ", shown, re.MULTILINE), shown
    assert "colours: colour 100.0, count 0.0" in shown


def red_square(folder: Path) -> None:
    """Write the data of examples/benchmark.py, one question with an image."""
    data = folder / "DATA" / "colours"
    data.mkdir(parents=True)
    Image.new("RGB", (8, 8), "red").save(data / "red.png")
    row = {"id": "1", "question": "Q", "image": "red.png", "choices": ["x", "y"], "answer": "A"}
    (data / "questions.jsonl").write_text(json.dumps(row) + "\n")


def test_python_code(tmp_path: Path, url: str) -> None:
    shutil.copy(ROOT / "examples" / "benchmark.py", tmp_path)
    red_square(tmp_path)
    shown = followed(tmp_path, block("Python code"), url)
    assert re.search(r"^colours +100\.0 +- +1 ", shown, re.MULTILINE), shown


@pytest.mark.slow
def test_a_task_of_lmms_eval_and_a_suite_file(
    tmp_path: Path, url: str, micro_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task's data come from a local server that speaks the hub's protocol."""
    from datasets import Dataset

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    served = tmp_path / "served" / "data"
    served.mkdir(parents=True)
    rows = [
        {"image": Image.new("RGB", (8, 8)), "question": "A or B?", "answer": answer}
        for answer in "AB"
    ]
    Dataset.from_list(rows).to_parquet(served / "test-00000-of-00001.parquet")
    with serving(FakeHub({HEAD: served.parent}, "lmms-lab-encoder/RealWorldQA")) as hub:
        commands = block("A task of lmms-eval")
        shown = followed(tmp_path, commands, url, **environment(hub.url))
    assert re.search(r"^lmms:realworldqa +50\.0 ", shown, re.MULTILINE), shown
    assert "native only" in shown
    shutil.copytree(micro_data / "vstar", tmp_path / "DATA" / "vstar")
    (tmp_path / "my.yaml").write_text(block("Suites", "yaml"))
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    written = [line for line in block("A table of questions").splitlines() if "printf" in line]
    shown = followed(tmp_path, "\n".join([*written, block("Suites")]), url)
    assert "scripted-mine-" in shown
    assert re.findall(r"^([\w:]+) +\d+\.\d ", shown, re.MULTILINE) == [
        "colours",
        "vstar",
        "lmms:realworldqa",
    ]


@pytest.fixture
def installed_package(tmp_path: Path) -> str:
    """Return a Python path with the examples as a package, installed as pip leaves it.

    Its entry points are those of the page.
    """
    home = tmp_path / "site"
    (home / "my_package").mkdir(parents=True)
    (home / "my_package" / "__init__.py").touch()
    for name in ("benchmark", "backend", "arm", "reward", "loss"):
        shutil.copy(ROOT / "examples" / f"{name}.py", home / "my_package")
    groups = tomllib.loads(block("Python code", "toml"))["project"]["entry-points"]
    lines = [
        line
        for group, points in groups.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    info = home / "my_package-1.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (info / "METADATA").write_text("Name: my-package\nVersion: 1\n")
    return f"{ROOT}{os.pathsep}{home}"


@pytest.mark.slow
def test_entry_points(tmp_path: Path, url: str, installed_package: str) -> None:
    commands = PAGE.read_text().partition('likelier = "my_package.loss:LOSS"')[2]
    run, train = re.findall(r"^harness .*$", commands, re.MULTILINE)[:2]
    red_square(tmp_path)
    shown = followed(tmp_path, run, url, PYTHONPATH=installed_package)
    assert re.search(r"^colours +100\.0 +- +1 ", shown, re.MULTILINE), shown
    model = ROOT / "benchmarks" / "micro" / "model" / "weights"
    words = train.replace("CKPT", str(model)).replace("PAIRS", "micro:image")
    words = words.replace("ITEMS", "micro:image") + " --config micro --arm caption"
    shown = followed(tmp_path, words, url, PYTHONPATH=installed_package)
    assert re.search(r"^\* contextrl .*^\* caption ", shown, re.MULTILINE | re.DOTALL), shown


@pytest.mark.slow
def test_a_whole_study(tmp_path: Path, url: str) -> None:
    """Two seeds of two arms, trained with a loss of one's own, on a table of one's own."""
    from tests.ablations import tiny

    tiny.build("qwen3", tmp_path / "model")
    pairs, items = tiny.write(tmp_path, images=False)
    pairs.rename(tmp_path / "pairs.jsonl")
    items.rename(tmp_path / "items.jsonl")
    shutil.copy(ROOT / "examples" / "loss.py", tmp_path)
    rows = [f"{number}\tIs {number} even?\tyes\tno\t{'AB'[number % 2]}" for number in range(6)]
    (tmp_path / "colours.tsv").write_text("\n".join(["index\tquestion\tA\tB\tanswer", *rows]))
    (tmp_path / "recipe.yaml").write_text(
        "prompts: 8\nmatching: steps\nprompts_per_step: 4\ngroup: 2\nmax_tokens: 4\n"
        "report_to: none\nlearning_rate: 1e-3\nreward: length.py:length\n"
    )
    # The tiny model answers nothing right: seeds would not differ.
    (tmp_path / "length.py").write_text(
        "from ablations.training.rewards import text_of\n"
        "def length(completions):\n    return [len(text_of(each)) for each in completions]\n"
    )
    (tmp_path / "study.yaml").write_text(block("In a study", "yaml"))
    command = block("In a study").rstrip() + " --preload --run-args '--max-tokens 4'"
    shown = followed(tmp_path, command, url)
    assert "mine - plain" in shown
    analysis = json.loads((tmp_path / "studies/study/analysis.json").read_text())
    assert {row["benchmark"] for row in analysis["benchmarks"]} == {"colours"}
    assert len(analysis["models"]) == 4
    assert (tmp_path / "studies/study/report.html").exists()


def test_a_backend_of_ones_own(tmp_path: Path, url: str) -> None:
    """The command of CONTRIBUTING.md, on a table of questions, and what is no backend."""
    how_to = (ROOT / "CONTRIBUTING.md").read_text()
    command = re.search(r"^harness run --backend backend\.py .*$", how_to, re.MULTILINE)
    assert command is not None
    shutil.copy(ROOT / "examples" / "backend.py", tmp_path)
    (tmp_path / "t.tsv").write_text("question\tA\tB\tanswer\n(A) or not?\tx\ty\tA\n")
    shown = followed(tmp_path, command[0].replace("SUITE", "t.tsv") + "\n", url)
    assert re.search(r"^t +100\.0 ", shown, re.MULTILINE), shown
    (run,) = (tmp_path / "runs").iterdir()
    (invocation,) = json.loads((run / "manifest.json").read_text())["invocations"]
    assert invocation["backend"]["kind"] == "backend.py"
    assert len(invocation["backend"]["versions"]["source"]) == 12
    (tmp_path / "none.py").write_text("x = 1\n")
    for word, message in (
        ("none.py", "no BACKEND"),
        ("vlm", "did you mean vllm"),
        ("no.py", "no file"),
    ):
        wrong = command[0].replace("SUITE", "t.tsv").replace("backend.py", word)
        shown = followed(tmp_path, f"! {wrong.replace('harness', HARNESS, 1)} 2>&1\n", url)
        assert message in shown
        assert len(shown.splitlines()) == 1


@pytest.mark.slow
def test_an_arm_of_ones_own(tmp_path: Path, url: str) -> None:
    """The example's arm by the command of CONTRIBUTING.md, on the embedded pairs and model."""
    shutil.copy(ROOT / "examples" / "arm.py", tmp_path)
    data = "--pairs micro:image --rl-data micro:image --config micro"
    rest = f"--model {ROOT}/benchmarks/micro/model/weights {data} --out DIR --dry-run"
    shown = followed(tmp_path, f"harness train --arm arm.py:CAPTION {rest}\n", url)
    assert re.search(r"^\* caption\b", shown, re.MULTILINE), shown
    for word, message in (
        ("arm.py:NONE", "has no NONE"),
        ("no.py:X", "no file"),
        ("grpoo", "grpo?"),
    ):
        wrong = followed(tmp_path, f"! {HARNESS} train --arm {word} {rest} 2>&1\n", url)
        assert message in wrong
        assert len(wrong.splitlines()) == 1


def test_the_items_of_an_arm_of_ones_own() -> None:
    """Made through the schedule's own function; what is no item is one line."""
    from ablations.training.schedule import _own_item
    from examples.arm import CAPTION
    from harness.errors import UsageError
    from harness.records import Pair, TextPart

    context = (TextPart("It is red."), TextPart("It is blue."))
    pair = Pair("p", "notes", "Which?", "red", None, context[:1], context[1:], "made up")
    made = _own_item(CAPTION, pair, "B")
    assert made.messages[0].render().startswith("It is red.")
    assert (made.target.kind, made.target.answer) == ("text", "red")
    for items in (lambda pair, letter: None, lambda pair, letter: pair["x"]):
        with pytest.raises(UsageError, match="the items of caption"):
            _own_item(replace(CAPTION, items=items), pair, "A")
    with pytest.raises(UsageError, match="needs both"):
        replace(CAPTION, items=None)


def test_an_arm_of_ones_own_trains_on_its_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Amounts as of `da-qa`, whose items are questions about a context, too."""
    from ablations.arms import ARMS, arm
    from ablations.settings import settings
    from ablations.training.plan import TrainingPlan
    from ablations.training.schedule import item, schedule
    from ablations.training.training_data import TrainingData

    shutil.copy(ROOT / "examples" / "arm.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    pair = {"domain": "notes", "query": "Which?", "answer": "red", "source": "made up"}
    contexts = {"context_positive": "It is red.", "context_negative": "It is blue."}
    pairs = [{"id": f"{n}", **pair, **contexts, "answer_negative": "blue"} for n in range(8)]
    items = [{"id": f"{n}", "query": "Two?", "answer": "2"} for n in range(16)]
    for name, rows in (("p.jsonl", pairs), ("i.jsonl", items)):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"model": "base", "pairs": "p.jsonl", "rl_data": "i.jsonl", "matching": "steps"}
    made = settings({}, {**data, "prompts": 8, "prompts_per_step": 8})
    mine, theirs = (
        TrainingPlan(arm(name), TrainingData(made), tmp_path / "out")
        for name in ("arm.py:CAPTION", "da-qa")
    )
    assert mine.amounts == theirs.amounts
    own = [slot for slot in schedule(mine) if slot.kind == "own"]
    assert len(own) == 8
    assert item(mine, own[0]).messages[0].render().startswith("It is red.")
    assert len(str(mine.content["code of the arm"])) == 12
    assert "code of the arm" not in theirs.content
    assert "no-such-arm" not in ARMS
