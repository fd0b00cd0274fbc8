"""What tools say of their runs in their own summaries, by task, and what we read."""

from __future__ import annotations

import csv
import json

from benchmarks.imports.common.archive import Archive
from benchmarks.imports.log import Log


def means(log: Log) -> dict[str, float]:
    """Return the mean of the main metric of each task of a log."""
    found = {}
    for task in log.tasks:
        values = [sample.scores[next(iter(task.metrics))] for sample in task.samples()]
        found[task.name] = sum(values) / len(values)
    return found


def inspect(log: Log) -> dict[str, float]:
    (path,) = log.files
    archived = path.suffix == ".eval"
    header = Archive(path).document("header.json") if archived else json.loads(path.read_text())
    (score,) = header["results"]["scores"]
    return {header["eval"]["task"]: score["metrics"]["accuracy"]["value"]}


def eee(log: Log) -> dict[str, float]:
    results = json.loads(log.files[0].read_text())["evaluation_results"]
    return {each["evaluation_name"]: each["score_details"]["score"] for each in results}


def nemo(log: Log) -> dict[str, float]:
    benchmark = json.loads(log.files[0].read_text())["benchmark"]
    return {benchmark["name"]: benchmark["scores"]["pass@1"]["value"]}


def evalscope(log: Log) -> dict[str, float]:
    reports = [json.loads(path.read_text()) for path in log.files if path.suffix == ".json"]
    return {
        report["dataset_name"]: metric["score"]
        for report in reports
        for metric in report["metrics"]
        if metric["identity"] == report["primary_metric_identity"]
    }


def vlmevalkit(log: Log) -> dict[str, float]:
    (path,) = log.files[0].parent.glob("*_acc.csv")
    with path.open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    return {path.stem.removesuffix("_acc").partition("_")[2]: float(row["Overall"])}


def harbor(log: Log) -> dict[str, float]:
    stats = json.loads((log.files[0].parent / "result.json").read_text())["stats"]
    (evaluated,) = stats["evals"].values()
    return {"tasks": evaluated["metrics"][0]["mean"]}


def lm_eval(log: Log) -> dict[str, float]:
    """Return the scores of each task's first filter."""
    document = json.loads(log.files[0].read_text())
    filters = {name: task["filter_list"][0]["name"] for name, task in document["configs"].items()}
    return {
        name: scores[f"exact_match,{filters[name]}"] for name, scores in document["results"].items()
    }


def lmms_eval(log: Log) -> dict[str, float]:
    results = json.loads(log.files[0].read_text())["results"]
    return {name: scores["exact_match,none"] for name, scores in results.items()}
