"""Exports, read again by the libraries of the tools that they are for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import ablations
import benchmarks
from harness.reading import read_run
from harness.runs.store import encode, read_samples
from reports.export.eee import SCHEMA
from tests.commands import ROOT, harness, one_line, process
from tests.wandb_log import wandb_records

STUDY = ROOT / "tests/golden/stored/studies/trained"
A = STUDY / "runs/grpo-seed-0/checkpoint-vqa12-102c17da"
B = STUDY / "runs/contextrl-seed-0/checkpoint-vqa12-68356d1a"
MICRO = "micro world: generated scenes and traces, no evidence about real models"


def exported(form: str, *paths: Path, out: Path) -> list[Path]:
    """Export to a folder and return the files."""
    done = harness("export", form, *paths, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    return [Path(path) for path in json.loads(done.stdout)["files"]]


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A run with answers that tables and spreadsheets stumble over."""
    run = tmp_path / "odd"
    shutil.copytree(A, run)
    path = run / "samples" / "vstar.jsonl"
    texts = ["=1+1", "\x1b[31mred", "half \ud83d of one", 'a\nb,"c"', "\u202eright to left", ""]
    samples = [json.loads(encode(each)) for each in read_samples(A, "vstar").values()]
    for sample, text in zip(samples, texts, strict=False):
        sample["response"]["text"] = text
        sample["target"] = {"answer": text}
    samples[-1] |= {"response": None, "score": {"value": None, "status": "error"}}
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return run


def test_tables_of_a_study_hold_all_its_runs(tmp_path: Path) -> None:
    files = exported("csv", STUDY, out=tmp_path)
    assert [path.name for path in files] == [
        "scores.csv", "parts.csv", "samples.csv", "differences.csv"
    ]  # fmt: skip
    frames = {path.stem: pd.read_csv(path) for path in files}
    models = json.loads((STUDY / "analysis.json").read_text())["models"]
    assert len(frames["scores"][["arm", "seed"]].drop_duplicates()) == len(models)
    ours = frames["scores"].query("arm == 'grpo' and seed == 0")
    assert list(ours.strict) == list(read_run(A).scores().strict)
    samples = frames["samples"].query("arm == 'grpo' and seed == 0 and benchmark == 'vstar'")
    assert samples.value.mean() == pytest.approx(ours.set_index("benchmark").strict["vstar"])
    assert (
        json.loads(samples.target.iloc[0]) == next(iter(read_samples(A, "vstar").values())).target
    )
    assert set(frames["differences"].contrast) >= {"contextrl - grpo"}


def test_parquet_keeps_texts_and_csv_shows_them(odd: Path, tmp_path: Path) -> None:
    files = exported("parquet", odd, out=tmp_path / "p")
    frame = pd.read_parquet(next(path for path in files if path.stem == "samples"))
    texts = list(frame[frame.benchmark == "vstar"].response)
    assert texts[:3] == ["=1+1", "\x1b[31mred", "half \\ud83d of one"]
    assert pd.isna(texts[-1])
    assert frame.value.dtype == float
    files = exported("csv", odd, out=tmp_path / "c")
    path = next(path for path in files if path.stem == "samples")
    shown = pd.read_csv(path, keep_default_na=False)
    texts = list(shown[shown.benchmark == "vstar"].response)
    assert texts[:4] == ["'=1+1", "\\u001b[31mred", "half \\ud83d of one", 'a\nb,"c"']
    assert "\x1b" not in path.read_text()
    assert "\u202e" not in path.read_text()


def test_a_saved_comparison_is_a_table(tmp_path: Path) -> None:
    saved = tmp_path / "c.json"
    saved.write_text(harness("compare", A, B, "--json").stdout)
    (path,) = exported("csv", saved, out=tmp_path / "out")
    document = json.loads(saved.read_text())
    assert list(pd.read_csv(path).delta)[-1] == pytest.approx(document["macro"]["delta"], abs=1e-15)
    one_line(harness("export", "eee", saved), "eee is made of runs")


def test_a_model_card_reads_the_scores_again(tmp_path: Path) -> None:
    from huggingface_hub.repocard_data import model_index_to_eval_results

    (path,) = exported("model-index", A, out=tmp_path)
    name, results = model_index_to_eval_results(yaml.safe_load(path.read_text())["model-index"])
    assert name == read_run(A).model
    strict = {
        result.dataset_type: result.metric_value
        for result in results
        if result.metric_name == "accuracy (contextrl-harness's strict scorer)"
    }
    scores = read_run(A).scores()
    assert strict == dict(zip(scores.benchmark, scores.strict, strict=True))
    assert all(MICRO in result.dataset_name for result in results)
    one_line(harness("export", "model-index", A, B), "a card is of one")


def test_a_score_of_another_tool_is_not_said_to_be_ours(tmp_path: Path) -> None:
    logs = Path(__file__).parents[1] / "benchmarks" / "imports" / "logs" / "harbor"
    assert harness("import", logs, "--out", tmp_path / "runs").returncode == 0
    run = min((tmp_path / "runs").iterdir())
    (card,) = exported("model-index", run, out=tmp_path / "card")
    (index,) = yaml.safe_load(card.read_text())["model-index"]
    names = [metric["name"] for result in index["results"] for metric in result["metrics"]]
    assert names == ["accuracy (reward, by harbor)"]
    record, _ = exported("eee", run, out=tmp_path / "eee")
    (result,) = json.loads(record.read_text())["evaluation_results"]
    described = result["metric_config"]["evaluation_description"]
    assert described == "Mean score over items: reward, by harbor"


def records(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    record, samples = exported("eee", A, out=folder)
    lines = samples.read_text().splitlines()
    return json.loads(record.read_text()), list(map(json.loads, lines))


def test_every_eval_ever_has_every_score_and_answer(tmp_path: Path) -> None:
    record, lines = records(tmp_path / "one")
    assert record["schema_version"] == SCHEMA
    scores = read_run(A).scores().set_index("benchmark")
    for result in record["evaluation_results"]:
        benchmark, metric = result["evaluation_result_id"].split("/")
        assert result["score_details"]["score"] == scores[metric][benchmark]
        assert MICRO in result["source_data"]["dataset_name"]
    samples = read_samples(A, "vstar")
    strict = [line for line in lines if line["evaluation_result_id"] == "vstar/strict"]
    values = {(line["sample_id"], int(line["metadata"]["repeat"])): line for line in strict}
    assert values.keys() == samples.keys()
    for key, sample in samples.items():
        assert values[key]["evaluation"]["score"] == sample.score.value
        assert values[key]["output"]["raw"] == [sample.response.text]  # type: ignore[union-attr]
        assert values[key]["metadata"]["cluster"] == sample.cluster
    # The same run gives the same bytes.
    assert records(tmp_path / "two") == (record, lines)


def test_times_that_no_log_told_are_zero(odd: Path, tmp_path: Path) -> None:
    manifest = json.loads((odd / "manifest.json").read_text())
    for call in manifest["invocations"]:
        call |= {"started": "unknown", "ended": None}
    (odd / "manifest.json").write_text(json.dumps(manifest))
    (path,) = (one for one in exported("eee", odd, out=tmp_path / "out") if one.suffix == ".json")
    record = json.loads(path.read_text())
    assert (record["retrieved_timestamp"], record["evaluation_timestamp"]) == ("0", "0")


def test_records_that_are_imported_again_compare_alike(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    again = []
    for run, folder in zip((A, B), folders, strict=True):
        exported("eee", run, out=folder)
        again += benchmarks.import_log(folder, out=tmp_path / "runs", source_scores=True)
    for run, imported in zip((A, B), again, strict=True):
        before, after = read_run(run).scores(), imported.scores()
        assert dict(zip(after.benchmark, after.strict, strict=True)) == pytest.approx(
            dict(zip(before.benchmark, before.strict, strict=True))
        )
    columns = ["benchmark", "items", "clusters", "delta", "low", "high", "p", "verdict"]
    pd.testing.assert_frame_equal(
        ablations.compare(*again).to_frame()[columns], ablations.compare(A, B).to_frame()[columns]
    )


def test_an_answer_without_a_score_is_counted_and_has_no_line(odd: Path, tmp_path: Path) -> None:
    _, path = exported("eee", odd, out=tmp_path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    strict = [line for line in lines if line["evaluation_result_id"] == "vstar/strict"]
    assert len(strict) == len(read_samples(odd, "vstar")) - 1


@pytest.mark.slow
def test_every_eval_evers_own_validator_accepts_the_records(tmp_path: Path, odd: Path) -> None:
    from tests.harness.test_light_install import UV, done, interpreter

    if UV is None:
        pytest.skip("uv is not installed")
    done(UV, "venv", "--python", interpreter("3.12"), tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    done(UV, "pip", "install", "--python", python, "every-eval-ever")
    files = [*exported("eee", A, B, out=tmp_path), *exported("eee", odd, out=tmp_path)]
    words = [path.relative_to(tmp_path) for path in files]
    program = tmp_path / "venv/bin/every_eval_ever"
    found = json.loads(done(program, "validate", *words, "--format", "json", cwd=tmp_path))
    assert len(found) == len(files)
    for each in found:
        assert each["valid"], each
        assert not each["warnings"], each


@pytest.mark.slow
def test_wandb_writes_scores_answers_and_the_report_offline(tmp_path: Path) -> None:
    done = process("export", "wandb", A, "--offline", "--rows", "5", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    tables = [json.loads(path.read_text()) for path in folder.rglob("*.table.json")]
    assert len(tables) == len(read_run(A).scores())
    assert all(len(table["data"]) == 5 for table in tables)
    logged: dict[str, Any] = {}
    for record in wandb_records(next(folder.glob("*.wandb"))):
        for item in record.summary.update:
            logged["/".join([item.key, *item.nested_key]).strip("/")] = json.loads(item.value_json)
    scores = read_run(A).scores()
    for benchmark, strict in zip(scores.benchmark, scores.strict, strict=True):
        assert logged[f"{benchmark}/strict"] == strict


@pytest.mark.parametrize(
    ("words", "piece"),
    [
        (("csv", ROOT / "nowhere"), "does not exist"),
        (("csv", ROOT / "docs"), "is not an analysed study"),
        (("csv", A, STUDY), "one study, one comparison, or any number of runs"),
        (("csv", A, "--offline"), "--offline is for wandb and trackio, not for csv"),
        (("pdf", A), "is not one of"),
        (("eee", A, "--out", ROOT / "README.md"), "README.md"),
        (("trackio", A), "trackio is not installed: pip install 'contextrl-harness[trackio]'"),
    ],
)
def test_wrong_input_is_one_line(words: tuple[object, ...], piece: str) -> None:
    one_line(harness("export", *words), piece)


def test_a_run_without_scores_has_no_card_and_no_record(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(A / "manifest.json", run)
    for form in ("eee", "model-index"):
        one_line(harness("export", form, run, "--out", tmp_path / form), "has no scores yet")


def test_the_names_of_a_model_are_parts_of_a_path() -> None:
    from reports.export.eee import _model_id

    expected: Mapping[str, str] = {
        "Qwen/Qwen3-VL-8B": "Qwen/Qwen3-VL-8B",
        "checkpoint": "local/checkpoint",
        "../../etc/passwd": "etc/passwd",
        "a b\\c:d": "local/a-b-c-d",
        "data": "local/model-data",
        "": "local/model",
    }
    assert {name: _model_id(name) for name in expected} == expected
