"""Tables of questions: VLMEvalKit's columns, kinds of answers, images, and refusals with the row.

Expected prompts and references between rows: VLMEvalKit, ``vlmeval/dataset/image_base.py`` and
``image_mcq.py``.
"""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from benchmarks import suites
from benchmarks.own.contract import problems
from benchmarks.own.questions import placed
from benchmarks.own.rows import open_rows
from benchmarks.own.table import TableBenchmark, table_benchmark
from harness.errors import UsageError
from harness.protocols import FailedItem, Tools
from harness.records import ImagePart, Item, Response


def png(colour: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (9, 9), colour).save(stream, "PNG")
    return stream.getvalue()


def b64(colour: str) -> str:
    return base64.b64encode(png(colour)).decode()


def tsv(path: Path, *rows: Sequence[str]) -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream, delimiter="\t").writerows(rows)
    return path


def jsonl(path: Path, *rows: Mapping[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def opened(path: Path, **options: Any) -> TableBenchmark:
    return table_benchmark(path)(path.parent, **options)


def item(benchmark: TableBenchmark, name: str) -> Item:
    built = benchmark.build(name)
    assert isinstance(built, Item), built
    return built


def colours(built: Item) -> list[tuple[int, ...]]:
    content = built.messages[0].content
    return [part.image.getpixel((0, 0)) for part in content if isinstance(part, ImagePart)]  # type: ignore[misc]


RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_a_cluster_may_be_the_number_0(tmp_path: Path) -> None:
    rows = [{"question": "What?", "answer": "yes", "cluster": cluster} for cluster in (0, 0, 1)]
    benchmark = opened(jsonl(tmp_path / "rows.jsonl", *rows))
    assert [item(benchmark, name).cluster for name in benchmark.ids()] == ["0", "0", "1"]


def test_vlmevalkit_s_tsv_is_read_as_it_is(tmp_path: Path) -> None:
    path = tsv(
        tmp_path / "bench.tsv",
        ("index", "image", "question", "hint", "A", "B", "C", "answer", "category", "l2-category"),
        ("1", b64("red"), "What?", "Look.", "red", "", "None", "C", "colour", "percept"),
        ("20", "1", 'A "quoted"\nquestion', "", "x", "y", "", "B", "colour", "reason"),
        ("3", str([b64("red"), b64("blue")]), "Compare.", "", "", "", "", "red", "", ""),
    )
    benchmark = opened(path)
    assert benchmark.declaration.id == "bench"
    assert list(benchmark.ids()) == ["1", "20", "3"]
    first, second, third = (item(benchmark, name) for name in benchmark.ids())
    assert first.messages[0].render() == (
        "<image 9x9>Hint: Look.\nQuestion: What?\nOptions:\nA. red\nC. None\n"
        "Please select the correct answer from the options above."
    )
    assert (first.target.kind, first.target.answer, first.target.choices) == (
        "choice", "C", ("red", "", "None"),
    )  # fmt: skip
    assert first.parts == ("colour", "percept")
    assert [colours(each) for each in (first, second, third)] == [[RED], [RED], [RED, BLUE]]
    assert first.cluster == second.cluster != third.cluster
    assert (
        third.messages[0]
        .render()
        .endswith("Compare.\nAnswer the question using a single word or phrase.")
    )
    assert list(problems(benchmark)) == []


@pytest.mark.parametrize(
    ("row", "kind", "answer", "right", "wrong"),
    [
        ({"choices": ["red", "blue"], "answer": "blue"}, "choice", "B", "It is (B).", "A"),
        ({"options": ["red", "blue"], "answer": "A"}, "choice", "A", "red", "blue"),
        ({"A": "x", "B": "y", "C": "z", "answer": "A, C"}, "choice", "A, C", "A and C", "A"),
        ({"answer": 1200}, "number", "1200", "1,200", "120"),
        ({"answer": "40%"}, "number", "40%", "40%", "41%"),
        ({"answer": "a dog"}, "text", "a dog", "It is a dog.", "a cat"),
        ({"answer": ["car", "auto"]}, "text", "car", "auto", "bus"),
        ({"answer": "x^2+1", "kind": "math"}, "math", "x^2+1", "$1+x^2$", "$x^2$"),
        ({"answer": "A", "kind": "choice"}, "choice", "A", "The answer is A.", "B"),
        ({"answer": 3.14, "kind": "number", "tolerance": 0.01}, "number", "3.14", "3.145", "3.2"),
    ],
)
def test_the_kind_of_an_answer(
    tmp_path: Path, row: Mapping[str, Any], kind: str, answer: str, right: str, wrong: str
) -> None:
    benchmark = opened(jsonl(tmp_path / "t.jsonl", {"question": "Which?", **row}))
    built = item(benchmark, "0")
    assert (built.target.kind, built.target.answer) == (kind, answer)
    values = [
        asyncio.run(benchmark.score(built, Response(text), Tools())).value
        for text in (right, wrong)
    ]
    assert values == [1.0, 0.0]


def test_an_option_that_is_empty_keeps_its_letter(tmp_path: Path) -> None:
    rows = [
        {"id": name, "question": "?", "choices": ["x", None, "y", "z", None], "answer": answer}
        for name, answer in (("letter", "C"), ("text", "y"))
    ]
    benchmark = opened(jsonl(tmp_path / "q.jsonl", *rows))
    for name in benchmark.ids():
        built = item(benchmark, name)
        assert built.target.answer == "C"
        assert "A. x\nC. y\nD. z\n" in built.messages[0].render()


def test_columns_that_differ_in_case_alone_are_not_guessed_among(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "q.jsonl", {"question": "?", "Answer": "3", "answer": "4"})
    with pytest.raises(UsageError, match=r"two columns are called 'answer': say which with"):
        opened(path).ids()
    chosen = opened(path, columns=(("answer", "Answer"),))
    assert item(chosen, "0").target.answer == "3"
    other = {"question": "?", "Answer": None, "answer": "4", "Source": "a", "source": "b"}
    assert item(opened(jsonl(path, other)), "0").target.answer == "4"


def test_a_declared_kind_goes_before_the_column(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "t.jsonl", {"question": "Q", "answer": "12", "kind": "number"})
    assert item(opened(path), "0").target.kind == "number"
    assert item(opened(path, kind="text"), "0").target.kind == "text"
    keys = [opened(path, **each).declaration.protocol for each in ({}, {"kind": "text"})]
    assert keys[0] != keys[1]


@pytest.mark.parametrize("form", ["tsv", "csv", "jsonl", "json", "parquet"])
def test_every_form_of_table_is_the_same_benchmark(tmp_path: Path, form: str) -> None:
    """The writers are pandas' and pyarrow's own."""
    import pandas as pd

    (tmp_path / "red.png").write_bytes(png("red"))
    rows = [
        {"index": n, "image_path": "red.png", "question": asked, "A": a, "B": "y", "answer": right}
        for n, asked, a, right in ((1, "Wh\u00e4t,\n?", "x", "A"), (2, "Why?", '"x"', "B"))
    ]
    frame, path = pd.DataFrame(rows), tmp_path / f"t.{form}"
    if form in ("tsv", "csv"):
        frame.to_csv(path, sep="\t" if form == "tsv" else ",", index=False)
    elif form == "parquet":
        frame.to_parquet(path, row_group_size=1)
    else:
        frame.to_json(path, orient="records", lines=form == "jsonl")
    built = [item(opened(path), name) for name in ("2", "1")]
    assert [each.messages[0].render() for each in built] == [
        '<image 9x9>Question: Why?\nOptions:\nA. "x"\nB. y\n'
        "Please select the correct answer from the options above.",
        "<image 9x9>Question: Wh\u00e4t,\n?\nOptions:\nA. x\nB. y\n"
        "Please select the correct answer from the options above.",
    ]


def test_images_of_the_hub_s_parquet_and_data_addresses(tmp_path: Path) -> None:
    from datasets import Dataset

    pictures = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    rows = [{"image": each, "question": "Q", "answer": "x"} for each in pictures]
    Dataset.from_list(rows).to_parquet(str(tmp_path / "hub.parquet"))
    benchmark = opened(tmp_path / "hub.parquet")
    assert [colours(item(benchmark, name)) for name in benchmark.ids()] == [[RED], [BLUE]]
    row = {"question": "Q", "answer": "x", "image": f"data:image/png;base64,{b64('blue')}"}
    assert colours(item(opened(jsonl(tmp_path / "d.jsonl", row)), "0")) == [BLUE]


def test_the_fingerprint_is_of_table_and_images(tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(png("red"))
    path = jsonl(tmp_path / "t.jsonl", {"question": "Q", "answer": "x", "image": "red.png"})
    before = opened(path).fingerprint()
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in (path, tmp_path / "red.png"):
        (copy / file.name).write_bytes(file.read_bytes())
    assert opened(copy / "t.jsonl").fingerprint() == before
    (copy / "red.png").write_bytes(png("blue"))
    assert opened(copy / "t.jsonl").fingerprint() != before


def test_a_broken_image_is_an_error_of_its_item(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    path = jsonl(tmp_path / "t.jsonl", {"question": "Q", "answer": "x", "image": "bad.png"})
    assert isinstance(opened(path).build("0"), FailedItem)
    assert isinstance(opened(path, images=False).build("0"), Item)
    (problem,) = opened(path).verify(all_images=True).problems
    assert "item 0" in problem


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (Decimal("12.50"), "number", "12.50"),
        (date(2024, 2, 29), "text", "2024-02-29"),
        (True, "text", "True"),
        (7, "number", "7"),
    ],
)
def test_answers_of_a_parquet_table_count_as_they_are_written(
    tmp_path: Path, answer: Any, kind: str, text: str
) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"question": ["Q"], "answer": [answer]}), path)
    target = item(opened(path), "0").target
    assert (target.kind, target.answer) == (kind, text)


GOOD = {"question": "Q", "answer": "A", "choices": ["x", "y"]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": "../outside.png"}, "it is not in"),
        ({"image": "/etc/hostname.png"}, "it is not in"),
        ({"image_path": "link.png"}, "it is not in"),
        ({"image": "http://127.0.0.1/a.png"}, "there is no image"),
        ({"image": "gone.png"}, "there is no image"),
        ({"image": "17"}, "nor the id of a row"),
        ({"image": ["17", "18"]}, "neither a file's name nor base64"),
        ({"image": 1.5}, "not 1.5"),
        ({"image": "[__import__('os').system('true')]"}, "not a list of texts"),
        ({"answer": None}, "no answer"),
        ({"answer": {"value": 1}}, "answer is not text"),
        ({"answer": ["A", ["B"]]}, "answer is not text"),
        ({"question": None, "Frage": "?"}, "columns=question=COLUMN"),
        ({"answer": "C"}, "neither a letter, A to B"),
        ({"answer": 1}, "neither a letter"),
        ({"choices": ["B", "A"], "answer": "A"}, "the text of B"),
        ({"choices": ["x"] * 27}, "more than 26"),
        ({"question": ""}, "no question"),
        ({"question": {"a": 1}}, "question is not text"),
        ({"kind": "chioce"}, "did you mean choice"),
        ({"kind": "number", "precision": -1}, "precision is not a whole number"),
        ({"kind": "number", "precision": 2.7}, "precision is not a whole number"),
        ({"kind": "number", "precision": "2.7"}, "precision is not a whole number"),
        ({"kind": "number", "precision": True}, "precision is not a whole number"),
        ({"kind": "number", "tolerance": "x"}, "tolerance is not a number"),
        ({"kind": "number", "tolerance": 10**400}, "tolerance is not a number"),
        ({"id": "first"}, "the id 'first' is that of"),
    ],
)
def test_a_row_that_is_no_question_is_refused_by_name(
    tmp_path: Path, row: Mapping[str, Any], message: str
) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(png("red"))
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link.png").symlink_to(outside)
    path = jsonl(folder / "t.jsonl", {**GOOD, "id": "first"}, {**GOOD, "id": "second", **row})
    with pytest.raises(UsageError, match=r"t\.jsonl, line 2: ") as refusal:
        opened(path).count()
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\ta\n1\t2\n", "two columns named 'a'"),
        ("question\tanswer\nx\ty\tz\n", "line 2 has 3 cells"),
        ('question\tanswer\n"x\ty\n', "line 2"),
        ("question\tanswer\n", "holds no rows"),
        ("", "holds no rows"),
        ("question\tanswer\n\xff\ty\n", "line 2"),
    ],
)
def test_a_broken_table_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.tsv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=message):
        opened(path).count()


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=20)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_rows_come_back_in_any_order_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    """The law: what `csv` wrote is what is read, whichever row is asked for first."""
    path = tsv(tmp_path_factory.mktemp("rows") / "t.tsv", ("a", "b"), ("first", "row"), *rows)
    read = open_rows(path)
    kept = [("first", "row"), *(row for row in rows if any(row))]
    expected = [{n: cell for n, cell in zip("ab", row, strict=True) if cell} for row in kept]
    assert [read[index] for index in reversed(range(len(read)))] == expected[::-1]


@given(st.text("ab<>image 12\n", max_size=60), st.integers(0, 3))
def test_every_image_is_shown_and_no_text_is_lost(prompt: str, images: int) -> None:
    parts = placed(prompt, images)
    assert {part for part in parts if isinstance(part, int)} == set(range(images))
    assert not images or "".join(part for part in parts if isinstance(part, str)) in (
        prompt, "".join(prompt.split("<image>")),
    ) or "<image " in prompt  # fmt: skip
    if not images:
        assert "".join(map(str, parts)) == prompt


def test_suites_of_files_names_and_yaml(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "t.jsonl", GOOD)
    other = tmp_path / "other"
    other.mkdir()
    jsonl(other / "t.jsonl", GOOD)
    made = suites.suite(f"{path},vstar,mmstar")
    assert (made.name, made.members) == ("t+vstar+mmstar", ("t", "vstar", "mmstar"))
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: my suite\nbenchmarks:\n- t.jsonl: {kind: choice}\n- niah: {lengths: [512]}\n"
    )
    made = suites.suite(str(file))
    assert (made.name, made.members) == ("my_suite", ("t", "niah"))
    assert made.options == {"t": {"kind": "choice"}, "niah": {"lengths": "512"}}
    with pytest.raises(UsageError, match="both have a benchmark t"):
        suites.suite(f"{path},{other / 't.jsonl'}")
    ours = jsonl(tmp_path / "vstar.jsonl", GOOD)
    with pytest.raises(UsageError, match="name of ours"):
        suites.suite(str(ours))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- vstar\n", "not a mapping"),
        ("benchmarks: vstar\n", "must be a list"),
        ("benchmarks: [code.py]\n", "names code"),
        ("benchmark: [vstar]\nbenchmarks: []\n", "did you mean benchmarks"),
        ("benchmarks: [vstarr]\n", "did you mean vstar"),
        ("benchmarks: []\n", "names no benchmark"),
        ("benchmarks: [{vstar: {a: 1}, mmstar: {}}]\n", "is not a benchmark"),
        ("benchmarks: [!!python/object/apply:os.system [ls]]\n", "cannot be read"),
        ("name: [a]\nbenchmarks: [vstar]\n", "line 1: name: must be text"),
        ("name: s\nbenchmarks: &a [vstar, {vstar: {a: *a}}]\n", "has an alias"),
    ],
)
def test_a_wrong_suite_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        suites.suite(str(path))


def test_a_suite_file_starts_no_code_wherever_that_lies(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    path = tmp_path / "suites" / "s.yaml"
    path.parent.mkdir()
    for word in (os.path.relpath(code), code, "../code", os.path.relpath(path), f"{code}/."):
        path.write_text(json.dumps({"benchmarks": [str(word)]}))
        with pytest.raises(UsageError, match=r"names code|no suite, benchmark or table"):
            suites.suite(str(path))
    assert not (tmp_path / "ran").exists()


def test_a_table_is_verified_with_the_options_of_its_suite_file(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("n,ask,say\n1,What?,x\n")
    with pytest.raises(UsageError, match="name its column with --set"):
        suites.verify(suites.suite(str(tmp_path / "one.csv")).members[0], tmp_path)
    own = tmp_path / "own.yaml"
    own.write_text('benchmarks:\n- one.csv: {columns: "id=n,question=ask,answer=say"}\n')
    suite = suites.suite(str(own))
    report = suites.verify("one", tmp_path, options=suite.options["one"])
    assert not report.problems
    assert report.tables[0].rows == 1
    with pytest.raises(UsageError, match="no option 'colums'"):
        suites.verify("one", tmp_path, options={"colums": "n"})
