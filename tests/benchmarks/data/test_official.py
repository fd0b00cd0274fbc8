"""Official release folders: read in place, and imported by the command."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks import data
from benchmarks.data.fetch.import_release import bring
from benchmarks.data.local.official import FORMATS, vista_query
from benchmarks.data.local.receipt import read_receipt
from harness.errors import UsageError
from tests.commands import harness

Row = dict[str, Any]

# Three entries of lupantech/MathVista, data/testmini.json, with their lines of data/query.json.
VISTA: Sequence[tuple[Row, str]] = (
    (
        {
            "question": "what is the total volume of the measuring cup?",
            "image": "images/2.jpg",
            "choices": None,
            "unit": "g",
            "precision": None,
            "answer": "1000",
            "question_type": "free_form",
            "answer_type": "integer",
            "pid": "2",
            "metadata": {
                "split": "testmini",
                "language": "english",
                "img_width": 1024,
                "img_height": 768,
                "source": "TextVQA",
                "category": "general-vqa",
                "task": "visual question answering",
                "context": "natural image",
                "grade": "not applicable",
                "skills": ["numeric commonsense", "arithmetic reasoning"],
            },
        },
        "Hint: Please answer the question requiring an integer answer and provide the final "
        "value, e.g., 1, 2, 3, at the end.\nQuestion: what is the total volume of the measuring "
        "cup? (Unit: g)",
    ),
    (
        {
            "question": "Find $m\\angle H$",
            "image": "images/5.jpg",
            "choices": ["97", "102", "107", "122"],
            "unit": None,
            "precision": None,
            "answer": "97",
            "question_type": "multi_choice",
            "answer_type": "text",
            "pid": "5",
            "metadata": {
                "split": "testmini",
                "language": "english",
                "img_width": 322,
                "img_height": 245,
                "source": "Geometry3K",
                "category": "math-targeted-vqa",
                "task": "geometry problem solving",
                "context": "geometry diagram",
                "grade": "high school",
                "skills": ["geometry reasoning", "algebraic reasoning"],
            },
        },
        "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, "
        "D, at the end.\nQuestion: Find $m\\angle H$\nChoices:\n(A) 97\n(B) 102\n(C) 107\n(D) 122",
    ),
)
# The first entry ends so in data/query.json; its question is long.
FLOAT_HINT = (
    "Hint: Please answer the question requiring a floating-point number with one decimal place "
    "and provide the final value, e.g., 1.2, 1.3, 1.4, at the end.\nQuestion: "
)
# An entry of ZrrSkywalker/MathVerse, output_templates/output_testmini.json; its
# question_for_eval is not in that file and is made up here.
VERSE: Row = {
    "sample_index": "3424",
    "problem_index": "685",
    "problem_version": "Vision Dominant",
    "question": "Find L.",
    "image": "images_version_5/image_685.png",
    "answer": "14",
    "question_type": "free-form",
    "metadata": {
        "split": "testmini",
        "source": "Geo3D_collected",
        "subject": "Solid Geometry",
        "subfield": "Length",
    },
    "query_wo": "Please directly answer the question and provide the final value, e.g., 1, 2.5, "
    "300.\nQuestion: Find L.",
    "query_cot": "Please first conduct reasoning, and then answer the question and provide the "
    "final value, e.g., 1, 2.5, 300, at the end.\nQuestion: Find L.",
    "question_for_eval": "Find L.",
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def vision_row(number: int) -> Row:
    return {
        "id": str(number),
        "question": f"Which is {number}?\n<image1>",
        "options": ["A", "B"] if number % 2 else [],
        "answer": "A",
        "solution": None,
        "level": 1,
        "subject": "counting",
        "image": f"images/{number}.jpg",
    }


def vision(folder: Path, splits: Mapping[str, int], images: int) -> Path:
    """Write a release like MathVision's: rows by split, the first ``images`` images."""
    (folder / "images").mkdir(parents=True)
    for split, rows in splits.items():
        lines = [json.dumps(vision_row(number)) + "\n" for number in range(rows)]
        (folder / f"{split}.jsonl").write_text("".join(lines))
    for number in range(images):
        Image.new("RGB", (8, 6), (number, 0, 0)).save(folder / "images" / f"{number}.jpg")
    return folder


def vista(folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    rows = {row["pid"]: row for row, _ in VISTA}
    (folder / "testmini.json").write_text(json.dumps(rows))
    for pid in rows:
        Image.new("RGB", (8, 6)).save(folder / "images" / f"{pid}.jpg")
    return folder


# The real release


def test_the_real_mathvision_is_imported_and_verified(shared: Path, tmp_path: Path) -> None:
    release = shared / "data" / "mathvision"
    done = harness("data", "import", "mathvision", release, "--data-root", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "imported split testmini, 304 items" in done.stdout
    assert "2736 of the 3040 images" in done.stderr
    checked = harness("data", "verify", "mathvision", "--data-root", tmp_path, "--images", "--json")
    assert checked.returncode == 0, checked.stderr
    report = json.loads(checked.stdout)["benchmarks"][0]
    assert report["tables"] == [
        {
            "config": "",
            "split": "testmini",
            "form": "saved",
            "rows": 304,
            "official": 304,
            "decoded": 304,
        }
    ]
    assert report["problems"] == []
    assert report["fingerprint"] == data.fingerprint("mathvision", tmp_path)


def test_the_real_mathvision_is_the_same_in_place_and_imported(
    shared: Path, tmp_path: Path
) -> None:
    release = shared / "data" / "mathvision"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mathvision").symlink_to(release)
    bring("mathvision", release, tmp_path / "b")
    in_place = data.load("mathvision", tmp_path / "a")[""]
    imported = data.load("mathvision", tmp_path / "b")[""]
    assert list(in_place) == list(imported) == ["testmini"]
    assert in_place["testmini"].features == imported["testmini"].features
    lines = (release / "testmini.jsonl").read_text().splitlines()
    pairs = zip(in_place["testmini"], imported["testmini"], lines, strict=True)
    for number, (one, two, line) in enumerate(pairs):
        row = json.loads(line)
        assert {key: one[key] for key in row} == {key: two[key] for key in row} == row
        if number % 50 == 0:
            with Image.open(release / row["image"]) as image:
                pixels = image.tobytes()
            assert one["decoded_image"].tobytes() == two["decoded_image"].tobytes() == pixels


def test_the_real_annotation_of_sources_is_not_taken_for_the_items(
    shared: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"lacks pid, .*the items must be in testmini\.json"):
        bring("mathvista", shared / "data" / "mathvista", tmp_path)


# MathVista and MathVerse


@pytest.mark.parametrize(("row", "query"), VISTA)
def test_mathvistas_query_is_the_published_one(row: Row, query: str) -> None:
    assert vista_query(row) == query


def test_mathvistas_query_for_decimals_is_the_published_one() -> None:
    row = {**VISTA[0][0], "answer_type": "float", "precision": 1, "unit": None}
    assert vista_query(row) == FLOAT_HINT + row["question"]


def test_mathvista_is_imported_with_the_hubs_columns(tmp_path: Path) -> None:
    done = bring("mathvista", vista(tmp_path / "release"), tmp_path / "data")
    assert done.splits == {"testmini": 2}
    shutil.rmtree(tmp_path / "release")  # the images are embedded
    rows = data.load("mathvista", tmp_path / "data")[""]["testmini"]
    assert set(data.source("mathvista").tables[0].columns) <= set(rows.column_names)
    for row, (given, query) in zip(rows, VISTA, strict=True):
        assert row["decoded_image"].size == (8, 6)
        assert row["query"] == query
        assert {key: row[key] for key in given} == given


def test_the_releases_own_queries_go_before_the_rule(tmp_path: Path) -> None:
    release = vista(tmp_path / "release")
    (release / "query.json").write_text(json.dumps({"2": "as published"}))
    bring("mathvista", release, tmp_path / "data")
    rows = data.load("mathvista", tmp_path / "data")[""]["testmini"]
    assert rows["query"] == ["as published", VISTA[1][1]]


def test_a_repository_with_its_data_folder_is_a_release(tmp_path: Path) -> None:
    vista(tmp_path / "MathVista" / "data")
    assert bring("mathvista", tmp_path / "MathVista", tmp_path / "data").splits == {"testmini": 2}


def test_mathverse_is_read_with_its_images_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mathverse"
    (folder / "images" / "images_version_5").mkdir(parents=True)
    (folder / "testmini.json").write_text(json.dumps([VERSE]))
    Image.new("RGB", (5, 5)).save(folder / "images" / VERSE["image"])
    row = data.load("mathverse", tmp_path)["testmini"]["testmini"][0]
    assert row["image"].size == (5, 5)
    assert {key: row[key] for key in VERSE if key != "image"} == {
        key: value for key, value in VERSE.items() if key != "image"
    }
    assert data.count("mathverse", tmp_path) == 1


def test_ends_of_lines_inside_json_strings_end_no_row(tmp_path: Path) -> None:
    release = vision(tmp_path / "mathvision", {"test": 3}, images=3)
    question = "one\u2028two\u2029three\u0085four\x7f"  # RFC 8259 lets them stand unescaped
    lines = [
        json.dumps({**vision_row(number), "question": question}, ensure_ascii=False)
        for number in range(3)
    ]
    (release / "test.jsonl").write_bytes("\r\n".join(lines).encode())
    rows = data.load("mathvision", tmp_path)[""]["test"]
    assert [row["question"] for row in rows] == [question] * 3


# Which splits are taken


def test_every_whole_split_is_imported(tmp_path: Path) -> None:
    release = vision(tmp_path / "release", {"test": 5, "testmini": 2}, images=5)
    done = bring("mathvision", release, tmp_path / "data")
    assert done.splits == {"test": 5, "testmini": 2}
    assert done.skipped == ()
    assert data.count("mathvision", tmp_path / "data") == 5
    receipt = read_receipt(done.folder)
    assert receipt is not None
    assert receipt.origin == "release"
    assert receipt.fingerprint == data.fingerprint("mathvision", tmp_path / "data")


def test_one_split_may_be_asked_for(tmp_path: Path) -> None:
    release = vision(tmp_path / "release", {"test": 5, "testmini": 2}, images=5)
    assert bring("mathvision", release, tmp_path / "data", split="testmini").splits == {
        "testmini": 2
    }
    with pytest.raises(UsageError, match="its splits are test, testmini"):
        bring("mathvision", release, tmp_path / "data", split="train")


def test_a_split_without_all_images_is_left_out(tmp_path: Path) -> None:
    release = vision(tmp_path / "release", {"test": 5, "testmini": 2}, images=3)
    done = bring("mathvision", release, tmp_path / "a")
    assert done.splits == {"testmini": 2}
    assert done.skipped == (
        "split test is left out: 2 of the 5 images that test.jsonl names are missing",
    )
    with pytest.raises(UsageError, match="2 of the 5 images"):
        bring("mathvision", release, tmp_path / "b", split="test")
    (release / "images" / "0.jpg").unlink()
    with pytest.raises(UsageError, match=r"3 of the 5 images.*1 of the 2 images"):
        bring("mathvision", release, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_in_place_a_missing_image_is_told(tmp_path: Path) -> None:
    vision(tmp_path / "mathvision", {"test": 5}, images=3)
    with pytest.raises(UsageError, match=r"2 of the 5 images .*harness data import"):
        data.count("mathvision", tmp_path)


def test_data_that_is_there_is_kept_unless_forced(tmp_path: Path) -> None:
    release = vision(tmp_path / "release", {"test": 2}, images=3)
    bring("mathvision", release, tmp_path / "data")
    with (release / "test.jsonl").open("a") as stream:
        stream.write(json.dumps(vision_row(2)))
    with pytest.raises(UsageError, match="--force"):
        bring("mathvision", release, tmp_path / "data")
    assert data.count("mathvision", tmp_path / "data") == 2
    bring("mathvision", release, tmp_path / "data", force=True)
    assert data.count("mathvision", tmp_path / "data") == 3
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mathvision"]


# What goes wrong

CORRUPT = {
    "a torn line": '{"id": "1", "quest',
    "a list": "[1, 2]",
    "a missing key": json.dumps({k: v for k, v in vision_row(1).items() if k != "answer"}),
    "an image outside": json.dumps({**vision_row(1), "image": "../../secret.png"}),
    "an absolute image": json.dumps({**vision_row(1), "image": "/etc/passwd"}),
    "no image": json.dumps({**vision_row(1), "image": None}),
    "another type": json.dumps({**vision_row(1), "level": "easy"}),
    "options as a number": json.dumps({**vision_row(1), "options": 5}),
    "a question as a list": json.dumps({**vision_row(1), "question": ["x"]}),
    "a solution as an object": json.dumps({**vision_row(1), "solution": {"x": 1}}),
    "lists without end": "[" * 100_000,
}


VISTA_CORRUPT: dict[str, tuple[Row, bytes | None]] = {
    "queries as a list": ({}, b"[1]"),
    "queries that are no UTF-8": ({}, b"\xff\xfe"),
    "a query as a number": ({}, b'{"1": 1}'),
    "precision as a word": ({"answer_type": "float", "precision": "two"}, None),
    "precision without a value": ({"answer_type": "float", "precision": float("nan")}, None),
    "choices as a number": ({"choices": 5}, None),
    "pid as a list": ({"pid": [1]}, b"{}"),
    "answer_type as a list": ({"answer_type": ["x"]}, None),
    "metadata as a list": ({"metadata": []}, None),
    "metadata with a list": ({"metadata": {**VISTA[0][0]["metadata"], "grade": []}}, None),
    "a height beyond integers": (
        {"metadata": {**VISTA[0][0]["metadata"], "img_height": 10**30}},
        None,
    ),
}


@pytest.mark.parametrize(("changes", "queries"), VISTA_CORRUPT.values(), ids=list(VISTA_CORRUPT))
def test_a_corrupt_mathvista_is_one_sentence(
    tmp_path: Path, changes: Row, queries: bytes | None
) -> None:
    release = vista(tmp_path / "mathvista")
    rows = {"1": {**VISTA[0][0], **changes}}
    (release / "testmini.json").write_text(json.dumps(rows))
    if queries is not None:
        (release / "query.json").write_bytes(queries)
    with pytest.raises(UsageError, match=r"(testmini|query)\.json.*again") as caught:
        bring("mathvista", release, tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "data").glob("*"))
    with pytest.raises(UsageError, match="again"):  # and in place
        data.load("mathvista", tmp_path)


def test_a_corrupt_mathverse_is_one_sentence(tmp_path: Path) -> None:
    for changes in ({"metadata": []}, {"question": ["x"]}, {"query_cot": {"a": 1}}):
        (tmp_path / "testmini.json").write_text(json.dumps([{**VERSE, **changes}]))
        with pytest.raises(UsageError, match=r"testmini\.json row 1 does not fit"):
            bring("mathverse", tmp_path, tmp_path / "data")


def _release(folder: Path, name: str) -> Path:
    """Write a whole release of a benchmark, with every file that it may have."""
    if name == "mathvision":
        return vision(folder, {"test": 3, "testmini": 2}, images=3)
    if name == "mathvista":
        (vista(folder) / "query.json").write_text(json.dumps({row["pid"]: q for row, q in VISTA}))
        return folder
    image = folder / "images" / VERSE["image"]
    image.parent.mkdir(parents=True)
    Image.new("RGB", (8, 6)).save(image)
    (folder / "testmini.json").write_text(json.dumps([VERSE]))
    return folder


OPENED: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str | os.PathLike):
        OPENED.append(os.fspath(arguments[0]))


@pytest.fixture(scope="module")
def opened() -> list[str]:
    """The files that Python opens from now on; an audit hook stays until the process ends."""
    sys.addaudithook(_watch)
    return OPENED


@pytest.mark.parametrize("name", FORMATS)
def test_every_file_that_is_read_is_in_the_fingerprint(
    tmp_path: Path, opened: list[str], name: str
) -> None:
    folder = _release(tmp_path / name, name)
    opened.clear()
    configs = data.load(name, tmp_path)
    assert all(list(rows) for splits in configs.values() for rows in splits.values())
    read = {Path(path) for path in opened if Path(path).is_relative_to(folder)}
    hashed = {path for found in data.find(name, folder) for path in found.files}
    assert read == hashed


def test_other_queries_are_other_data(tmp_path: Path) -> None:
    folder = _release(tmp_path / "mathvista", "mathvista")
    before = data.fingerprint("mathvista", tmp_path)
    (folder / "query.json").write_text(json.dumps({"2": "How much?"}))
    assert data.fingerprint("mathvista", tmp_path) != before
    (folder / "query.json").unlink()
    assert data.load("mathvista", tmp_path)[""]["testmini"]["query"] == [q for _, q in VISTA]


def test_a_corrupt_release_by_the_command(tmp_path: Path) -> None:
    release = vista(tmp_path / "mathvista")
    (release / "query.json").write_text("[1]")
    imported = harness("data", "import", "mathvista", release, "--data-root", tmp_path / "data")
    verified = harness("data", "verify", "mathvista", "--data-root", tmp_path)
    assert imported.returncode == 2
    assert imported.stderr.count("\n") == 1
    assert "query.json is not a JSON object" in imported.stderr
    assert "query.json is not a JSON object" in verified.stdout + verified.stderr
    assert "Traceback" not in verified.stderr


@pytest.mark.parametrize("line", CORRUPT.values(), ids=list(CORRUPT))
def test_a_corrupt_annotation_is_one_sentence(tmp_path: Path, line: str) -> None:
    release = vision(tmp_path / "release", {"test": 2}, images=2)
    with (release / "test.jsonl").open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(UsageError, match=r"test\.jsonl") as caught:
        bring("mathvision", release, tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "data").glob("*"))


def test_bytes_that_are_no_text_are_one_sentence(tmp_path: Path) -> None:
    release = vision(tmp_path / "release", {"test": 2}, images=2)
    (release / "test.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is not JSON"):
        bring("mathvision", release, tmp_path / "data")


def test_an_empty_annotation_is_no_split(tmp_path: Path) -> None:
    release = vision(tmp_path / "release", {"test": 0}, images=2)
    with pytest.raises(UsageError, match="holds no items"):
        bring("mathvision", release, tmp_path / "data")
    (tmp_path / "mathvision").symlink_to(release)
    with pytest.raises(UsageError, match="no data for mathvision"):
        data.count("mathvision", tmp_path)


def test_other_folders_and_benchmarks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        bring("mathvision", tmp_path / "nowhere", tmp_path)
    with pytest.raises(UsageError, match=r"holds no test\.jsonl or testmini\.jsonl"):
        bring("mathvision", tmp_path, tmp_path)
    with pytest.raises(UsageError, match="harness data pull blink"):
        bring("blink", tmp_path, tmp_path)
    with pytest.raises(UsageError, match="did you mean mathvision"):
        bring("mathvisio", tmp_path, tmp_path)


def test_a_data_root_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    release = vision(tmp_path / "release", {"test": 2}, images=2)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UsageError, match="choose another --data-root"):
        bring("mathvision", release, tmp_path / "file" / "data")


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    done = harness("data", "import", "mathvision", tmp_path, "--data-root", tmp_path / "data")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("harness: ")
