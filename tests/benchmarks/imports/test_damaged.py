"""Damaged, partial and repeated logs: one line or a note, and never another number."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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

    def parts(other: float | None) -> list[LoggedSample]:
        """Five answers, three of them near and two far; of the first, ``other`` is said of far."""
        near = [LoggedSample(f"n{n}", scores={"near": 1, "far": None, "all": 1}) for n in range(2)]
        far = [LoggedSample(f"f{n}", scores={"near": None, "far": 0, "all": 0}) for n in range(2)]
        return [LoggedSample("n", scores={"near": 1, "far": other, "all": 1}), *near, *far]

    task = LoggedTask("v", lambda: iter([*samples, LoggedSample("failed")]), metrics)
    assert metric_of(task, None) == "all"
    assert metric_of(replace(task, samples=lambda: iter(parts(None))), None) == "all"
    assert metric_of(replace(task, samples=lambda: iter(parts(2.0))), None) == "near"
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
    assert [each.shares_score for each in (first, *others)] == [False, True, True]
    assert list(answers_of(sample, [["-0.26", "False"]])) == [sample]


def test_several_responses_with_one_score_are_one_answer(tmp_path: Path) -> None:
    """The mean is that of the scores in the log, and no answer is left without one."""
    kind, name = "lmms-eval/model-3", "*_samples_vstar_bench.jsonl"
    before = imported(LOGS / kind, tmp_path / "before")[0]["vstar_bench"]
    log = with_rows(
        kind, name, tmp_path, lambda rows: [{**row, "resps": [["A", "B", "C"]]} for row in rows]
    )
    rows, notes = imported(log, tmp_path / "after")
    assert rows["vstar_bench"] == before
    left = f"vstar_bench: {2 * before[1]} of its answers: left out, since the log has one score"
    assert any(note.startswith(left) for note in notes)


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
    # An id of the data tells the item; a number that the tool may have given does not.
    assert found(official=("1",), image="converted") == ("1", "")
    for image in ("converted", ""):
        item, why = found(official=("1",), image=image, numbered=True)
        assert item is None
        assert "a number that the tool gave" in why
    assert found(official=("1",), image="00", numbered=True) == ("0", "")
    assert found(image="22") == ("2", "")
    assert found() == (None, "several items have that question")
    assert found(image="converted") == (None, "several items have that question")


def asking(*texts: str, above: str = "Question: ", below: str = "\nOnly the letter.") -> Items:
    """Return items with the given questions, one image each."""
    messages = [(Message("user", (TextPart(f"{above}{text}{below}"),)),) for text in texts]
    items = [Item(str(n), each, "A", f"images-{n}", ()) for n, each in enumerate(messages)]
    return Items(Asked(items))  # type: ignore[arg-type]


TEMPLATE = "Think step by step; the last line is 'ANSWER: X'.\n\n{}\nAnswer with the letter."


def test_a_question_in_the_template_of_a_tool_is_found() -> None:
    """EvalScope asks V* in words of its own, before and after the question of the data."""
    options = [["red", "blue"], ["red", "lime"], ["teal", "grey"], ["pink", "black"]]
    asked = [f"What colour is the bus?\nA. {a}\nB. {b}" for a, b in options]
    items = asking(*asked)

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


def listed(*options: str) -> str:
    lines = [f"{letter}. {text}" for letter, text in zip("ABCDEF", options, strict=False)]
    return "\n".join(["What colour is the bus?", *lines])


@pytest.mark.parametrize(
    "logged",
    [
        listed("blue", "red"),
        listed("red", "blue", "lime"),
        listed("red"),
        listed("infrared", "blue"),
        listed("red", "blueish"),
        listed("red", "blue and lime"),
        listed("lime", "red", "blue"),
        listed("red", "blue").replace("A.", "B.", 1).replace("B. blue", "A. blue"),
        f"{listed('red', 'blue')}\n\n{listed('pink', 'grey')}",  # an example, then the question
        "What colour is the bus?\nA. blue B. red",
        "What colour is the bus? A. red B. blue C. lime",
    ],
)
@pytest.mark.parametrize("given", [{}, {"official": ("0",)}, {"question": "in the log"}])
def test_other_options_are_another_question(logged: str, given: dict[str, Any]) -> None:
    """Whatever id the log gives, and whether our template or only the question is around it."""
    given = given | ({"question": "What colour is the bus?"} if "question" in given else {})
    own = listed("red", "blue")
    for items in (asking(own, listed("teal", "tan")), asking(own, listed("teal", "tan"), below="")):
        for prompt in (TEMPLATE.format(logged), logged):
            assert items.find("bus", LoggedSample("x", prompt=(prompt,), **given))[0] is None
            same = (prompt.replace(logged, own),)
            assert items.find("bus", LoggedSample("x", prompt=same, **given)) == ("0", "")


INLINE = "What colour is the bus?\nOptions: A: red, B: blue"


@pytest.mark.parametrize("own", [INLINE, listed("red", "blue")])
def test_options_in_one_line_are_those_on_lines_of_their_own(own: str) -> None:
    items = asking(own, INLINE.replace("red", "teal"))
    same = (listed("red", "blue"), "What colour is the bus? (A) red (B) blue", INLINE)
    others = (
        listed("blue", "red"),
        listed("red", "blue", "lime"),
        "What colour is the bus? A. blue B. red",
        "What colour is the bus? A. red B. blue C. lime",
        "What colour is the bus? A. infrared B. blue",
        INLINE.replace("red", "blue").replace("B: blue", "B: red"),
    )
    asked = "What colour is the bus?"
    for logged, expected in [*((text, "0") for text in same), *((text, None) for text in others)]:
        for given in ({}, {"official": ("0",)}, {"official": ("0",), "question": asked}):
            sample = LoggedSample("x", prompt=(TEMPLATE.format(logged),), **given)
            assert items.find("bus", sample)[0] == expected


def test_another_question_before_the_same_options_is_another_one() -> None:
    own = listed("red", "blue")
    items = asking(own, listed("teal", "tan"))
    others = (own.replace("What", "Of what"), "A. red\nB. blue\nWhat colour is the bus?")
    for logged in others:
        for given in ({}, {"official": ("0",)}):
            sample = LoggedSample("x", prompt=(TEMPLATE.format(logged),), **given)
            assert items.find("bus", sample)[0] is None


def test_options_that_are_images_are_as_many() -> None:
    own = listed("<image 1>", "<image 2>").replace("<image 1>", "<image>", 1)
    items = asking(own, listed("teal", "tan"))
    more = f"{own}\nC. <image>"
    for logged, expected in ((own, "0"), (own.replace(" <image>", ""), "0"), (more, None)):
        sample = LoggedSample("x", prompt=(TEMPLATE.format(logged),), official=("0",))
        assert items.find("bus", sample)[0] == expected


def test_options_that_are_numbers_are_whole() -> None:
    items = asking(listed("1", "2", "3", "4"), listed("5", "6", "7", "8"))
    for options in (("14", "23", "9", "10"), ("1.5", "2", "3", "4"), ("4", "3", "2", "1")):
        prompt = (TEMPLATE.format(listed(*options)),)
        assert items.find("bus", LoggedSample("x", prompt=prompt, official=("0",)))[0] is None


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
