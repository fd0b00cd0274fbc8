"""Logs that lm-eval 0.4.13 wrote: its verdicts are the scores, and two runs compare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scipy.stats import binomtest

from tests.benchmarks.imports.reading import LOGS, compared, imported, lines, manifest
from tests.commands import harness, one_line


def logged(model: str) -> dict[str, float]:
    """Return lm-eval's verdicts of its first filter by document."""
    (path,) = (LOGS / "lm-eval" / model).glob("samples_*.jsonl")
    rows = map(json.loads, path.read_text().splitlines())
    return {str(r["doc_id"]): r["exact_match"] for r in rows if r["filter"] == "strict-match"}


def test_every_verdict_is_that_of_the_log_and_two_runs_compare(tmp_path: Path) -> None:
    first, second = imported(tmp_path, LOGS / "lm-eval")
    for run in (first, second):
        values = {
            name: row["score"]["value"] for name, row in lines(run["run"], "tiny_sums").items()
        }
        assert values == logged(str(run["model"]))
    assert run["benchmarks"][0]["strict"] == pytest.approx(11 / 12)
    (line,) = compared(first["run"], second["run"])["benchmarks"]
    a, b = logged("model-3"), logged("model-5")
    gained = sum(b[name] > a[name] for name in a)
    lost = sum(b[name] < a[name] for name in a)
    assert line["delta"] == pytest.approx((gained - lost) / len(a))
    assert line["p"] == pytest.approx(binomtest(gained, gained + lost).pvalue)  # exact McNemar
    assert (line["items"], line["test"]) == (12, "McNemar")


def test_the_manifest_says_what_is_known_and_what_is_not(tmp_path: Path) -> None:
    (run, _) = imported(tmp_path, "lm-eval", LOGS / "lm-eval")
    told = manifest(run["run"])
    entry = told["benchmarks"]["tiny_sums"]
    assert (told["origin"], entry["max_tokens"]) == ("imported", 64)
    assert told["sampling"] == {"temperature": 0, "top_p": "unknown", "seed": 1}
    assert (told["imported"]["tool"], told["imported"]["version"]) == ("lm-eval", "0.4.13")
    assert told["imported"]["config"]["configs"]["tiny_sums"]["num_fewshot"] == 0
    assert entry["protocol"]["tiny_sums"] == {"shots": 0, "version": 1.0}


def test_the_same_log_is_imported_once(tmp_path: Path) -> None:
    before = imported(tmp_path, LOGS / "lm-eval")
    again = imported(tmp_path, LOGS / "lm-eval")
    assert [run["run"] for run in before] == [run["run"] for run in again]
    assert [run["benchmarks"] for run in before] == [run["benchmarks"] for run in again]
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_another_filter_is_chosen_by_name_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    (run, _) = imported(tmp_path, LOGS / "lm-eval", "--metric", "exact_match,flexible-extract")
    assert run["benchmarks"][0]["strict"] == pytest.approx(7 / 12)  # lm-eval's own table
    done = harness("import", LOGS / "lm-eval", "--metric", "exact_mach", "--out", tmp_path)
    one_line(done, "no metric of tiny_sums named 'exact_mach'", "exact_match,strict-match")


def test_log_likelihoods_are_no_responses(tmp_path: Path) -> None:
    (run,) = imported(tmp_path, LOGS / "lm-eval-choice")
    (row,) = run["benchmarks"]
    assert (row["n"], row["answers"], row["strict"]) == (8, 8, 0.125)


def test_runs_that_differ_in_seed_alone_are_seeds_of_one_side(tmp_path: Path) -> None:
    sides = {}
    for model in ("model-3", "model-5"):
        log = LOGS / "lm-eval" / model
        sides[model] = [imported(tmp_path, log, "--seed", seed)[0]["run"] for seed in (1, 2)]
    assert compared("--a", *sides["model-3"], "--b", *sides["model-5"])["kind"] == "arms"
    twice = imported(tmp_path, LOGS / "lm-eval" / "model-3", "--metric",
                     "exact_match,flexible-extract", "--seed", 1)[0]["run"]  # fmt: skip
    one_line(harness("compare", "--a", sides["model-3"][0], twice, "--b", *sides["model-5"]),
             "runs of the same checkpoint")  # fmt: skip
