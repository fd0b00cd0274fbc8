"""Any task of lmms-eval: which are refused, what a value is, and a real one by the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks import suites
from benchmarks.own.lmms_task import LmmsTask, read_config
from benchmarks.vqa.base.tasks import task_files
from harness.errors import ItemError, UsageError
from tests.commands import harness
from tests.servers import Reply, ScriptedServer


def task(name: str, root: Path, **options: str) -> LmmsTask:
    built: Any = suites.benchmark(f"lmms:{name}", root, options=options)
    assert isinstance(built, LmmsTask)
    return built


def test_a_task_s_class_is_made_of_its_file(tmp_path: Path) -> None:
    """The expected values stand in lmms-eval 0.7.3's tasks/chartqa/chartqa.yaml."""
    declared = task("chartqa", tmp_path).declaration
    assert (declared.id, declared.native_max_tokens) == ("lmms:chartqa", 16)
    assert declared.protocol["tasks"] == ["chartqa"]
    assert "native only" in declared.note
    assert "relaxed_overall" in declared.metric
    assert (declared.native_rules, declared.n_items) == ("", 0)
    other = task("chartqa", tmp_path, metric_name="relaxed_human_split").declaration
    assert other.scoring != declared.scoring


def test_a_file_without_a_name_has_that_of_the_file_it_includes() -> None:
    assert task_files()["vstar_bench"].name == "vstar_bench.yaml"
    assert task_files()["mmerealworld_lite"].name == "mme_realworld_lite.yaml"


def test_the_light_reader_reads_what_lmms_eval_reads() -> None:
    """Held against ``lmms_eval.utils.load_yaml_config`` in its mode without functions."""
    from lmms_eval.utils import load_yaml_config

    for name in ("chartqa", "mmbench_en_dev", "docvqa_val", "ai2d"):
        theirs = load_yaml_config(str(task_files()[name]), mode="simple")
        ours = read_config(task_files()[name])
        keys = ("task", "dataset_path", "dataset_name", "test_split", "output_type")
        assert {key: ours.get(key) for key in keys} == {key: theirs.get(key) for key in keys}
        assert [m["metric"] for m in ours["metric_list"]] == [
            m["metric"] for m in theirs["metric_list"]
        ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("chartq", "did you mean lmms:chartqa"),
        ("mmbench", "it is a group of tasks: give some of lmms:mmbench_en_dev"),
        ("worldvqa_mc_ppl", "output type is multiple_choice"),
        ("vstat", "process_docs"),
        ("amber_g", "less of amber_chair is better"),
    ],
)
def test_a_task_that_cannot_be_run_is_one_line(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        suites.resolve(f"lmms:{name}")


@pytest.mark.parametrize(
    ("metrics", "options", "value"),
    [
        ({"relaxed_overall": True}, {}, 1.0),
        ({"relaxed_overall": 85}, {"scale": "100"}, 0.85),
        ({"relaxed_overall": {"id": 1, "score": 0.5}}, {}, 0.5),
        ({"relaxed_overall": {"id": 1, "pred": "A"}}, {}, "made of all answers at once"),
        ({"relaxed_overall": 85}, {}, "scale=..."),
        ({"relaxed_overall": float("nan")}, {}, "scale=..."),
        ({"relaxed_overall": "yes"}, {}, "made of all answers at once"),
        ({"other": 1}, {}, "metric_name=..."),
    ],
)
def test_the_value_of_a_metric(
    tmp_path: Path, metrics: dict[str, Any], options: dict[str, str], value: float | str
) -> None:
    built = task("chartqa", tmp_path, **options)
    if isinstance(value, float):
        assert built.native_value(metrics) == value
        return
    with pytest.raises(ItemError) as refusal:
        built.native_value(metrics)
    assert value in str(refusal.value)


@pytest.mark.slow  # lmms-eval is imported
def test_a_task_without_a_metric_of_its_own_has_lmms_evals() -> None:
    """lmms_eval/api/metrics.py registers ``exact_match`` and ``anls``, which 85 tasks need."""
    from datasets import Dataset, DatasetDict

    from benchmarks.vqa.base.native_worker import _metrics
    from benchmarks.vqa.base.tasks import build_task

    row = {
        "question": "Q?",
        "options": ["7", "8"],
        "answer": "1",
        "image": Image.new("RGB", (8, 8)),
    }
    task = build_task("ai2d", DatasetDict({"test": Dataset.from_list([row])}))
    # Its filter takes the letter at the beginning of an answer.
    found = [_metrics(task, 0, answer)["exact_match"] for answer in ("B", "B. 8", "A. 7")]
    assert found == [1, 1, 0]


@pytest.mark.slow
def test_a_real_task_runs_and_its_own_metric_is_the_score(tmp_path: Path) -> None:
    """``relaxed_overall`` forgives 5 % of a number (tasks/chartqa/utils.py)."""
    from datasets import Dataset, DatasetDict

    rows = [
        {"image": Image.new("RGB", (8, 8)), "question": "Q?", "answer": answer, "type": kind}
        for answer, kind in (("100", "human_test"), ("200", "augmented_test"))
    ]
    data = tmp_path / "data" / "lmms:chartqa"
    DatasetDict({"test": Dataset.from_list(rows)}).save_to_disk(data)
    with ScriptedServer(lambda request: Reply("104")) as server:
        done = harness(
            "run", "--model", "scripted", "--endpoint", server.url, "--suite", "lmms:chartqa",
            "--data-root", tmp_path / "data", "--out", tmp_path / "runs", "--json", "--items",
            "--temperature", "0.5", "--repeats", "2",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["benchmarks"]
    assert sorted((each["id"], each["value"]) for each in row["items"]) == [
        ("0", 1), ("0", 1), ("1", 0), ("1", 0),
    ]  # fmt: skip
    assert "native only" in row["note"]
    (run,) = (tmp_path / "runs").iterdir()
    shown = harness("report", run, "--out", tmp_path / "page.html")
    assert shown.returncode == 0, shown.stderr
    assert "native only" in (tmp_path / "page.html").read_text()
