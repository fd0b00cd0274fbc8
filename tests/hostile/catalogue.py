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

import numpy as np
from safetensors.numpy import save_file

from tests.commands import harness
from tests.hostile.kinds import SECRET

GOLDEN = Path(__file__).parents[1] / "golden" / "stored"
LOGS = Path(__file__).parents[1] / "benchmarks" / "imports" / "logs"
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
    ("export", "eee", _RUN, "--out", "exported"),
    ("view", _RUN, "runs/other", "--out", "view.html", "--data-root", "data"),
    ("score", "longbench_v2", "responses.jsonl", "--data-root", "data", "--out", "runs"),
)
_STUDY = "studies/relabelled"
_OF_STUDY = (
    ("report", _STUDY, "--out", "page.html", "--csv", "page.csv", "--latex", "page.tex"),
    ("plan", "--from", _STUDY),
    ("export", "csv", _STUDY, "--out", "exported"),
)
_OF_COMPARISON = (("report", "comparison.json"), ("plan", "--from", "comparison.json"))
_GATE = ("gate", _RUN, "runs/other")
DONE: Mapping[str, Sequence[int]] = {"gate": (0, 1, 3)}  # exit codes of work done, elsewhere 0
_TRAIN = ("train", "--arm", "grpo", "--dry-run", "--out", "trained", "--model", "model")
_MICRO = ("--pairs", "micro:image", "--rl-data", "micro:image")

_OF_OWN = (
    ("data", "verify", "own.jsonl", "--images"),
    ("score", "own.jsonl", "own_responses.jsonl", "--out", "new"),
)
_SETTINGS = (
    "run", "--config", "run.yaml", "--model-settings", "recommended.yaml", "--adapter", "adapter",
    "--chat-template", "short.jinja", "--generation-config", "model",
)  # fmt: skip

INPUTS: Sequence[Input] = (
    Input("run folder", f"{_RUN}/manifest.json", "json", _OF_RUN),
    Input("run folder", f"{_RUN}/summary.json", "json", _OF_RUN),
    Input("run folder", f"{_RUN}/samples/longbench_v2.jsonl", "jsonl", _OF_RUN),
    Input("study", f"{_STUDY}/plan.json", "json", _OF_STUDY),
    Input("study", f"{_STUDY}/analysis.json", "json", _OF_STUDY),
    Input("comparison", "comparison.json", "json", _OF_COMPARISON),
    Input("gate", "gate.json", "json", (("report", "gate.json"),)),
    Input("policy", "policy.yaml", "yaml", ((*_GATE, "--policy", "policy.yaml"),)),
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
    Input(
        "log", "swebench/m.run.json", "json", (("import", "swebench", "--out", "new"),)
    ),
    Input(
        "log", "swebench/predictions.jsonl", "jsonl", (("import", "swebench", "--out", "new"),)
    ),
    Input("own benchmark", "own.jsonl", "jsonl", _OF_OWN),
    Input("own benchmark", "own.json", "json", (("data", "verify", "own.json"),)),
    Input("own benchmark", "own.tsv", "text", (("data", "verify", "own.tsv"),)),
    Input("suite file", "suite.yaml", "yaml", (("data", "verify", "suite.yaml"),)),
    Input(
        "log", "log/results_2026-11-29T08-03-46.423600.json", "json",
        (("import", "log", "--out", "new"),),
    ),
    Input(
        "log", "log/samples_sums_2026-11-29T08-03-46.423600.jsonl", "jsonl",
        (("import", "lm-eval", "log", "--out", "new"),),
    ),
    Input(
        "log", "evalscope/configs/task_config.yaml", "yaml",
        (("import", "evalscope", "--out", "new"),),
    ),
    Input(
        "log", "nemo/arith/results.jsonl", "jsonl",
        (("import", "nemo-evaluator", "nemo", "--out", "new"),),
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
    Input(
        "study file",
        "study.yaml",
        "yaml",
        (("ablate", "study.yaml", "--plan", "--studies", "new"),),
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
    *(
        Input("run settings", file, form, (_SETTINGS,))
        for file, form in (
            ("run.yaml", "yaml"),
            ("recommended.yaml", "yaml"),
            ("short.jinja", "text"),
            ("adapter/adapter_config.json", "json"),
            ("model/generation_config.json", "json"),
        )
    ),
)  # fmt: skip

_STUDY_FILE = """title: two arms
suite: vqa12
benchmarks: [vstar]
arms:
  plain:
    role: baseline
    runs:
      - studies/trained/runs/grpo-seed-0/checkpoint-vqa12-102c17da
      - studies/trained/runs/grpo-seed-1/checkpoint-vqa12-17f2be24
  mine:
    role: method
    runs:
      - studies/trained/runs/contextrl-seed-0/checkpoint-vqa12-68356d1a
      - studies/trained/runs/contextrl-seed-1/checkpoint-vqa12-1f6d24c1
contrasts:
  - mine - plain
  - trend: {over: knob, levels: {plain: 0, mine: 1}}
margin: 0.9
"""

# Types whose hostile inputs need more than a file: their tests.
ELSEWHERE: Mapping[str, str] = {
    "images": "tests/hostile/test_images.py",
    "shown text": "tests/hostile/test_shown_text.py",
    "programs": "tests/harness/sandbox/hostile.py",
    "patches": "tests/benchmarks/longhorizon/test_swebench_hostile.py",
    "servers": "tests/harness/backends/test_receive.py",
    "judges": "tests/harness/runs/test_judge.py",
    "native scoring": "tests/benchmarks/vqa/test_native_limits.py",
    "weights": "tests/harness/backends/test_foreign_weights.py",
    "code of the user": "tests/ablations/training/test_rewards.py",
    "data as tables": "tests/benchmarks/data/test_data.py",
    "downloads": "tests/benchmarks/data/test_pull.py",
    "trajectories": "tests/ablations/pairs/trajectories/test_patches.py",
    "pair templates": "tests/ablations/training/test_written_pairs.py",
    "cluster": "tests/ablations/study/test_slurm.py",
    "settings of libraries in the present folder": "tests/hostile/test_present_folder.py",
    "own": "",  # files of this package, of the operating system, and caches of the user
}


def _settings(world: Path) -> None:
    """Write files of settings, and an adapter whose weights nobody puts on."""
    (world / "run.yaml").write_text(
        "model: model\nsuite: longbench_v2\ndata-root: data\nout: new\nbackend: transformers\n"
        "dry-run: true\ntemperature: 0.5\nchat-template-kwargs: {enable_thinking: false}\n"
    )
    (world / "recommended.yaml").write_text(
        "title: Mine\nsettings:\n  top_p: {value: 0.5, source: a card}\n"
    )
    (world / "short.jinja").write_text(
        "{% for m in messages %}{{ m.content }}{% endfor %}"
        "{% if enable_thinking %}<think>{% endif %}"
    )
    (world / "adapter").mkdir()
    config = {"peft_type": "LORA", "r": 8, "base_model_name_or_path": "model"}
    (world / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    save_file({"a": np.zeros(1)}, world / "adapter" / "adapter_model.safetensors")


def _log(folder: Path) -> None:
    """Write a log as lm-eval does: two answers to sums."""
    folder.mkdir()
    stamp = "2026-11-29T08-03-46.423600"
    metric = {"metric": "exact_match", "higher_is_better": True}
    config = {"generation_kwargs": {"max_gen_toks": 64}, "metric_list": [metric]}
    document = {
        "results": {"sums": {"exact_match,none": 0.5}},
        "configs": {"sums": config},
        "n-shot": {"sums": 0},
        "config": {"model": "m", "model_args": {"model": "m"}, "random_seed": 0},
        "lm_eval_version": "0.4.13",
        "date": 1795939421.5,
        "model_name": "m",
    }
    (folder / f"results_{stamp}.json").write_text(json.dumps(document))
    row = {
        "doc_id": 0,
        "doc": {"question": "1 + 1?"},
        "target": "2",
        "arguments": {"gen_args_0": {"arg_0": "1 + 1?", "arg_1": {}}},
        "resps": [["2"]],
        "filtered_resps": ["2"],
        "filter": "none",
        "metrics": ["exact_match"],
        "doc_hash": "a",
        "exact_match": 1.0,
    }
    _lines(folder / f"samples_sums_{stamp}.jsonl", [row, {**row, "doc_id": 1, "exact_match": 0.0}])


def _logs(world: Path) -> None:
    """Write logs of other tools."""
    _log(world / "log")
    shutil.copytree(LOGS / "evalscope" / "base", world / "evalscope")
    shutil.copytree(LOGS / "nemo-evaluator" / "base", world / "nemo")
    (world / "swebench").mkdir()
    (world / "swebench" / "m.run.json").write_text(
        json.dumps({"resolved_ids": ["a__a-1"], "unresolved_ids": ["a__a-2"], "schema_version": 2})
    )
    patches = [{"instance_id": f"a__a-{n}", "model_name_or_path": "m", "model_patch": "diff"}
               for n in (1, 2)]  # fmt: skip
    _lines(world / "swebench" / "predictions.jsonl", patches)


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
    _lines(world / "own.jsonl", [_OWN, {**_OWN, "id": "p"}])
    _lines(world / "own_responses.jsonl", [{"id": "o", "response": "(A)"}])
    (world / "own.json").write_text(json.dumps([_OWN]))
    (world / "own.tsv").write_text(
        "index\timage_path\tquestion\tA\tB\tanswer\n1\t\tWhy?\tx\ty\tA\n"
    )
    (world / "suite.yaml").write_text(
        "name: s\nbenchmarks:\n- own.tsv\n- own.jsonl: {kind: choice}\n"
    )
    _lines(world / "pairs.jsonl", [{**_PAIR, "id": f"{n}"} for n in range(64)])
    _lines(world / "items.jsonl", [{**_ITEM, "id": f"{n}"} for n in range(64)])
    (world / "recipe.yaml").write_text("matching: steps\nlearning_rate: 1.0e-4\nprompts: 64\n")
    (world / "policy.yaml").write_text("version: 1\nbenchmarks: {longbench_v2: {max_drop: 0.5}}\n")
    (world / "study.yaml").write_text(_STUDY_FILE)
    shutil.copytree(WEIGHTS, world / "model")
    _settings(world)
    _logs(world)
    shutil.copytree(GOLDEN / "studies", world / "studies")
    (comparison,) = (GOLDEN / "comparisons").iterdir()
    shutil.copyfile(comparison, world / "comparison.json")
    score = ("score", "longbench_v2", world / "responses.jsonl", "--data-root", world / "data")
    assert harness(*score, "--out", world / "runs").returncode == 0
    (run,) = (world / "runs").iterdir()
    shutil.copytree(run, world / "runs" / "other")
    run.rename(world / _RUN)
    gate = ("gate", world / _RUN, world / "runs" / "other", "--policy", world / "policy.yaml")
    (world / "gate.json").write_text(harness(*gate, "--json").stdout)
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
_OWN = {
    "id": "o",
    "image_path": [],
    "question": "Which colour?",
    "choices": ["red", "blue"],
    "answer": "A",
    "hint": "Look.",
    "category": "colour",
    "cluster": "c",
    "kind": "choice",
}
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
    """open open_given read_bytes read_text read_given read_json read_yaml read_typed read_lines
    parse parse_yaml loads load safe_load load_from_disk from_parquet from_file from_pretrained
    memory_map safe_open load_workbook read_object
    load_file load_dataset ParquetFile read_table""".split()
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
    "code of the user": """
        ablations/training/rewards.py ablations/training/steps/own_loss.py benchmarks/user_code.py
        harness/own_code.py""",
    "own benchmark": "benchmarks/own/rows.py",
    "suite file": "benchmarks/own/suite_file.py",
    "comparison": "ablations/statistics/comparison/stored.py",
    "data": """
        benchmarks/data/local/json_rows.py benchmarks/data/local/layout.py
        benchmarks/data/local/receipt.py benchmarks/longhorizon/niah/benchmark.py
        benchmarks/vqa/base/benchmark.py benchmarks/vqa/base/prepared.py""",
    "data as tables": "benchmarks/data/local/read.py benchmarks/pairs/tables.py",
    "downloads": """
        benchmarks/data/catalog/parquet_names.py benchmarks/data/fetch/repository.py""",
    "graded responses": "benchmarks/conformance/graded.py",
    "images": "benchmarks/data/local/images.py reports/review_page.py",
    "judges": "ablations/pairs/judging.py",
    "native scoring": """
        benchmarks/vqa/base/native.py benchmarks/vqa/base/native_child.py
        benchmarks/vqa/base/native_worker.py""",
    "log": """
        benchmarks/imports/common/archive.py benchmarks/imports/common/workbook.py
        benchmarks/imports/folders.py
        benchmarks/imports/formats/evalscope.py benchmarks/imports/formats/every_eval_ever.py
        benchmarks/imports/formats/lm_eval.py
        benchmarks/imports/formats/swebench.py benchmarks/imports/formats/vlmevalkit.py
        benchmarks/imports/reading.py""",
    "pairs": "ablations/cli/pairs/check.py ablations/pairs/build.py benchmarks/pairs/folders.py",
    "pair templates": """
        ablations/cli/pairs/soundness.py benchmarks/pair_sources.py
        benchmarks/pairs/template.py""",
    "patches": """
        benchmarks/longhorizon/swebench/agent.py benchmarks/longhorizon/swebench/container.py
        benchmarks/longhorizon/swebench/container_worker.py
        benchmarks/longhorizon/swebench/environments.py
        benchmarks/longhorizon/swebench/grading.py benchmarks/longhorizon/swebench/tasks.py""",
    "cluster": """
        ablations/study/slurm/arrays.py ablations/study/slurm/settings.py
        ablations/study/slurm/task.py""",
    "gate": "ablations/statistics/release/stored.py",
    "settings of libraries in the present folder": "harness/install/wandb_settings.py",
    "policy": "ablations/statistics/release/policy.py",
    "programs": """
        benchmarks/longhorizon/livecodebench/compare.py
        benchmarks/longhorizon/livecodebench/driver.py
        benchmarks/longhorizon/livecodebench/grade.py
        benchmarks/longhorizon/livecodebench/problems.py""",
    "recipe": """
        ablations/export/skyrl.py ablations/settings.py ablations/training/check.py
        ablations/training/claim.py ablations/training/prompting.py
        ablations/training/training_data.py""",
    "responses": """
        benchmarks/cli/ids.py benchmarks/scoring/mathematics/units.py""",
    "run settings": """
        harness/backends/models/adapter.py harness/backends/models/resolve.py
        harness/backends/models/settings.py harness/cli/settings.py""",
    "run folder": """
        benchmarks/probe.py harness/files/jsonl.py harness/files/plain.py
        harness/files/typed_json.py harness/runs/lookup.py harness/runs/run.py
        harness/runs/store.py
        harness/runs/summary.py reports/read/runs.py reports/view/page.py""",
    "servers": """
        harness/backends/__init__.py harness/backends/http/answers.py
        harness/backends/http/receive.py""",
    "study": """
        ablations/study/children.py ablations/study/designs.py ablations/study/forecast.py
        ablations/study/jobs.py ablations/study/listing.py ablations/study/notes.py
        ablations/study/plan.py
        ablations/study/preloaded.py ablations/study/study.py
        ablations/training/ledger.py ablations/training/run.py reports/read/study.py""",
    "study file": "ablations/study/declared.py harness/files/typed_yaml.py",
    "trajectories": """
        ablations/pairs/trajectories/masking.py ablations/pairs/trajectories/reading.py
        ablations/pairs/trajectories/scopes.py""",
    "weights": """
        ablations/pairs/editing/editors.py ablations/pairs/similarity/embedding.py
        ablations/training/saving.py ablations/training/stages.py
        ablations/training/steps/callbacks.py ablations/training/steps/resuming.py""",
    "own": """
        ablations/selftest/machine.py ablations/selftest/study.py
        ablations/selftest/throughput.py ablations/selftest/train.py ablations/selftest/trials.py
        ablations/pairs/similarity/images.py ablations/statistics/simulation/calibration.py
        benchmarks/longhorizon/swebench/mini_swe_agent.py benchmarks/micro/data/programs.py
        benchmarks/micro/data/repositories.py benchmarks/micro/data/rows.py
        benchmarks/micro/model/build.py benchmarks/micro/model/qwen3vl.py
        benchmarks/micro/prepare.py benchmarks/options.py benchmarks/own/lmms_task.py
        benchmarks/vqa/base/tasks.py
        benchmarks/scoring/mathematics/forms.py harness/backends/vllm.py harness/cli/output.py
        harness/files/atomic.py harness/files/hashing.py harness/files/scratch.py
        harness/install/setup_environment.py harness/sandbox/cgroup.py harness/sandbox/engine.py
        harness/sandbox/folders.py harness/sandbox/watch.py reports/draw.py
        reports/export/trackers.py reports/html.py
        reports/read/paper/__init__.py""",
}  # fmt: skip
READERS: Mapping[str, str] = {
    module: type_ for type_, modules in _MODULES.items() for module in modules.split()
}
