"""Pairs and RL items as files and data sets, and each way in which they may be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import ExifTags, Image

from ablations.data.check import check_unrelated_available, preview_items, preview_pairs, survey
from ablations.data.items import count_lines, open_items, qa_item, selection_item
from benchmarks.data.local.images import as_seen, decode
from benchmarks.pair_sources import open_pairs
from benchmarks.pairs import file as pair_file
from benchmarks.pairs.file import content_hash
from benchmarks.pairs.selection import LETTERS
from benchmarks.pairs.tables import PUBLISHED
from benchmarks.scoring import Target, score
from harness.cli.main import cli
from harness.errors import UsageError
from harness.records import ImagePart, Pair, TextPart
from tests.ablations import tiny

GOOD = {
    "id": "a",
    "domain": "trajectory",
    "query": "key",
    "answer": "1",
    "answer_negative": "2",
    "context_positive": "key=1",
    "context_negative": [{"text": "key=2"}],
}

NONE_WRITTEN = {"written": 0, "text_prompts": 0, "split": 0, "one_order": 0, "tied": []}


def one(folder: Path, **changes: Any) -> Path:
    path = folder / "pairs.jsonl"
    path.write_bytes(orjson.dumps({**GOOD, **changes}) + b"\n")
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path, rl = tiny.write(tmp_path, images=True)
    read = list(open_pairs(str(path)))
    assert {pair.domain for pair in read} == {"image", "trajectory"}
    expected = {pair.id: pair for pair in (*tiny.image_pairs(8), *tiny.text_pairs(8))}
    for pair in read:
        there = expected[pair.id]
        assert (pair.query, pair.answer, pair.answer_negative) == (
            there.query,
            there.answer,
            there.answer_negative,
        )
        for here, other in zip(pair.context_positive, there.context_positive, strict=True):
            if isinstance(here, ImagePart):
                assert isinstance(other, ImagePart)
                assert here.image.tobytes() == other.image.tobytes()
            else:
                assert here == other
    assert survey(read) == {
        "pairs": 8,
        "domains": {"image": 4, "trajectory": 4},
        "answers_negative": 8,
        **NONE_WRITTEN,
    }
    tasks = list(open_items(str(rl)))
    assert [task.target for task in tasks] == [task.target for task in tiny.tasks(32, images=True)]
    assert isinstance(tasks[0].messages[0].content[0], ImagePart)


@pytest.mark.parametrize(
    "row",
    [
        {"context_positive": [{"image": "a.png"}]},
        {"context_positive": [{"path": "a.png"}]},
        {"context_positive": [{"image": {"path": "a.png"}}]},
        {"context_positive": ["a.png"]},
        {"images": "a.png"},
        {"images": ["a.png"]},
    ],
)
def test_another_picture_is_other_content(row: dict[str, Any], tmp_path: Path) -> None:
    path = one(tmp_path, **row)
    seen = set()
    for colour in ("red", "blue"):
        tiny.image(colour).save(tmp_path / "a.png")
        seen.add(content_hash(path))
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"context_negative": "key=1"}, "two contexts are identical"),
        ({"context_positive": [{"image": "gone.png"}]}, "no image"),
        ({"context_positive": [{"image": "pairs.jsonl"}]}, "cannot be read"),
        ({"context_positive": [{"sound": "x"}]}, "a context is a text"),
        ({"query": ""}, "missing or empty: query"),
        ({"answer": 3}, "answer must be text"),
        ({"answer_negative": "1"}, "two answers are identical"),
    ],
)
def test_a_wrong_pair_is_one_line(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        survey(open_pairs(str(one(tmp_path, **changes))))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "no pairs"), (b"{", "line 1 is not JSON"), (b"[]\n", "not a JSON object")],
)
def test_a_wrong_file_is_one_line(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=says):
        open_pairs(str(path))


def test_a_part_of_a_file_opens_nothing(tmp_path: Path) -> None:
    """The images of one pair, and those of one item, are not there; the others can be read."""
    pairs, rl = tiny.write(tmp_path, images=True)
    for gone in ("i0-positive.png", "q0.png"):
        (tmp_path / gone).unlink()
    some, tasks = open_pairs(str(pairs), 3), open_items(str(rl), 3)
    assert (len(some), len(tasks)) == (3, 3)
    assert [some[1].id, some[1:][0].id, some[-1].id] == ["t0", "t0", "i1"]
    assert [tasks[1].id, tasks[1:][0].id] == ["q1", "q1"]
    for opened in (some, tasks):
        with pytest.raises(UsageError, match="line 1: there is no image"):
            _ = opened[0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"context_negative": "key=1"}, "line 2: its two contexts are identical"),
        ({"context_positive": [{"image": "gone.png"}]}, "line 2: there is no image"),
        ({"context_positive": [{"image": "pairs.jsonl"}]}, "line 2: .* cannot be read"),
        (
            {"context_positive": [{"image": "a.png"}], "context_negative": [{"image": "b.png"}]},
            "line 2: its two contexts are identical",
        ),
        ({"answer_negative": "1"}, "line 2: its two answers are identical"),
        ({"answer": 0}, "line 2: answer must be text"),
        ({"id": "a"}, "two pairs have the id a"),
    ],
)
def test_a_preview_finds_what_is_wrong(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        tiny.image("red").save(tmp_path / name)
    path = one(tmp_path)
    with path.open("ab") as file:
        file.write(orjson.dumps({**GOOD, "id": "b", **changes}) + b"\n")
    assert not any(one.images for one in preview_pairs(open_pairs(str(path), 1)))
    with pytest.raises(UsageError, match=says) as caught:
        preview_pairs(open_pairs(str(path)))
    assert "\n" not in str(caught.value)


def test_a_stranger_needs_a_second_pair_of_the_domain(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"its domain \(trajectory\) has only one pair"):
        check_unrelated_available(preview_pairs(open_pairs(str(one(tmp_path)))))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ([1], "line 1 is not a JSON object"),
        ({"query": "q", "answer": ""}, "missing or empty: answer"),
        ({"query": "q", "answer": ["a"]}, "answer must be text or a number"),
        ({"query": "q", "answer": "A", "choices": 5}, "choices must be a list"),
        ({"query": "q", "answer": "lead", "choices": ["lead", "wood"]}, "letter, A to B, not"),
        ({"query": "q", "answer": "C", "choices": ["lead", "wood"]}, "letter, A to B, not"),
        ({"query": "q"}, "missing or empty: answer"),
        ({"query": "q", "answer": "a", "kind": "poem"}, "kind must be one of"),
        ({"query": "q", "answer": "a", "kind": ["x"]}, "kind must be one of"),
        ({"query": "q", "answer": "a", "images": ["gone.png"]}, "there is no image"),
    ],
)
def test_a_wrong_rl_item_is_one_line(row: Any, says: str, tmp_path: Path) -> None:
    path = tmp_path / "rl.jsonl"
    path.write_bytes(orjson.dumps(row) + b"\n")
    with pytest.raises(UsageError, match=says) as previewed:
        preview_items(open_items(str(path)))
    with pytest.raises(UsageError, match=says) as read:
        list(open_items(str(path)))
    assert "\n" not in str(previewed.value) + str(read.value)


def test_zero_is_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "rl.jsonl"
    path.write_text('{"id": 0, "query": "How many?", "answer": 0, "kind": "number"}\n')
    (task,) = open_items(str(path))
    assert (task.id, task.target) == ("0", Target("number", "0"))
    assert score("0", task.target).value == 1


def test_two_pairs_of_one_id_are_refused(tmp_path: Path) -> None:
    path = one(tmp_path)
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(UsageError, match="two pairs have the id a"):
        survey(open_pairs(str(path)))


def published(folder: Path, **renamed: str) -> Path:
    """A data set of the shape that is assumed: RL items and pairs in one table, with images."""
    import datasets

    (yes, no), colour = (tiny.image("red"), tiny.image("blue")), tiny.image("green")
    rows = [
        {"problem": "<image>What colour?", "answer": "green", "images": [colour]},
        {
            "problem": "What colour?",
            "answer": "red",
            "context_positive": [yes],
            "context_negative": [no],
        },
    ]
    columns = ("problem", "answer", "images", "context_positive", "context_negative")
    table = {renamed.get(name, name): [row.get(name) for row in rows] for name in columns}
    pictures = {
        renamed.get(name, name): datasets.Sequence(datasets.Image()) for name in columns[2:]
    }
    words = {renamed.get(name, name): datasets.Value("string") for name in columns[:2]}
    made = datasets.Dataset.from_dict(table, features=datasets.Features({**words, **pictures}))
    made.save_to_disk(folder)
    return folder


def test_a_data_set_of_the_published_shape_is_split(tmp_path: Path) -> None:
    source = str(published(tmp_path / "set"))
    (pair,) = open_pairs(source)
    assert isinstance(pair, Pair)
    assert (pair.query, pair.answer) == ("What colour?", "red")
    assert isinstance(pair.context_negative[0], ImagePart)
    assert pair.context_negative[0].image.getpixel((0, 0)) == tiny.COLOURS["blue"]
    assert all(one.images for one in preview_pairs(open_pairs(source)))
    assert preview_items(open_items(source))
    (task,) = open_items(source)
    assert task.target == Target("text", "green")
    assert task.messages[0].content[1] == TextPart("What colour?")


def test_a_preview_of_a_data_set_decodes_nothing(tmp_path: Path) -> None:
    """Its images are bytes: of one that begins well and is cut off, only decoding tells."""
    import io

    import datasets

    whole = io.BytesIO()
    tiny.image("red").save(whole, "png")
    cut, other = {"bytes": whole.getvalue()[:-30]}, {"bytes": whole.getvalue()}
    columns = ("context_positive", "context_negative")
    words = {name: datasets.Value("string") for name in ("query", "answer")}
    features = datasets.Features({**words, **dict.fromkeys(columns, datasets.Image())})
    rows = {"query": ["q"], "answer": ["a"], columns[0]: [cut], columns[1]: [other]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "cut")
    assert all(one.images for one in preview_pairs(open_pairs(str(tmp_path / "cut"))))
    rows[columns[0]] = [other]
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "same")
    with pytest.raises(UsageError, match="row 0: its two contexts are identical"):
        preview_pairs(open_pairs(str(tmp_path / "same")))
    rows[columns[0]] = [{"bytes": b"no image"}]
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "none")
    with pytest.raises(UsageError, match="row 0: an image cannot be read"):
        preview_pairs(open_pairs(str(tmp_path / "none")))


def test_other_columns_are_named_by_hand(tmp_path: Path) -> None:
    folder = published(tmp_path / "set", context_positive="ctx_a", context_negative="ctx_b")
    with pytest.raises(UsageError, match=r"context_positive \(tried .*ctx_a.*--columns"):
        open_pairs(str(folder))
    columns = {"context_positive": "ctx_a", "context_negative": "ctx_b"}
    assert len(open_pairs(str(folder), columns=columns)) == 1
    with pytest.raises(UsageError, match="no column 'none'"):
        open_pairs(str(folder), columns={"query": "none"})


def test_a_published_set_that_cannot_be_reached_says_so() -> None:
    """The tests run without a hub (HF_HUB_OFFLINE)."""
    with pytest.raises(UsageError, match="one of the paper's published sets") as caught:
        open_pairs(PUBLISHED[0])
    assert "\n" not in str(caught.value)


def test_pairs_become_rl_items_that_the_scorers_judge() -> None:
    pair = tiny.text_pairs(1)[0]
    for letter in LETTERS:
        task = selection_item(pair, letter)
        assert score(letter, task.target).value == 1
        assert score("AB"["AB".index(letter) - 1], task.target).value == 0
    assert pair.answer_negative is not None
    assert score(pair.answer, qa_item(pair, "A").target).value == 1
    asked = qa_item(pair, "B")
    assert score(pair.answer_negative, asked.target).value == 1
    assert asked.messages[0].content[0] == pair.context_negative[0]


def test_the_command_checks_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, _ = tiny.write(tmp_path, images=False)
    cli.main(["pairs", "check", str(path), "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    counts = {
        "pairs": 8,
        "domains": {"trajectory": 8},
        "answers_negative": 8,
        **NONE_WRITTEN,
        "rows": {"rl": 0, "selection": 0, "pairs": 8, "others": 0, "other_letters": 0},
    }
    assert found.items() >= counts.items()


@pytest.mark.parametrize("kind", ["transparent", "deep grey", "turned"])
def test_images_of_pairs_and_items_are_converted_as_those_of_benchmarks(
    kind: str, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image, options = {
        "transparent": (Image.new("RGBA", (4, 2), (0, 0, 0, 0)), {}),
        "deep grey": (Image.new("I;16", (4, 2), 65535 // 2), {}),
        "turned": (Image.linear_gradient("L").resize((4, 2)), {"exif": exif}),
    }[kind]
    image.save(tmp_path / "i.png", **options)
    expected = as_seen(decode({"bytes": None, "path": str(tmp_path / "i.png")}, folder=tmp_path))
    shown = [tmp_path / "i.png", (tmp_path / "i.png").read_bytes(), Image.open(tmp_path / "i.png")]
    for part in pair_file.decode(shown, "here"):
        assert isinstance(part, ImagePart)
        assert part.image.size == expected.size
        assert part.image.tobytes() == expected.tobytes()


def test_counts_name_the_kinds_of_rows_that_are_there() -> None:
    none = dict.fromkeys(("rl", "selection", "pairs", "others", "other_letters"), 0)
    assert count_lines("p", {**none, "pairs": 10}, "leave-out") == ["p: 10 pairs"]
    mixed = {**none, "rl": 3, "selection": 2}
    assert count_lines("p", mixed, "leave-out") == ["p: 3 RL rows, 2 selection rows"]
    assert count_lines("p", none, "leave-out") == ["p: no rows"]
    assert count_lines("micro", {}, "leave-out") == []
