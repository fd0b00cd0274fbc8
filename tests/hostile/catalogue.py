"""The catalogue: every type of input that others may have made, with the commands that read it.

A new reader of such files joins here: `READERS` says of each module that opens or parses files
which input it reads, and `test_catalogue` holds it against the source.
"""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.commands import harness
from tests.hostile.kinds import SECRET

GOLDEN = Path(__file__).parents[1] / "golden" / "stored"
WEIGHTS = Path(__file__).parents[2] / "benchmarks" / "micro" / "model" / "weights"
Form = Literal["json", "jsonl", "yaml", "text"]


@dataclass(frozen=True)
class Input:
    """One file of one type of input, in the folder of `build`, and the commands that read it."""

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
    "trajectories": "tests/ablations/pairs/trajectories/test_patches.py",
    "pair templates": "tests/ablations/test_written_pairs.py",
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

# Calls by which a module opens or parses a file, or a text that came from elsewhere.
CALLS = frozenset(
    """open read_bytes read_text read_given read_json read_lines parse loads load safe_load
    load_from_disk from_parquet from_file from_pretrained memory_map safe_open load_file
    load_dataset ParquetFile read_table""".split()
)


def reads(source: str) -> bool:
    """Whether a module's source opens or parses what others may have made."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = {ast.unparse(call.func) for call in calls}
    return "msgspec.json.decode" in names or any(n.rpartition(".")[2] in CALLS for n in names)


# Type of input -> the modules that read it.
_MODULES: Mapping[str, str] = {
    "RL data": "ablations/data/items.py",
    "checkpoint": """
        harness/backends/checkpoint.py harness/backends/reasoning_tags.py
        harness/backends/tokenizer.py harness/install/doctor.py""",
    "code of the user": "ablations/training/rewards.py",
    "comparison": "reports/comparison_page.py",
    "data": """
        benchmarks/data/local/json_rows.py benchmarks/data/local/layout.py
        benchmarks/data/local/receipt.py benchmarks/longhorizon/niah/benchmark.py
        benchmarks/vqa/base/benchmark.py benchmarks/vqa/base/prepared.py""",
    "data as tables": "benchmarks/data/local/read.py benchmarks/pairs/tables.py",
    "downloads": """
        benchmarks/data/catalog/parquet_names.py benchmarks/data/fetch/repository.py""",
    "graded responses": "benchmarks/scoring/conformance.py",
    "images": "benchmarks/data/local/images.py reports/review_page.py",
    "judges": "ablations/pairs/editing/proposals.py ablations/pairs/judging.py",
    "native scoring": """
        benchmarks/vqa/base/native.py benchmarks/vqa/base/native_child.py
        benchmarks/vqa/base/native_worker.py""",
    "pairs": "ablations/cli/pairs.py ablations/pairs/build.py benchmarks/pairs/folders.py",
    "pair templates": "benchmarks/pair_sources.py benchmarks/pairs/template.py",
    "patches": """
        benchmarks/longhorizon/swebench/agent.py benchmarks/longhorizon/swebench/container.py
        benchmarks/longhorizon/swebench/container_worker.py
        benchmarks/longhorizon/swebench/environments.py
        benchmarks/longhorizon/swebench/grading.py benchmarks/longhorizon/swebench/tasks.py""",
    "programs": """
        benchmarks/longhorizon/livecodebench/compare.py
        benchmarks/longhorizon/livecodebench/driver.py
        benchmarks/longhorizon/livecodebench/grade.py
        benchmarks/longhorizon/livecodebench/problems.py""",
    "recipe": """
        ablations/export/skyrl.py ablations/settings.py ablations/training/plan.py
        ablations/training/prompting.py""",
    "responses": "benchmarks/cli/score.py",
    "run folder": """
        benchmarks/probe.py harness/files/jsonl.py harness/files/plain.py
        harness/files/typed_json.py harness/runs/run.py harness/runs/store.py
        harness/runs/summary.py reports/read/runs.py""",
    "servers": """
        harness/backends/__init__.py harness/backends/answers.py harness/backends/receive.py""",
    "study": """
        ablations/study/children.py ablations/study/designs.py ablations/study/forecast.py
        ablations/study/jobs.py ablations/study/notes.py ablations/study/plan.py
        ablations/study/preloaded.py ablations/study/study.py ablations/training/ledger.py
        ablations/training/run.py reports/read/study.py reports/write.py""",
    "trajectories": """
        ablations/pairs/trajectories/masking.py ablations/pairs/trajectories/reading.py
        ablations/pairs/trajectories/scopes.py""",
    "weights": """
        ablations/pairs/editing/editors.py ablations/pairs/similarity/embedding.py
        ablations/training/saving.py ablations/training/stages.py""",
    "own": """
        ablations/pairs/similarity/images.py ablations/statistics/simulation/calibration.py
        benchmarks/longhorizon/swebench/mini_swe_agent.py benchmarks/micro/data/programs.py
        benchmarks/micro/data/repositories.py benchmarks/micro/data/rows.py
        benchmarks/micro/model/build.py benchmarks/micro/model/qwen3vl.py
        benchmarks/micro/prepare.py benchmarks/options.py
        benchmarks/scoring/mathematics/forms.py harness/backends/vllm.py harness/cli/output.py
        harness/files/atomic.py harness/files/hashing.py harness/files/scratch.py
        harness/install/setup_environment.py harness/sandbox/cgroup.py harness/sandbox/engine.py
        harness/sandbox/folders.py harness/sandbox/watch.py reports/draw.py reports/html.py
        reports/read/paper/__init__.py""",
}  # fmt: skip
READERS: Mapping[str, str] = {
    module: type_ for type_, modules in _MODULES.items() for module in modules.split()
}
