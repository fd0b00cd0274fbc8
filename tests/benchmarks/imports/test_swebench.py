"""Reports that swebench itself makes of runs, and its predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from swebench.harness.reporting import make_run_report

from tests.benchmarks.imports.reading import compared, imported, lines, manifest
from tests.commands import harness, one_line

IDS = [f"{repo}-{n}" for repo in ("astropy__astropy", "django__django") for n in range(6)]


def evaluated(folder: Path, model: str, resolved: Mapping[str, bool]) -> Path:
    """Have swebench report on instances; those without an entry have an empty patch."""
    predictions = {
        name: {
            "instance_id": name,
            "model_name_or_path": model,
            "model_patch": f"diff {name}" if name in resolved else "",
        }
        for name in IDS
    }
    rows = "".join(json.dumps(row) + "\n" for row in predictions.values())
    (folder / "predictions.jsonl").write_text(rows)
    for name, right in resolved.items():
        log = folder / "logs/run_evaluation/my.run" / model.replace("/", "__") / name
        log.mkdir(parents=True)
        (log / "report.json").write_text(json.dumps({name: {"resolved": right}}))
    report: Path = make_run_report(predictions, [{"instance_id": name} for name in IDS], "my.run")
    return report


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    folders = {}
    for model, every in (("org/a", 3), ("org/b", 2)):
        folders[model] = tmp_path / model.replace("/", "-")
        folders[model].mkdir()
        monkeypatch.chdir(folders[model])  # swebench reads and writes where it is started
        evaluated(folders[model], model, {n: i % every == 0 for i, n in enumerate(IDS[:-1])})
    return folders


def test_verdicts_are_those_of_the_report_and_instances_cluster_by_repository(
    sides: dict[str, Path], tmp_path: Path
) -> None:
    runs = {model: imported(tmp_path, folder)[0] for model, folder in sides.items()}
    stored = lines(runs["org/a"]["run"], "swebench")
    values = {name: row["score"]["value"] for name, row in stored.items()}
    assert values == {name: float(i % 3 == 0 and i < 11) for i, name in enumerate(IDS)}
    assert stored[IDS[0]]["response"]["text"] == f"diff {IDS[0]}"
    assert {row["cluster"] for row in stored.values()} == {"astropy__astropy", "django__django"}
    assert manifest(runs["org/a"]["run"])["benchmarks"]["swebench"]["clusters"] == "the repository"
    assert runs["org/a"]["model"] == "org__a"
    found = compared(*(run["run"] for run in runs.values()))
    assert found["benchmarks"][0]["delta"] == pytest.approx((6 - 4) / 12)


def test_the_logs_of_a_run_say_what_its_report_says(sides: dict[str, Path], tmp_path: Path) -> None:
    (of_report,) = imported(tmp_path, "swebench", sides["org/a"])
    (of_logs,) = imported(tmp_path / "logs", "swebench", sides["org/a"] / "logs")
    by_report, by_logs = (lines(run["run"], "swebench") for run in (of_report, of_logs))
    assert {n: row["score"]["value"] for n, row in by_logs.items()} == {
        n: by_report[n]["score"]["value"] for n in by_logs
    }
    assert len(by_logs) == len(IDS) - 1  # an empty patch is not run


def test_predictions_alone_hold_no_verdict(sides: dict[str, Path], tmp_path: Path) -> None:
    done = harness("import", sides["org/a"] / "predictions.jsonl", "--out", tmp_path / "runs")
    one_line(done, "no report of run_evaluation", "harness score")
