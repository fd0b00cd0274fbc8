"""`native` equals lmms-eval's ``simple_evaluate``, item by item, on the embedded data sets."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks import suites
from benchmarks.micro.data import datasets
from harness.protocols import Judge
from harness.records import Score
from tests.benchmarks.vqa.native_reference import AGGREGATES
from tests.servers import Reply, Request, ScriptedServer

JUDGED = ("mathvista", "mathverse", "phyx", "olympiadbench_physics")
KEY = "judge-key"


def verdict(request: Request) -> str:
    """Judge as a plain function of the prompt: extract for MathVista, else decide by a hash."""
    text = request.text
    if text.endswith("Extracted answer: "):
        answer = text.rsplit("\n\n", 2)[-2]
        found = re.findall(r"\[.*?\]|\d+(?:\.\d+)?|\b[A-E]\b|[a-z]+", answer)
        return found[-1] if found else "none"
    right = zlib.crc32(text.encode()) % 2 == 1
    if 'Return only "Yes"' in text:
        return "Yes" if right else "No"
    return "1" if right else "0"


def values(scores: Mapping[str, Score]) -> dict[str, float | None]:
    return {item_id: score.value for item_id, score in scores.items()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    datasets.write(folder)
    return folder


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with ScriptedServer(verdict) as server:
        yield Judge(server.url, "scripted", KEY)


@pytest.fixture(scope="module")
def reference(root: Path, judge: Judge, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("reference")
    variables = {
        "OPENAI_API_URL": f"{judge.url}/v1",
        "OPENAI_API_KEY": judge.api_key,
        "MODEL_VERSION": judge.model,
        "Deepseek_API": judge.api_key,
        "HF_HOME": str(folder),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    out = folder / "reference.json"
    subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.vqa.native_reference", str(root), str(out)],
        env={**os.environ, **variables},
        cwd=folder,
        check=True,
        timeout=500,
    )
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def native(root: Path, judge: Judge, reference: dict[str, Any]) -> dict[str, Any]:
    """Return the values of every benchmark, from one child."""
    return {
        name: values(suites.benchmark(name, root).native(found["answers"], judge))
        for name, found in reference.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", AGGREGATES)
def test_equals_simple_evaluate_item_by_item(
    name: str, native: dict[str, Any], reference: dict[str, Any]
) -> None:
    assert native[name] == reference[name]["values"]
    assert {0.0, 1.0} == set(native[name].values())


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, rule in AGGREGATES.items() if rule])
def test_means_are_the_aggregates_of_simple_evaluate(
    name: str, native: dict[str, Any], reference: dict[str, Any]
) -> None:
    for task in reference[name]["aggregates"]:
        values = [native[name][item_id] for item_id in task["ids"]]
        assert sum(values) / len(values) == pytest.approx(task["mean"], abs=1e-4)


@pytest.mark.slow
def test_every_form_and_subtask_was_compared(reference: dict[str, Any]) -> None:
    assert len(reference["blink"]["aggregates"]) == 14
    assert len(reference["mmmu_pro"]["aggregates"]) == 2
    assert all(len(found["values"]) >= 24 for found in reference.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", JUDGED)
def test_without_a_judge_there_is_no_value_where_one_is_asked(
    name: str, root: Path, reference: dict[str, Any]
) -> None:
    found = reference[name]
    found_values = values(suites.benchmark(name, root).native(found["answers"], None))
    scored = {item_id: value for item_id, value in found_values.items() if value is not None}
    # lmms-eval itself asks no judge on exact choices and bare numbers: these keep its value.
    assert scored.items() <= found["values"].items()
    assert len(scored) < len(found_values)
    if name in ("mathverse", "olympiadbench_physics"):
        assert not scored


@pytest.mark.slow
def test_a_judge_that_fails_gives_no_value(root: Path, reference: dict[str, Any]) -> None:
    answers = {"1": "I think that it is red, but it may be blue.", "2": "3"}
    with ScriptedServer(lambda _: Reply("no such model", status=404)) as server:
        judge = Judge(server.url, "absent", KEY)
        found = suites.benchmark("mathvista", root).native(answers, judge)
        asked = len(server.requests)
    assert (found["1"].value, found["1"].why) == (None, "the judge did not answer")
    assert found["2"].value is not None
    assert asked > 0


@pytest.mark.slow
def test_the_judge_is_asked_by_its_name_with_its_key(root: Path) -> None:
    with ScriptedServer(lambda _: "1", api_key="secret of the judge") as server:
        judge = Judge(server.url, "the judge", "secret of the judge")
        for name, item_id in (("phyx", "1"), ("mathverse", "1")):
            answers = {item_id: "It is rather hard to tell."}
            scores = suites.benchmark(name, root).native(answers, judge)
            assert values(scores) == {item_id: 1.0}
        assert {request.body["model"] for request in server.requests} == {"the judge"}
