"""Damaged, partial and repeated logs: one line or a note, and never another number."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.imports.formats.every_eval_ever import metric_said
from benchmarks.imports.formats.lmms_eval import answers_of
from benchmarks.imports.log import LoggedSample, LoggedTask, Metric
from benchmarks.imports.log_runs import import_all
from benchmarks.imports.matching import Items
from benchmarks.imports.options import Options
from benchmarks.imports.reading import field
from benchmarks.imports.scales import metric_of
from harness.errors import UsageError
from harness.records import Item, Message, TextPart
from tests.benchmarks.imports.reading import LOGS

Rows = list[dict[str, Any]]


def imported(path: Path, out: Path) -> tuple[dict[str, tuple[float | None, int, int]], list[str]]:
    """Import a log of one run; return score, answers and those without a score, and the notes."""
    notes: list[str] = []
    _, runs = import_all([path], None, Options(out=out, source_scores=True), notes.append)
    rows = [row for run in runs for row in run.rows]
    return {row.benchmark: (row.strict, row.answers, row.unscored) for row in rows}, notes


def with_rows(kind: str, name: str, out: Path, change: Callable[[Rows], Rows]) -> Path:
    """Copy a recorded log with the rows of one of its files changed."""
    shutil.copytree(LOGS / kind, out / "log")
    (path,) = (out / "log").rglob(name)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in change(rows)))
    return out / "log"


def test_an_answer_without_a_number_does_not_change_the_metric(tmp_path: Path) -> None:
    """Of 12 sums seven are right by the first filter, the first one among them."""

    def unscored(rows: Rows) -> Rows:
        for row in rows[:1]:
            row["exact_match"] = None
        return rows

    log = with_rows("lm-eval/model-3", "samples_*.jsonl", tmp_path, unscored)
    rows, notes = imported(log, tmp_path / "runs")
    assert rows["tiny_sums"] == (pytest.approx(6 / 11), 12, 1)
    assert "tiny_sums: 1 of its answers: the log gives no exact_match,strict-match" in notes


def test_a_metric_of_some_answers_only_is_not_that_of_the_task() -> None:
    """As V* in lmms-eval: every answer has the overall metric, and one of its category."""
    held = [{"near": 1.0, "all": 1.0}, {"far": 0.0, "all": 0.0}, {"near": None, "all": None}]
    samples = [LoggedSample(str(n), scores=scores) for n, scores in enumerate(held)]
    metrics = dict.fromkeys(("near", "far", "all"), Metric())
    task = LoggedTask("v", lambda: iter([*samples, LoggedSample("failed")]), metrics)
    assert metric_of(task, None) == "all"
    without = LoggedTask("v", lambda: iter(samples[2:]), metrics)
    with pytest.raises(UsageError, match="no metric has a number"):
        metric_of(without, None)


@pytest.mark.parametrize(
    ("kind", "name", "whole", "times"),
    [
        ("nemo-evaluator/base", "results.jsonl", 16, "2 to 3"),
        ("lm-eval/model-3", "samples_*.jsonl", 12, "1 to 2"),
    ],
)
def test_lines_that_are_there_twice_are_noted_and_weigh_no_more(
    kind: str, name: str, whole: int, times: str, tmp_path: Path
) -> None:
    (before,) = imported(LOGS / kind, tmp_path / "runs")[0].values()
    log = with_rows(kind, name, tmp_path, lambda rows: [*rows, rows[0]])
    rows, notes = imported(log, tmp_path / "runs")
    (after,) = rows.values()
    assert (after[0], after[1]) == (before[0], whole + 1)
    assert any(f"items have {times} answers" in note for note in notes)


def test_one_score_is_that_of_one_response() -> None:
    sample = LoggedSample("0", scores={"exact_match": 1.0})
    first, *others = answers_of(sample, [["a", "b", "c"]])
    assert (first.response and first.response.text, first.scores) == ("a", {"exact_match": 1.0})
    assert [each.scores for each in others] == [{}, {}]
    assert list(answers_of(sample, [["-0.26", "False"]])) == [sample]


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("inspect", "*T08-06-39*.eval", "is not a whole ZIP file"),
        ("inspect-json", "*T08-16-05*.json", "cannot be read as JSON"),
        ("vlmevalkit", "base_Arith.xlsx", "cannot be read as a table"),
    ],
)
def test_a_damaged_log_among_others_is_not_passed_over(
    kind: str, name: str, words: str, tmp_path: Path
) -> None:
    shutil.copytree(LOGS / kind, tmp_path / "logs")
    (path,) = (tmp_path / "logs").rglob(name)
    whole = path.read_bytes()
    for damaged in (b"", whole[:40], whole.decode("latin1").encode("utf-16")[:999]):
        path.write_bytes(damaged)
        with pytest.raises(UsageError, match=words):
            imported(tmp_path / "logs", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_reviews_that_are_missing_are_noted(tmp_path: Path) -> None:
    shutil.copytree(LOGS / "evalscope" / "base", tmp_path / "log")
    (tmp_path / "log/reviews/base/general_qa_arith.jsonl").unlink()
    rows, notes = imported(tmp_path / "log", tmp_path / "runs")
    assert set(rows) == {"general_mcq"}
    assert "general_qa: the log has no reviews of it, only its score" in notes


def test_truth_values_are_no_numbers_of_items() -> None:
    assert field({"id": 0}, "id", (int, str), "line 1") == 0
    assert field({"right": True}, "right", (int, bool), "line 1") is True
    with pytest.raises(UsageError, match="'id' is bool"):
        field({"id": True}, "id", (int, str), "line 1")


@dataclass(frozen=True)
class Asked:
    """Items by their question and image."""

    items: Sequence[Item]

    def ids(self) -> list[str]:
        return [item.id for item in self.items]

    def build(self, item_id: str) -> Item:
        return next(item for item in self.items if item.id == item_id)


def test_an_item_is_that_of_the_image_whatever_number_the_tool_gave() -> None:
    """Three items ask the same; a tool that counts from 1 names the second one "1"."""
    question = (Message("user", (TextPart("What colour is the car?"),)),)
    items = Items(Asked([Item(str(n), question, "A", f"images-{n}{n}", ()) for n in range(3)]))  # type: ignore[arg-type]
    text = "What colour is the car?"

    def found(**given: Any) -> tuple[str | None, str]:
        return items.find("cars", LoggedSample("x", question=text, **given))

    assert found(official=("1",), image="11") == ("1", "")
    assert found(official=("1",), image="00") == ("0", "")
    assert found(official=("1",)) == ("1", "")
    assert found(official=("1",), image="converted") == ("1", "")
    assert found(image="22") == ("2", "")
    assert found() == (None, "several items have that question")
    assert found(image="converted") == (None, "several items have that question")


TEMPLATE = "Think step by step; the last line is 'ANSWER: X'.\n\n{}\nAnswer with the letter."


def test_a_question_in_the_template_of_a_tool_is_found() -> None:
    """EvalScope asks V* in words of its own, before and after the question of the data."""
    options = [["red", "blue"], ["red", "lime"], ["teal", "grey"], ["pink", "black"]]
    asked = [f"What colour is the bus?\nA. {a}\nB. {b}" for a, b in options]
    messages = [
        (Message("user", (TextPart(f"Question: {text}\nOnly the letter, please."),)),)
        for text in asked
    ]
    items = Items(
        Asked([Item(str(n), each, "A", f"images-{n}", ()) for n, each in enumerate(messages)])  # type: ignore[arg-type]
    )

    def found(text: str, **given: Any) -> tuple[str | None, str]:
        return items.find("bus", LoggedSample("x", prompt=(TEMPLATE.format(text),), **given))

    for number, text in enumerate(asked):
        assert found(text) == (str(number), "")
        assert found(text.replace("A. ", "(A) ")) == (str(number), "")
        assert found(text, official=(str(number),)) == (str(number), "")
    # An id whose item says something else is not believed.
    assert found(asked[1], official=("2",)) == ("1", "")
    assert found("What colour is the car?\nA. red\nB. blue") == (
        None, "no item has that id or question"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("score", "high", "values", "bounds"),
    [
        (0.5, 1.0, [0.0, 1.0], (0.0, 1.0)),
        (50.0, 100.0, [0.0, 100.0], (0.0, 100.0)),
        (50.0, 100.0, [0.0, 1.0], (None, None)),
        (0.4, 100.0, [1.0] + [0.0] * 249, (None, None)),  # 0.4 %, and shares
    ],
)
def test_bounds_of_an_aggregate_in_percent_are_not_those_of_shares(
    score: float, high: float, values: list[float], bounds: tuple[float | None, float | None]
) -> None:
    declared = {"min_score": 0.0, "max_score": high}
    metric = metric_said({"metric_config": declared, "score_details": {"score": score}}, values)
    assert (metric.low, metric.high) == bounds
