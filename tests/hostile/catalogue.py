"""The catalogue: every type of input that others may have made, with the commands that read it.

A new reader of such files joins here: `READERS` says of each module that opens or parses files
which input it reads, and `test_catalogue` holds it against the source.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.commands import harness
from tests.hostile.kinds import SECRET

GOLDEN = Path(__file__).parents[1] / "golden" / "stored"
WEIGHTS = Path(__file__).parents[2] / "benchmarks" / "micro" / "model" / "weights"
Form = Literal["json", "jsonl", "yaml", "text", "binary"]


@dataclass(frozen=True)
class Input:
    """One file of one type of input, in the folder of `build`, and the commands that read it.

    ``skip`` names fields whose every value is allowed: free text, recorded and never read.
    """

    type: str
    file: str
    form: Form
    commands: Sequence[Sequence[str]]


_RUN = "runs/run"
_OF_RUN = (
    ("show", _RUN, "longbench_v2/{item}"),
    ("compare", _RUN, "runs/other"),
    ("report", _RUN, "--out", "page.html"),
    ("score", "longbench_v2", "responses.jsonl", "--data-root", "data", "--out", "runs"),
)
_STUDY = "studies/relabelled"
_OF_STUDY = (("report", _STUDY, "--out", "page.html", "--csv", "page.csv", "--latex", "page.tex"),)
_TRAIN = ("train", "--arm", "grpo", "--dry-run", "--out", "trained", "--model", "model")
_MICRO = ("--pairs", "micro:image", "--rl-data", "micro:image")

INPUTS: Sequence[Input] = (
    Input("run folder", f"{_RUN}/manifest.json", "json", _OF_RUN),
    Input("run folder", f"{_RUN}/summary.json", "json", _OF_RUN),
    Input("run folder", f"{_RUN}/samples/longbench_v2.jsonl", "jsonl", _OF_RUN),
    Input("study", f"{_STUDY}/plan.json", "json", _OF_STUDY),
    Input("study", f"{_STUDY}/analysis.json", "json", _OF_STUDY),
    Input("comparison", "comparison.json", "json", (("report", "comparison.json"),)),
    Input(
        "data",
        "data/longbench_v2/data.json",
        "json",
        (
            ("data", "verify", "longbench_v2", "--data-root", "data"),
            ("score", "longbench_v2", "responses.jsonl", "--data-root", "data", "--out", "new"),
            ("data", "import", "longbench_v2", "data/longbench_v2", "--data-root", "imported"),
        ),
    ),
    Input(
        "data",
        "data/longbench_v2/source.json",
        "json",
        (("data", "verify", "longbench_v2", "--data-root", "data"),),
    ),
    Input(
        "data",
        "data/longbench_v2/note.txt",
        "text",
        (("score", "longbench_v2", "responses.jsonl", "--data-root", "data", "--out", "new"),),
    ),
    Input(
        "responses",
        "responses.jsonl",
        "jsonl",
        (("score", "longbench_v2", "responses.jsonl", "--data-root", "data", "--out", "new"),),
    ),
    Input("graded responses", "graded.jsonl", "jsonl", (("conformance", "graded.jsonl"),)),
    Input(
        "pairs",
        "pairs.jsonl",
        "jsonl",
        (
            ("pairs", "check", "pairs.jsonl"),
            ("train", "--arm", "ca-only", *_TRAIN[3:], "--pairs", "pairs.jsonl"),
        ),
    ),
    Input(
        "RL data",
        "items.jsonl",
        "jsonl",
        ((*_TRAIN, "--matching", "steps", "--rl-data", "items.jsonl"),),
    ),
    Input("recipe", "recipe.yaml", "yaml", ((*_TRAIN, *_MICRO, "--config", "recipe.yaml"),)),
    Input(
        "checkpoint",
        "model/config.json",
        "json",
        (
            ("doctor", "--model", "model"),
            ("run", "--model", "model", "--suite", "longbench_v2", "--data-root", "data",
             "--out", "new", "--backend", "transformers", "--dry-run"),
            (*_TRAIN, *_MICRO),
        ),
    ),
)  # fmt: skip

# Types whose hostile inputs need more than a file: their tests.
ELSEWHERE: Mapping[str, str] = {
    "images": "tests/hostile/test_images.py",
    "shown text": "tests/hostile/test_shown_text.py",
    "programs": "tests/harness/sandbox/hostile.py",
    "patches": "tests/benchmarks/longhorizon/test_swebench_hostile.py",
    "servers": "tests/harness/backends/test_receive.py",
    "judges": "tests/harness/test_judge.py",
    "native scoring": "tests/benchmarks/vqa/test_native_limits.py",
    "weights": "tests/harness/backends/test_foreign_weights.py",
    "code of the user": "tests/ablations/test_rewards.py",
    "data as tables": "tests/benchmarks/data/test_data.py",
    "downloads": "tests/benchmarks/data/test_pull.py",
    "own": "",  # files of this package, of the operating system, and caches of the user
}


def build(folder: Path) -> None:
    """Make one good example of every input in a folder, and beside it what it must not reach."""
    from benchmarks.micro.data import longbench

    outside, world = folder / "outside", folder / "world"
    outside.mkdir()
    (outside / "secret.txt").write_text(SECRET)
    longbench.write(world / "data")
    data = world / "data" / "longbench_v2" / "data.json"
    rows = json.loads(data.read_text())[:3]
    data.write_text(json.dumps(rows))
    _lines(world / "responses.jsonl", [{"id": r["_id"], "response": "(A)"} for r in rows])
    _lines(world / "graded.jsonl", [_GRADED])
    _lines(world / "pairs.jsonl", [{**_PAIR, "id": f"{n}"} for n in range(64)])
    _lines(world / "items.jsonl", [{**_ITEM, "id": f"{n}"} for n in range(64)])
    (world / "recipe.yaml").write_text("matching: steps\nlearning_rate: 1.0e-4\nprompts: 64\n")
    shutil.copytree(WEIGHTS, world / "model")
    shutil.copytree(GOLDEN / "studies", world / "studies")
    (comparison,) = (GOLDEN / "comparisons").iterdir()
    shutil.copyfile(comparison, world / "comparison.json")
    score = ("score", "longbench_v2", world / "responses.jsonl", "--data-root", world / "data")
    assert harness(*score, "--out", world / "runs").returncode == 0
    (run,) = (world / "runs").iterdir()
    shutil.copytree(run, world / "runs" / "other")
    run.rename(world / _RUN)
    origin = {"repository": "x/y", "revision": None, "origin": "mirror", "fingerprint": "0" * 64}
    (data.parent / "source.json").write_text(json.dumps(origin))
    (data.parent / "note.txt").write_text("a note\n")


def _lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


_PAIR = {
    "id": "p",
    "domain": "notes",
    "query": "Which colour?",
    "answer": "red",
    "answer_negative": "blue",
    "context_positive": "The ball is red.",
    "context_negative": "The ball is blue.",
    "source": "made up",
}
_ITEM = {"id": "i", "query": "Which colour?", "answer": "B", "choices": ["red", "blue"]}
_GRADED = {
    "benchmark": "mathvision",
    "model": "a model",
    "id": "1",
    "question": "How many?",
    "response": "It is \\boxed{3}.",
    "answer": "3",
    "choices": [],
    "extraction": "3",
    "official_correct": True,
}

# Calls by which a module opens, or parses, a file or a text that came from elsewhere.
CALLS = frozenset(
    """open read_bytes read_text parse read_json read_lines loads load safe_load decode_json
    load_from_disk from_parquet from_file memory_map safe_open load_file load_dataset
    ParquetFile read_table""".split()
)

READERS: Mapping[str, str] = {}

Check = Callable[[Path], None]
