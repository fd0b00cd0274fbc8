"""Responses that exist already: which items they belong to, scored without a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import suites
from benchmarks.cli.score import read_responses
from harness.cli.tables import sample_text
from harness.errors import UsageError
from harness.records import Item
from harness.runs import run as runs
from harness.runs.lookup import find
from harness.runs.todo import Settings
from tests.commands import harness, one_line
from tests.harness.runs.test_run import planned
from tests.sums import Adder, Quiet, Sums


def test_only_items_with_a_response_are_built_and_scored(tmp_path: Path) -> None:
    sums = Sums(broken=frozenset({5}))
    plan = planned(tmp_path, sums, responses={"s5": "40", "s3": "24"})
    (row,) = runs.execute(plan, None, {"kind": "responses"}, Quiet())
    assert (sorted(sums.seen), row.n, row.errors, row.strict) == (["s3", "s5"], 2, 1, 1.0)


def test_only_what_is_known_of_a_response_is_shown(tmp_path: Path) -> None:
    plan = planned(tmp_path, responses={"s5": "40"})
    runs.execute(plan, None, {"kind": "responses"}, Quiet())
    asked = planned(tmp_path / "asked", limit=6)
    runs.execute(asked, Adder().open, {"kind": "test"}, Quiet())
    scored, answered = (sample_text(find(each.path, "s5")[0]) for each in (plan, asked))
    for text in (scored, answered):
        assert "None tokens" not in text
        assert "\njudged" not in text
    assert "tokens" not in scored
    assert "finish reason" not in scored
    assert "--- 1 token, finish reason stop, 0.0" in answered


def test_a_limit_takes_the_first_that_have_a_response(tmp_path: Path) -> None:
    responses = {"s9": "72", "s5": "40", "s3": "24"}
    assert Settings(responses=responses).ids(Sums()) == ["s3", "s5", "s9"]
    sums = Sums()
    plan = planned(tmp_path, sums, responses=responses, limit=2)
    runs.execute(plan, None, {"kind": "responses"}, Quiet())
    assert sums.seen == ["s3", "s5"]


def test_a_response_to_no_item_is_said_before_any_is_built(tmp_path: Path) -> None:
    sums = Sums()
    plan = planned(tmp_path, sums, responses={"s3": "24", "nobody": "1", "nothing": "2"})
    with pytest.raises(UsageError, match=r"2 responses match no item of sums .*: nobody"):
        runs.execute(plan, None, {"kind": "responses"}, Quiet())
    assert sums.seen == []
    assert not plan.path.exists()  # a run that holds nothing is none


def test_what_somebody_keeps_in_a_folder_stays_when_a_run_is_refused(tmp_path: Path) -> None:
    plan = planned(tmp_path, responses={"nobody": "1"})
    plan.path.mkdir(parents=True)
    (plan.path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="1 response matches no item of sums"):
        runs.execute(plan, None, {"kind": "responses"}, Quiet())
    assert (plan.path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"response": "1"}', "it has no 'id'$"),
        ("{", "not JSON"),
        ("[1]", "not a JSON object$"),
        ("[" * 200_000, "nested too deeply"),
    ],
)
def test_a_wrong_line_is_said_in_words(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "responses.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UsageError, match=says) as error:
        read_responses(path)
    assert "line 1 is not" in str(error.value)
    assert "\n" not in str(error.value)


def test_reasoning_tags_decide_the_score_and_not_the_run(micro_data: Path, tmp_path: Path) -> None:
    (item, *_) = suites.benchmark("vstar", micro_data, images=False).ids()
    right = suites.benchmark("vstar", micro_data, images=False).build(item)
    assert isinstance(right, Item)
    letter = right.target.answer
    wrong = "A" if letter != "A" else "B"
    text = f"<plan>It is {wrong}.</plan>\n\nThe answer is {letter}.\n<plan>The answer is {wrong}."
    file = tmp_path / "responses.jsonl"
    file.write_text(json.dumps({"id": item, "response": text}) + "\n")
    score = ["score", "vstar", file, "--data-root", micro_data, "--out", tmp_path, "--json"]
    tags = ["--reasoning-tags", "<plan>,</plan>"]
    values, folders, recorded = [], set(), []
    for options in ([], tags, []):
        document = json.loads(harness(*score, "--no-native", *options).stdout)
        (row,) = document["benchmarks"][0]["items"]
        values.append(row["value"])
        folders.add(document["run"])
        manifest = json.loads((Path(document["run"]) / "manifest.json").read_text())
        recorded.append(manifest["reasoning_tags"])
    assert values[1] == 1.0
    assert values[0] == values[2] == 0.0
    assert len(folders) == 1
    assert recorded == [[], [["<plan>", "</plan>"]], []]
    for bad in ("<plan>", "a,b,c", ",</plan>"):
        one_line(harness(*score, "--reasoning-tags", bad), "is not OPEN,CLOSE")
