"""Responses in our own form, the ranges of scores, and what ends an import."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.imports.reading import redacted
from benchmarks.imports.scales import Scale, number_of
from benchmarks.micro.data import longbench
from tests.benchmarks.imports.reading import compared, imported, lines, manifest
from tests.commands import harness, one_line


def write(path: Path, scores: list[Any], **more: Any) -> Path:
    rows = [
        {"id": f"q{n}", "response": f"r{n}", "score": score, "target": "t", **more}
        for n, score in enumerate(scores)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.floats(0, 1), st.booleans())
def test_a_scale_maps_its_range_onto_0_to_1_and_refuses_the_rest(
    low: float, width: float, share: float, flipped: bool
) -> None:
    scale = Scale(low, low + width, flipped)
    assert scale.mapped(scale.low) == float(flipped)
    assert scale.mapped(scale.high) == float(not flipped)
    value = min(max(low + share * width, scale.low), scale.high)
    assert 0 <= scale.mapped(value) <= 1
    for outside in (scale.low - width, scale.high + width):
        with pytest.raises(ValueError, match="is not between"):
            scale.mapped(outside)


def test_a_score_out_of_range_is_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    log = write(tmp_path / "a.jsonl", [0.5, 70, 20])
    out = tmp_path / "runs"
    one_line(harness("import", log, "--out", out), "sample q1", "70", "--scale LOW,HIGH")
    one_line(harness("import", log, "--out", out, "--scale", "0,50"), "not between 0 and 50")
    assert list(out.glob("*")) == []
    for words in ("1", "5,1", "a,b", "0,inf", "x=0"):
        assert harness("import", log, "--out", out, "--scale", words).returncode == 2


def test_a_declared_range_is_mapped_and_the_original_is_kept(tmp_path: Path) -> None:
    log = write(tmp_path / "a.jsonl", [0, 70, 20])
    (run,) = imported(tmp_path, log, "--scale", "a=0,100", "--lower-is-better")
    stored = lines(run["run"], "a")
    assert [row["score"]["value"] for row in stored.values()] == pytest.approx([1, 0.3, 0.8])
    assert [row["source_value"] for row in stored.values()] == [0, 70, 20]
    assert "lower is better" in manifest(run["run"])["benchmarks"]["a"]["metric"]
    plain = imported(tmp_path, log, "--scale", "0,100")[0]["run"]
    done = harness("compare", run["run"], plain)
    assert done.returncode == 2  # of one model, by other scorers
    one_line(done, "different versions of the scorer")


def test_runs_whose_prompts_or_targets_differ_are_refused_and_unknown_ones_are_noted(
    tmp_path: Path,
) -> None:
    def run(name: str, **more: Any) -> object:
        log = write(tmp_path / f"{name}.jsonl", [0, 1] * 20, benchmark="quiz", **more)
        return imported(tmp_path, log)[0]["run"]

    asked, other, silent = run("a", prompt="Why?"), run("b", prompt="Why not?"), run("c")
    one_line(harness("compare", asked, other), "differ in their prompts")
    one_line(harness("compare", asked, run("d", prompt="Why?", target="u")), "right answer to q0")
    notes = compared(asked, silent)["notes"]
    assert any(
        "not recorded by every run" in n and "prompts" in n and "max_tokens" in n for n in notes
    )
    assert any("clusters are not known" in note for note in notes)


def test_clusters_of_the_file_are_not_called_unknown(tmp_path: Path) -> None:
    log = write(tmp_path / "a.jsonl", [0, 1] * 3, cluster="c")
    (run,) = imported(tmp_path, log)
    told = manifest(run["run"])["benchmarks"]["a"]
    assert told["clusters"] == "as the file says"
    assert "clusters" not in told["note"]
    assert {row["cluster"] for row in lines(run["run"], "a").values()} == {"c"}


def test_named_as_ours_they_are_scored_as_score_scores_them(tmp_path: Path) -> None:
    longbench.write(tmp_path / "data")
    data = json.loads((tmp_path / "data/longbench_v2/data.json").read_text())
    rows = [{"id": row["_id"], "response": f"({'ABCD'[n % 4]})"} for n, row in enumerate(data)]
    rows.append({"id": "nothing", "response": "(A)"})
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    root = ("--data-root", tmp_path / "data")
    done = harness("import", path, "--benchmark", "longbench_v2", *root, "--out", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    assert "1 of its answers match no item" in done.stderr
    assert "mine/nothing" in done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]))
    done = harness("score", "longbench_v2", path, *root, "--out", tmp_path / "own", "--json")
    assert done.returncode == 0, done.stderr
    own = Path(json.loads(done.stdout)["run"])
    scores = [
        {item: row["score"] for item, row in lines(folder, "longbench_v2").items()}
        for folder in (run, own)
    ]
    assert scores[0] == scores[1]
    entry = manifest(own)["benchmarks"]["longbench_v2"]
    assert (entry["max_tokens"], manifest(own)["sampling"]["temperature"]) == ("unknown",) * 2
    (line,) = compared(run, own)["benchmarks"]
    assert (line["delta"], line["items"]) == (0, len(data))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ('{"id": "a", "response": "x"}\n', ("no metric has a number", "--benchmark")),
        ('{"id": "a", "response": "", "score": 1}\n{"', ("line 2 is not JSON", "lacks its end")),
        ('{"id": "a", "response": 5, "score": 1}\n', ("the response is not text",)),
        ("", ("is not a known log", "lmms-eval")),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_one_line(
    text: str, pieces: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    one_line(harness("import", tmp_path / "a.jsonl", "--out", tmp_path / "runs"), *pieces)
    assert not (tmp_path / "runs").exists() or list((tmp_path / "runs").iterdir()) == []


def test_what_is_named_wrongly_is_one_line(tmp_path: Path) -> None:
    log = write(tmp_path / "a.jsonl", [1])
    one_line(harness("import", "lm-evl", log), "no file or folder lm-evl", "did you mean lm-eval?")
    one_line(harness("import", "lm-eval", log), "holds no results_*.json")
    one_line(harness("import", log, "--tasks", "b"), "no task 'b' in the log", "there is a")
    one_line(harness("import", "lm-eval"), "PATH")


def test_of_several_logs_those_that_have_the_task_are_imported(tmp_path: Path) -> None:
    logs = [write(tmp_path / f"{name}.jsonl", [1]) for name in "ab"]
    done = harness("import", *logs, "--tasks", "b", "--out", tmp_path / "runs", "--json")
    assert done.returncode == 0, done.stderr
    assert "is left out: it has only a" in done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert set(manifest(run)["benchmarks"]) == {"b"}
    refused = harness("import", *logs, "--tasks", "b,c", "--out", tmp_path / "none")
    one_line(refused, "no task 'c' in the logs", "there is a, b")
    assert not (tmp_path / "none").exists()


def test_values_of_metrics_are_numbers() -> None:
    values = [True, 0.5, {"score": 1}, {"scores": [False]}, "C", "I", "0.25"]
    assert [number_of(value) for value in values] == [1, 0.5, 1, 0, 1, 0, 0.25]
    for value in (None, "yes", {}, [1, 2], float("nan"), float("inf"), {"other": 1}):
        assert number_of(value) is None


def test_secrets_are_not_kept() -> None:
    config = {
        "api_key": "sk-1",
        "args": ["model=x,api_key=sk-2,max_tokens=5", "https://me:sk-3@host/v1"],
        "nested": {"hf_token": "sk-4", "Authorization": "Bearer sk-5", "max_tokens": 7},
    }
    kept = json.dumps(redacted(config))
    assert "sk-" not in kept
    assert "max_tokens=5" in kept
    assert '"max_tokens": 7' in kept


@pytest.mark.parametrize("text", ["a-", "key-", "token", "://a:"])
def test_no_text_takes_long_to_redact(text: str) -> None:
    begun = time.process_time()
    assert redacted(text * 100_000)
    assert time.process_time() - begun < 2
