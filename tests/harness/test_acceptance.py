"""Slow: the main jobs by their commands, with the real engines, on embedded and on real items."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from ablations.arms import ARMS
from ablations.statistics.estimates import Verdict
from ablations.study.plan import DEFAULT_ARMS
from benchmarks.micro.model.build import WEIGHTS
from benchmarks.suites import SUITES
from tests.commands import modules_of, process

pytestmark = pytest.mark.slow


def samples(out: Path) -> dict[tuple[str, str], dict[str, object]]:
    """Return every stored sample of the only run in ``out`` by benchmark and id."""
    (run,) = (path for path in out.iterdir() if path.is_dir())
    return {
        (path.stem, row["id"]): row
        for path in sorted((run / "samples").glob("*.jsonl"))
        for row in map(json.loads, path.open())
    }


def run_on(backend: str, model: Path, data: Path, out: Path, *more: object) -> dict[str, object]:
    words: list[object] = [
        "run",
        "--model",
        model,
        "--suite",
        "vqa12",
        "--data-root",
        data,
        "--out",
        out,
    ]
    words += ["--backend", backend, "--dtype", "float32", "--max-tokens", 32, "--json", *more]
    done = process(*words)
    assert done.returncode == 0, done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return document


def agreement(one: Path, other: Path) -> tuple[float, float, int]:
    """Return the shares of equal predictions and of equal texts, and the number of answers."""
    left, right = samples(one), samples(other)
    assert left.keys() == right.keys()
    predictions = [
        left[key]["score"]["prediction"] == right[key]["score"]["prediction"]  # type: ignore[index]
        for key in left
    ]
    texts = [left[key]["response"]["text"] == right[key]["response"]["text"] for key in left]  # type: ignore[index]
    return sum(predictions) / len(left), sum(texts) / len(left), len(left)


def test_vllm_and_transformers_agree_on_the_embedded_items(
    micro_model: Path, micro_data: Path, tmp_path: Path
) -> None:
    run_on("vllm", micro_model, micro_data, tmp_path / "vllm")
    run_on("transformers", micro_model, micro_data, tmp_path / "transformers")
    predictions, texts, n = agreement(tmp_path / "vllm", tmp_path / "transformers")
    print(f"embedded: {n} answers, predictions agree {predictions:.1%}, texts {texts:.1%}")
    # The answers hang on the question: were they all alike, agreement would mean nothing.
    given = {row["response"]["text"] for row in samples(tmp_path / "vllm").values()}  # type: ignore[index]
    assert len(given) > n / 2
    assert predictions >= 0.95
    assert list((tmp_path / "vllm").glob("*/vllm.log"))


def test_vllm_serves_the_shipped_base_model(micro_data: Path, tmp_path: Path) -> None:
    for backend in ("vllm", "transformers"):
        run_on(backend, WEIGHTS, micro_data, tmp_path / backend,
               "--benchmarks", "mmmu,blink,mathverse", "--limit", 40)  # fmt: skip
    predictions, texts, n = agreement(tmp_path / "vllm", tmp_path / "transformers")
    print(f"base: {n} answers, predictions agree {predictions:.1%}, texts {texts:.1%}")
    read = [row["score"]["prediction"] for row in samples(tmp_path / "vllm").values()]  # type: ignore[index]
    assert sum(one is not None for one in read) > 0.8 * n
    assert len(set(read)) > 5
    assert predictions >= 0.95


def test_the_real_mathvision_items_go_through_both_engines(
    shared: Path, micro_model: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    imported = process("data", "import", "mathvision", shared / "data" / "mathvision",
                       "--data-root", data)  # fmt: skip
    assert imported.returncode == 0, imported.stderr
    for backend in ("vllm", "transformers"):
        document = run_on(backend, micro_model, data, tmp_path / backend,
                          "--benchmarks", "mathvision")  # fmt: skip
        (row,) = document["benchmarks"]  # type: ignore[misc, attr-defined]
        assert (row["n"], row["errors"], row["unscored"]) == (304, 0, 0)
        assert 0 <= row["strict"] <= 1
    predictions, texts, n = agreement(tmp_path / "vllm", tmp_path / "transformers")
    print(f"MathVision: {n} answers, predictions agree {predictions:.1%}, texts {texts:.1%}")


def test_the_base_model_runs_and_runs_again_at_once(tmp_path: Path) -> None:
    words = ("demo", "--base", "--out", tmp_path)
    first = process(*words)
    assert first.returncode == 0, first.stderr
    assert "mean of 12" in first.stdout
    assert "torch" not in modules_of(*words)
    page = (Path(__file__).parents[2] / "docs" / "micro_world.md").read_text()
    found, recorded = _beside_chance(first.stdout), _beside_chance(page)
    assert set(found) == set(recorded) == set(SUITES["vqa12"])
    # On another machine rounding may turn a few of 200 answers.
    for name, (accuracy, _, chance) in found.items():
        assert accuracy == pytest.approx(recorded[name][0], abs=3.0)
        assert chance == recorded[name][2]
    assert sum(low > chance and one < 90 for one, low, chance in found.values()) >= 9


def _beside_chance(text: str) -> dict[str, tuple[float, float, float]]:
    """Return accuracy, the interval's lower bound and chance by benchmark, in percent."""
    row = r"^(\w+) +([\d.]+) +([\d.]+) to [\d.]+ +([\d.]+) +\d+ +\d+$"
    found = re.findall(row, text, re.MULTILINE)
    return {name: (float(a), float(low), float(chance)) for name, a, low, chance in found}


@pytest.mark.timeout(1200)
def test_the_quick_demo_is_a_study_and_shows_it_again(tmp_path: Path) -> None:
    words = ("demo", "--quick", "--out", tmp_path)
    first = process(*words)
    assert first.returncode == 0, first.stderr
    said = first.stdout.splitlines()
    study = tmp_path / "studies" / "vqa12-quick"
    assert said[-1] == f"report {study / 'report.html'}"
    assert any(line.startswith("$ harness ablate objective-vs-data --model ") for line in said)
    assert "micro world: the base model's accuracy beside chance" in said
    found = json.loads((study / "analysis.json").read_text())
    assert found["complete"]
    assert found["verdict"] in said
    total = next(one for one in found["analysis"]["contrasts"] if one["kind"] == "total")
    assert Verdict(total["verdict"]) is not Verdict.NOT_TESTED
    assert total["p"] is not None
    in_order = {name: 1 if name == "base" else 3 for name in ARMS if name in DEFAULT_ARMS}
    assert {one["arm"]: one["seeds"] for one in found["analysis"]["arms"]} == in_order
    assert len(found["benchmarks"]) == 12
    assert all(0 <= one["selection"] <= 1 for one in found["models"])
    # The command that was printed is the study itself: nothing is left to do.
    (command,) = (line for line in said if line.startswith("$ harness ablate"))
    again = process(*shlex.split(command)[2:])
    assert again.returncode == 0, again.stderr
    assert again.stderr == f"{study}: finished, nothing is left to do\n"
    assert again.stdout in first.stdout
    assert "torch" not in modules_of(*words)
