"""Logs that lmms-eval 0.7.3 wrote of the micro world's V*, MathVision and MMMU-Pro."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from benchmarks.micro.data import datasets
from tests.benchmarks.imports.reading import LOGS, compared, imported, lines, manifest
from tests.commands import harness

LOG = LOGS / "lmms-eval"
TASKS = {
    "vstar": ["vstar_bench"],
    "mathvision": ["mathvision_test"],
    "mmmu_pro": ["mmmu_pro_standard", "mmmu_pro_vision"],
}


def logged(model: str, task: str) -> dict[int, dict[str, Any]]:
    (path,) = (LOG / model).glob(f"*_samples_{task}.jsonl")
    return {row["doc_id"]: row for row in map(json.loads, path.read_text().splitlines())}


def verdict(row: dict[str, Any]) -> float:
    """Return what the task's aggregation of lmms-eval makes of an answer, read by hand."""
    if "vstar_overall_acc" in row:
        return float(row["vstar_overall_acc"]["score"])
    if "mmmu_acc" in row:
        return float(row["mmmu_acc"]["parsed_pred"] == row["mmmu_acc"]["answer"])
    return float(row["mathvision_standard_eval"]["scores"][0])


def overall(model: str, task: str, metric: str) -> float:
    """Return the score that lmms-eval printed, in percent."""
    (path,) = (LOG / model).glob("*_results.json")
    score: float = json.loads(path.read_text())["results"][task][f"{metric},none"]
    return score


def test_without_the_data_verdicts_are_kept_and_one_line_says_how_to_score(tmp_path: Path) -> None:
    done = harness("import", LOG / "model-3", "--out", tmp_path, "--data-root", tmp_path / "none")
    assert done.returncode == 0
    (line,) = [line for line in done.stderr.splitlines() if "vstar" in line]
    for piece in ("no strict score", "harness data pull vstar", "--source-scores"):
        assert piece in line
    (run,) = tmp_path.iterdir()
    (row,) = [
        row for row in json.loads((run / "summary.json").read_text())["benchmarks"]
        if row["benchmark"] == "vstar_bench"
    ]  # fmt: skip
    assert row["strict"] is None
    assert 100 * row["native"] == pytest.approx(
        overall("model-3", "vstar_bench", "vstar_overall_acc")
    )


def test_with_the_tools_own_scores_two_logs_compare_without_any_data(tmp_path: Path) -> None:
    runs = imported(tmp_path, LOG, "--source-scores")
    by_task = {
        line["benchmark"]: line for line in compared(*(r["run"] for r in runs))["benchmarks"]
    }
    assert set(by_task) == {task for tasks in TASKS.values() for task in tasks}
    for task, line in by_task.items():
        means = [fmean(map(verdict, logged(m, task).values())) for m in ("model-3", "model-5")]
        assert line["delta"] == pytest.approx(means[1] - means[0])


@pytest.mark.slow
def test_matched_items_are_scored_by_us_and_compare_as_our_own_runs_do(tmp_path: Path) -> None:
    data = tmp_path / "data"
    datasets.write(data)
    runs = imported(tmp_path, LOG, "--data-root", data)
    ours = {}
    for run in runs:
        model = str(run["model"])
        for row in run["benchmarks"]:
            name = row["benchmark"]
            assert (row["n"], row["errors"], row["native_missing"]) == (24, 0, 0)
            said = [verdict(r) for task in TASKS[name] for r in logged(model, task).values()]
            native = lines(run["run"], name, "native")
            assert sorted(each["value"] for each in native.values()) == sorted(said)
            entry = manifest(run["run"])["benchmarks"][name]
            own = _scored(tmp_path / model, name, lines(run["run"], name), data)
            ours[model, name] = own
            theirs = manifest(own)["benchmarks"][name]
            assert entry["data_fingerprint"] == theirs["data_fingerprint"]
            # lmms-eval was run with the prompts that our adapters ask with.
            assert entry["protocol_hash"] == theirs["protocol_hash"]
            values = {item: each["score"] for item, each in lines(own, name).items()}
            assert {i: each["score"] for i, each in lines(run["run"], name).items()} == values
    both = {row["benchmark"]: row for row in compared(*(r["run"] for r in runs))["benchmarks"]}
    for name in TASKS:
        (own,) = compared(ours["model-3", name], ours["model-5", name])["benchmarks"]
        for what in ("items", "clusters", "delta", "low", "high", "p", "test"):
            assert both[name][what] == own[what]
        # A run of ours compares with an imported one of the same benchmark.
        (mixed,) = compared(ours["model-3", name], runs[1]["run"])["benchmarks"]
        assert mixed["delta"] == own["delta"]


def _scored(out: Path, name: str, stored: dict[str, Any], data: Path) -> Path:
    """Return our own run of the same responses."""
    rows = [{"id": i, "response": row["response"]["text"]} for i, row in stored.items()]
    responses = out.with_name(f"{out.name}-{name}.jsonl")
    responses.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = harness("score", name, responses, "--data-root", data, "--out", out, "--no-native",
                   "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["run"])
