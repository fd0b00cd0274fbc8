"""The twelve adapters against lmms-eval's own task objects, offline and without any key."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks import data, suites
from benchmarks.scoring import Target, score
from harness.files.typed_json import record
from tests.benchmarks.vqa import adapters_dump as dump

pytestmark = pytest.mark.slow  # lmms-eval runs in whole

ROOT = Path(__file__).parents[3]
MATHVISION = ROOT.parent / "shared" / "data" / "mathvision"
TWELVE = suites.SUITES["vqa12"]
ODD = ("mathverse", "mmstar")
KINDS = ("vstar", "phyx", "mme_realworld_lite")
KEYS = {"OPENAI_API_KEY": "x", "Deepseek_API": "x"}


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data roots: the embedded data, a damaged copy, and real MathVision items."""
    from benchmarks.micro.data.datasets import write

    folder = tmp_path_factory.mktemp("homes")
    write(folder / "micro")
    for benchmark_id in TWELVE:
        dump.damage(folder / "micro", benchmark_id, folder / "damaged")
    for benchmark_id in ODD:
        dump.damage(folder / "micro", benchmark_id, folder / "odd", dump.forget_answer)
    for benchmark_id in KINDS:
        dump.damage(folder / "micro", benchmark_id, folder / "kinds", dump.every_kind_of_image)
    if MATHVISION.is_dir():
        _real_mathvision(folder / "real" / "mathvision")
    return folder


def _real_mathvision(folder: Path) -> None:
    from datasets import Dataset, DatasetDict, Image

    lines = (MATHVISION / "testmini.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    rows = [{**row, "decoded_image": str(MATHVISION / row["image"])} for row in rows]
    table = Dataset.from_list(rows).cast_column("decoded_image", Image())
    DatasetDict(testmini=table).save_to_disk(str(folder))


def _dump(mode: str, homes: Path, extra: dict[str, str]) -> dict[str, Any]:
    out = homes.parent / f"{homes.name}-{mode}.json"
    home = homes.parent / f"{homes.name}-home"
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "HF_HUB_OFFLINE": "1", **extra}
    environment |= {"OMP_NUM_THREADS": "2"}
    module = "tests.benchmarks.vqa.adapters_dump"
    done = subprocess.run(
        [sys.executable, "-m", module, mode, str(homes), str(out)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {"stderr": done.stderr, "stdout": done.stdout, **json.loads(out.read_text())}


@pytest.fixture(scope="module")
def ours(homes: Path) -> dict[str, Any]:
    return _dump("ours", homes, {})


@pytest.fixture(scope="module")
def lmms(homes: Path) -> dict[str, Any]:
    return _dump("lmms", homes, KEYS)


def test_prepared_items_equal_items_that_are_built_directly(ours: dict[str, Any]) -> None:
    for home in ("micro", "damaged", "odd", "kinds"):
        assert [unlike for dumped in ours[home].values() for unlike in dumped["unlike"]] == []
    assert len(ours["micro"]) == 12
    assert all(not dumped["failed"] for dumped in ours["kinds"].values())


def _turns(reference: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return (config, document) in the order that forms take turns in."""
    tables = [(config, table["docs"]) for config, table in reference.items()]
    longest = max(len(docs) for _, docs in tables)
    return [(c, docs[row]) for row in range(longest) for c, docs in tables if row < len(docs)]


def _content(item: dict[str, Any], kind: str) -> list[str]:
    return [value for _, parts in item["messages"] for name, value in parts if name == kind]


def _pairs(ours: dict[str, Any], lmms: dict[str, Any], benchmark_id: str) -> list[Any]:
    items, turns = ours["micro"][benchmark_id]["items"], _turns(lmms["micro"][benchmark_id])
    assert len(items) == len(turns) >= 24
    return list(zip(items, turns, strict=True))


def test_no_key_is_left_and_nothing_is_printed(ours: dict[str, Any]) -> None:
    assert not [name for name in ours["environment"] if "API" in name or "KEY" in name]
    assert ours["stdout"] == ""
    assert "DEBUG" not in ours["stderr"]
    assert "INFO" not in ours["stderr"]


@pytest.mark.parametrize("benchmark_id", TWELVE)
def test_messages_are_those_of_lmms_eval(
    ours: dict[str, Any], lmms: dict[str, Any], benchmark_id: str
) -> None:
    for item, (_, reference) in _pairs(ours, lmms, benchmark_id):
        context = reference["doc"].get("context")
        if benchmark_id == "mmmu" and not _in_order(reference["text"]):
            continue  # see test_mmmu_images_stand_where_they_are_mentioned
        if benchmark_id == "olympiadbench_physics" and context:
            # The official evaluation's order; lmms-eval leaves the context out.
            question = reference["doc"]["question"]
            asked = reference["text"].replace(question, f"{context}\n{question}", 1)
            assert _content(item, "text") == [asked]
        else:
            assert item["messages"] == reference["messages"]
        if benchmark_id != "mmmu":  # whose images stand in the text
            assert _content(item, "image") == reference["visuals"]
            assert context or "".join(_content(item, "text")) == reference["text"]


def _in_order(text: str) -> bool:
    numbers = re.findall(r"<image (\d+)>", text)
    return numbers == [str(n) for n in range(1, len(numbers) + 1)]


def test_mmmu_images_stand_where_they_are_mentioned(
    ours: dict[str, Any], lmms: dict[str, Any]
) -> None:
    # lmms-eval shows images in the order of their numbers whatever place the text gives them:
    # with options "A. <image 4>", "B. <image 1>" the gold letter is then wrong.
    swapped = 0
    for item, (_, reference) in _pairs(ours, lmms, "mmmu"):
        numbers = re.findall(r"<image (\d+)>", reference["text"])
        by_number = dict(zip(sorted(numbers), reference["visuals"], strict=True))
        assert _content(item, "image") == [by_number[number] for number in numbers]
        swapped += numbers != sorted(numbers)
    assert swapped


@pytest.mark.parametrize("benchmark_id", TWELVE)
def test_prompts_carry_every_option(ours: dict[str, Any], benchmark_id: str) -> None:
    for item in ours["micro"][benchmark_id]["items"]:
        in_the_image = item["id"].startswith("vision:") or item["parts"] == ["Vision Only"]
        if not in_the_image:
            text = "".join(_content(item, "text"))
            shown = [option for option in item["target"]["choices"] if "<image" not in option]
            assert all(option in text for option in shown)
        if item["target"]["kind"] == "choice":
            assert all(item["target"]["choices"])


def _gold(benchmark_id: str, doc: dict[str, Any], gold: Any) -> str:
    """Return the right answer as the data set's own fields say it, in the target's spelling."""
    if benchmark_id == "mathvista" and doc["question_type"] == "multi_choice":
        return "ABCDEFGH"[doc["choices"].index(gold)]
    if benchmark_id == "olympiadbench_physics":
        return ",".join(doc["final_answer"])
    if benchmark_id in ("blink", "mathverse"):
        return str(gold).strip("()")
    return str(gold)


@pytest.mark.parametrize("benchmark_id", TWELVE)
def test_targets_are_the_data_sets_golds(
    ours: dict[str, Any], lmms: dict[str, Any], benchmark_id: str
) -> None:
    for item, (_, reference) in _pairs(ours, lmms, benchmark_id):
        right = _gold(benchmark_id, reference["doc"], reference["gold"])
        target = record(Target, item["target"])
        if target.alternatives:
            assert repr([target.answer, *target.alternatives]) == right
        else:
            assert target.answer == right
        if target.kind == "choice":
            assert score(f"The answer is ({right}).", target).value == 1.0
            wrong = "B" if right == "A" else "A"
            assert score(f"The answer is ({wrong}).", target).value == 0.0


def test_targets_carry_what_the_official_graders_use(
    ours: dict[str, Any], lmms: dict[str, Any]
) -> None:
    for item, (_, reference) in _pairs(ours, lmms, "mathvista"):
        target, doc = item["target"], reference["doc"]
        assert target["unit"] == (doc["unit"] or None)
        if doc["answer_type"] == "float":
            assert target["precision"] == int(doc["precision"])
    for item, (_, reference) in _pairs(ours, lmms, "olympiadbench_physics"):
        target, doc = item["target"], reference["doc"]
        error = doc["error"] if "Tuple" not in doc["answer_type"] else None
        assert target["tolerance"] == (float(error) if error else None)
        assert (target["unit"], target["answer_type"]) == (doc["unit"], doc["answer_type"])


@pytest.mark.parametrize("benchmark_id", TWELVE)
def test_an_undecodable_image_costs_only_itself(ours: dict[str, Any], benchmark_id: str) -> None:
    whole, damaged = ours["micro"][benchmark_id], ours["damaged"][benchmark_id]
    assert damaged["order"] == whole["order"]
    ((item_id, reason),) = damaged["failed"].items()
    forms = len(dump.TASKS[benchmark_id])
    assert item_id == whole["order"][forms]  # the second row of the first form
    assert "does not decode" in reason
    rest = [item for item in whole["items"] if item["id"] != item_id]
    assert damaged["items"] == rest
    assert len(damaged["texts"]) == len(whole["texts"])  # no image is decoded there


@pytest.mark.parametrize("benchmark_id", ODD)
def test_a_row_without_an_answer_costs_only_itself(ours: dict[str, Any], benchmark_id: str) -> None:
    whole, odd = ours["micro"][benchmark_id], ours["odd"][benchmark_id]
    ((item_id, reason),) = odd["failed"].items()
    assert item_id == whole["order"][1]
    assert "AttributeError" in reason
    assert odd["items"] == [item for item in whole["items"] if item["id"] != item_id]


@pytest.mark.parametrize("benchmark_id", TWELVE)
def test_ids_clusters_and_counts(ours: dict[str, Any], benchmark_id: str) -> None:
    dumped = ours["micro"][benchmark_id]
    ids = dumped["order"]
    assert len(set(ids)) == len(ids) == dumped["count"]
    assert [[item["id"], item["cluster"]] for item in dumped["items"]] == [
        [item_id, cluster] for item_id, cluster, _ in dumped["texts"]
    ]


@pytest.mark.parametrize("benchmark_id", TWELVE)
def test_ids_name_all_items_in_order(ours: dict[str, Any], benchmark_id: str) -> None:
    for world in ("micro", "damaged"):
        dumped = ours[world][benchmark_id]
        assert dumped["order"] == dumped["built"]
        assert len(set(dumped["order"])) == dumped["count"]


def test_a_missing_split_is_a_usage_error(ours: dict[str, Any]) -> None:
    assert "the data of mmstar has no rows in split 'val'" in ours["no rows"]


def test_official_ids(ours: dict[str, Any], lmms: dict[str, Any]) -> None:
    columns = {
        **{"mathvista": "pid", "mathverse": "sample_index", "mathvision": "id", "mmmu": "id"},
        **{"mmstar": "index", "blink": "idx", "phyx": "index", "olympiadbench_physics": "id"},
        **{"mme_realworld_lite": "index"},
    }
    for benchmark_id, column in columns.items():
        for item, (_, reference) in _pairs(ours, lmms, benchmark_id):
            assert item["id"] == str(reference["doc"][column])


def test_forms_of_a_problem_share_a_cluster_and_take_turns(
    ours: dict[str, Any], lmms: dict[str, Any]
) -> None:
    for item, (config, reference) in _pairs(ours, lmms, "mmmu_pro"):
        form = "vision" if config == "vision" else "standard"
        assert item["id"] == f"{form}:{reference['doc']['id']}"
        assert item["parts"] == [form]
        assert item["cluster"] == reference["doc"]["id"]
    for item, (_, reference) in _pairs(ours, lmms, "mathverse"):
        assert item["cluster"] == f"problem-{reference['doc']['problem_index']}"
    subtasks = [item["parts"][0] for item in ours["micro"]["blink"]["items"][:14]]
    assert subtasks == list(dump.TASKS["blink"])


def test_items_that_show_one_image_share_a_cluster(ours: dict[str, Any]) -> None:
    for benchmark_id in ("phyx", "scienceqa", "vstar", "mmstar", "mme_realworld_lite"):
        items = ours["micro"][benchmark_id]["items"]
        by_cluster: dict[str, set[str]] = {}
        for item in items:
            by_cluster.setdefault(item["cluster"], set()).update(_content(item, "image"))
        assert all(len(images) == 1 for images in by_cluster.values())
        assert len(by_cluster) == len({_content(item, "image")[0] for item in items})


def test_several_images_are_there_to_be_ordered(ours: dict[str, Any]) -> None:
    for benchmark_id in ("blink", "mmmu", "mmmu_pro"):
        items = ours["micro"][benchmark_id]["items"]
        assert any(len(set(_content(item, "image"))) > 2 for item in items)


@pytest.mark.parametrize("benchmark_id", TWELVE)
def test_declarations_agree_with_the_wrapped_task(
    ours: dict[str, Any], lmms: dict[str, Any], benchmark_id: str
) -> None:
    declared = ours["micro"][benchmark_id]["declaration"]
    tasks = lmms["micro"][benchmark_id]
    for settings in tasks.values():
        # 4096 is what lmms-eval's vllm model takes where a task sets no limit.
        limit = settings["generation"].get("max_new_tokens", 4096)
        assert declared["native_max_tokens"] == limit
    assert declared["max_tokens"] >= max(8192, declared["native_max_tokens"])
    assert declared["protocol"]["tasks"] == list(dump.TASKS[benchmark_id].values())
    tables = data.source(benchmark_id).tables
    required = [table for table in tables if table.role == "required"]
    assert declared["n_items"] == sum(table.count for table in required)


@pytest.mark.skipif(not MATHVISION.is_dir(), reason="the shared MathVision items are not here")
def test_real_mathvision_items(ours: dict[str, Any], lmms: dict[str, Any]) -> None:
    dumped, reference = ours["real"]["mathvision"], lmms["real"]["mathvision"][""]["docs"]
    assert dumped["count"] == len(dumped["items"]) == len(reference) == 304
    assert dumped["declaration"]["note"].startswith("testmini (304 items) stands in")
    assert dumped["declaration"]["n_items"] == 304
    for item, expected in zip(dumped["items"], reference, strict=True):
        assert item["messages"] == expected["messages"]
        assert item["target"]["answer"] == expected["gold"]
        assert tuple(item["target"]["choices"]) == tuple(expected["doc"]["options"])
        assert item["parts"] == [expected["doc"]["subject"]]
    kinds = Counter(item["target"]["kind"] for item in dumped["items"])
    assert set(kinds) == {"choice", "math"}
