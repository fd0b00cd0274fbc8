"""Written selection prompts: recognised in every source, pairs in one order or both."""

from __future__ import annotations

import io
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablations.arms import arm
from ablations.data.check import check_unrelated_available, survey
from ablations.data.items import open_items, row_counts
from ablations.settings import LATER, Settings
from ablations.statistics.contrasts import BASELINE, METHOD
from ablations.study.jobs import jobs
from ablations.study.plan import Request, plan
from ablations.training.claim import check_claim, check_rows
from ablations.training.plan import TrainingPlan
from ablations.training.schedule import ArmView
from ablations.training.training_data import TrainingData
from benchmarks.pair_sources import open_pairs
from benchmarks.pairs.file import content_hash
from benchmarks.pairs.folders import training_files
from benchmarks.pairs.rows import Preview
from benchmarks.pairs.selection import (
    LETTERS,
    Asking,
    WrittenPair,
    both_orders,
    sides,
    with_other_context,
)
from benchmarks.pairs.tables import PUBLISHED, _arrow_facts, kind_of, open_source
from benchmarks.pairs.tables import ours as ours_by_columns
from benchmarks.pairs.template import PairTemplate, _common, propose
from benchmarks.probe import Probe
from harness.cli.main import cli
from harness.errors import UsageError
from harness.files.hashing import file_hash
from harness.records import ImagePart
from tests.ablations import tiny

MARKS = "<image>\n<image>\nWhich picture shows a red square?"
# As the authors' loader of images reads them (EasyR1 fork): rows with several images and the answer
# A or B are selection prompts, all others RL items.
ROWS = [
    {"problem": "<image>What colour?", "answer": "red", "images": ["red"]},
    {"problem": MARKS, "answer": "A", "images": ["red", "blue"]},
    {"problem": MARKS, "answer": "B", "images": ["blue", "red"]},
    {"problem": "<image><image>Same?", "answer": "no", "images": ["red", "blue"]},
    {"problem": "Which? (A) one (B) two", "answer": "A", "images": []},
    {"problem": "<image>Which? (A) one (B) two", "answer": "B", "images": ["green"]},
]
COUNTS = {"rl": 4, "selection": 2, "pairs": 0, "others": 0, "other_letters": 0}


def png(colour: str) -> dict[str, Any]:
    made = io.BytesIO()
    tiny.image(colour).save(made, "png")
    return {"bytes": made.getvalue(), "path": None}


def data_set(rows: list[dict[str, Any]] = ROWS) -> Any:
    import datasets

    table = {
        "problem": [row["problem"] for row in rows],
        "answer": [row["answer"] for row in rows],
        "images": [[png(colour) for colour in row["images"]] for row in rows],
    }
    texts = {name: datasets.Value("string") for name in ("problem", "answer")}
    features = datasets.Features({**texts, "images": datasets.Sequence(datasets.Image())})
    return datasets.Dataset.from_dict(table, features=features)


def lines(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    for colour in tiny.COLOURS:
        tiny.image(colour).save(path.parent / f"{colour}.png")
    named = [{**row, "images": [f"{name}.png" for name in row.get("images", [])]} for row in rows]
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in named))
    return path


def written(form: str, folder: Path) -> str:
    """Write `ROWS` in one of the five forms of a source, and return its name."""
    if form == "jsonl":
        return str(lines(folder / "rows.jsonl"))
    if form == "folder":
        data_set().save_to_disk(folder / "any_name")
        return str(folder / "any_name")
    path = {"parquet": "rows.parquet", "data": "set/data/train-00000-of-00001.parquet"}.get(
        form, "datasets--x--y/snapshots/0f/data/train-00000-of-00001.parquet"
    )
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    target = folder / path
    if form == "snapshot":  # the hub's cache: links into blobs/
        target = folder / "datasets--x--y/blobs/17"
        target.parent.mkdir()
        (folder / path).symlink_to(target)
    data_set().to_parquet(target)
    parents = {"parquet": 0, "data": 2, "snapshot": 2}[form]
    return str((folder / path).parents[parents - 1] if parents else folder / path)


FORMS = ("jsonl", "parquet", "data", "snapshot", "folder")


@pytest.mark.parametrize("form", FORMS)
def test_selection_rows_are_pairs_and_no_rl_items_in_every_source(
    form: str, tmp_path: Path
) -> None:
    source = written(form, tmp_path)
    items = open_items(source)
    assert [task.target.answer for task in items] == ["red", "no", "A", "B"]
    assert row_counts(items) == COUNTS
    pairs = open_pairs(source)
    assert row_counts(pairs) == COUNTS
    assert survey(pairs)["written"] == 2
    for pair in pairs:
        assert isinstance(pair, WrittenPair)
        shown, hidden = (part.image.getpixel((0, 0)) for (part,) in sides(pair))  # type: ignore[union-attr]
        assert (shown, hidden) == (tiny.COLOURS["red"], tiny.COLOURS["blue"])
    kept = open_items(source, selection_rows="keep")
    assert [task.target.answer for task in kept] == ["red", "A", "B", "no", "A", "B"]


KINDS = [
    ({"query": "q", "answer": "a"}, "rl"),
    ({"query": "q", "answer": "A", "images": ["1.png"]}, "rl"),
    ({"query": "q", "answer": "A", "images": ["1.png", "2.png"]}, "selection"),
    ({"query": "q", "answer": " (B). ", "images": ["1.png", "2.png", "3.png"]}, "selection"),
    ({"query": "q", "answer": "C", "images": ["1.png", "2.png"]}, "rl"),
    ({"query": "q", "answer": "AB", "images": ["1.png", "2.png"]}, "rl"),
    ({"query": "q", "answer": "A", "images": ["1.png", None]}, "rl"),
    ({"query": "q", "answer": "A", "images": ["1", "2"], "choices": ["x", "y", "z"]}, "rl"),
    ({"query": "q", "answer": "A", "images": ["1", "2"], "choices": ["x", "y"]}, "selection"),
    ({"query": "p", "answer": "A", "prompt": "p", "correct_answer": "A"}, "selection"),
    ({"query": "p", "answer": "7", "prompt": "p", "correct_answer": "7"}, "rl"),
    ({"context_positive": "x", "query": "q"}, "pairs"),
    ({"id": "meta"}, "others"),
]


@pytest.mark.parametrize(("row", "kind"), KINDS)
def test_rows_are_told_apart_by_content(row: dict[str, Any], kind: str) -> None:
    assert kind_of(row) == kind


def test_choice_questions_about_several_images_are_noticed(tmp_path: Path) -> None:
    rows = [{"problem": "Which?", "answer": letter, "images": ["red", "blue"]} for letter in "ABC"]
    assert row_counts(open_items(str(lines(tmp_path / "q.jsonl", rows))))["other_letters"] == 1


def test_files_of_one_folder_may_differ_in_columns(tmp_path: Path) -> None:
    """The agentic set: two parquet files of tasks and a JSON-lines file of pairs."""
    import datasets

    task = {"instance_id": "i", "problem_statement": "Mend it."}
    for name, more in (("swe_gym_train", {}), ("swe_smith_train", {"image_name": "x"})):
        row = {"data_source": name, "instance": json.dumps(task), **more}
        datasets.Dataset.from_list([row]).to_parquet(tmp_path / f"{name}.parquet")
    rows = [{"prompt": f"Context A: {n}", "correct_answer": "AB"[n % 2]} for n in range(4)]
    (tmp_path / "contrastive_pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    items = open_items(str(tmp_path))
    assert row_counts(items) == {**COUNTS, "rl": 2, "selection": 4}
    assert [item.messages[0].render() for item in items] == ["Mend it."] * 2
    pairs = open_pairs(str(tmp_path))
    assert [pair.letter for pair in pairs if isinstance(pair, WrittenPair)] == ["A", "B", "A", "B"]
    assert survey(pairs)["one_order"] == 4


def test_held_out_files_beside_training_files_are_left_out(tmp_path: Path) -> None:
    data_set(ROWS[:2]).to_parquet(tmp_path / "train-00000-of-00001.parquet")
    data_set(ROWS[2:]).to_parquet(tmp_path / "test-00000-of-00001.parquet")
    assert open_source(str(tmp_path), {}).counts["rl"] == 1


ITEM = {"query": "q", "answer": "a"}
PAIR = {**ITEM, "context_positive": "x", "context_negative": "y"}


@pytest.mark.parametrize(
    ("files", "read"),
    [
        ("training/data.jsonl test/data.jsonl", "training/data.jsonl"),
        ("data.jsonl test.jsonl eval-2.jsonl", "data.jsonl"),
        ("train2017.jsonl val2017.jsonl", "train2017.jsonl"),
        ("train/a.jsonl train/test.jsonl", "train/a.jsonl"),
        ("test/train.jsonl test/dev.jsonl", "test/train.jsonl"),
        ("contest.jsonl devices.jsonl", "contest.jsonl devices.jsonl"),
        ("test.jsonl val.jsonl", "test.jsonl val.jsonl"),
        ("a.jsonl .ipynb_checkpoints/a-checkpoint.jsonl .b.jsonl", "a.jsonl"),
        ("train.parquet test.jsonl", "train.parquet"),
        ("+build/manifest.json build/pairs.jsonl build/rejected.jsonl", "build/pairs.jsonl"),
        ("+manifest.json pairs.jsonl uncertain.jsonl judge/memo.jsonl", "pairs.jsonl"),
        ("+b/manifest.json b/rejected.jsonl b/asked/memo.jsonl c.jsonl", "c.jsonl"),
        ("manifest.json pairs.jsonl more.jsonl", "more.jsonl pairs.jsonl"),
    ],
)
def test_only_training_files_of_a_folder_are_read(files: str, read: str, tmp_path: Path) -> None:
    """A "+" before a manifest makes it one of a build of pairs."""
    for name in files.split():
        path = tmp_path / name.removeprefix("+")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"funnel": []}' if name[0] == "+" else json.dumps(ITEM))
    found = [str(file.relative_to(tmp_path)) for file in training_files(tmp_path)]
    assert found == read.split()


def test_rows_of_files_of_one_name_have_different_ids(tmp_path: Path) -> None:
    for name in ("a/train.jsonl", "b/train.jsonl"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(f"{json.dumps(PAIR)}\n" * 2)
    names = ["a/train-0", "a/train-1", "b/train-0", "b/train-1"]
    assert [pair.id for pair in open_pairs(str(tmp_path))] == names
    probe = Probe(tmp_path, pairs=str(tmp_path))
    assert probe.ids() == [f"{name}/{letter}" for name in names for letter in LETTERS]
    (tmp_path / "a/train.jsonl").write_text(f"{json.dumps({**PAIR, 'id': '1'})}\n" * 2)
    with pytest.raises(UsageError, match="two pairs have the id 1"):
        Probe(tmp_path, pairs=str(tmp_path)).ids()


def test_json_lines_have_the_same_names_and_columns(tmp_path: Path) -> None:
    rows = [{"text": "Which?", "label": "A", "images": ["red", "blue"]}]
    source = str(lines(tmp_path / "rows.jsonl", rows))
    with pytest.raises(UsageError, match="no column 'lable'"):
        open_pairs(source, columns={"answer": "lable"})
    columns = {"query": "text", "answer": "label"}
    (pair,) = open_pairs(source, columns=columns)
    assert isinstance(pair, WrittenPair)
    assert pair.exchanged is None  # no marks: it is not known which image belongs where
    home = tmp_path / "elsewhere"
    (tmp_path / "rows.jsonl").rename(tmp_path.parent / "moved.jsonl")
    moved = str(tmp_path.parent / "moved.jsonl")
    with pytest.raises(UsageError, match="there is no image"):
        survey(open_pairs(moved, columns=columns))
    assert survey(open_pairs(moved, columns=columns, image_root=tmp_path))["pairs"] == 1
    with pytest.raises(UsageError, match="is not a folder"):
        open_pairs(moved, columns=columns, image_root=home)


@pytest.mark.parametrize(
    "piece",
    [
        {"type": "image_url", "image_url": {"url": "{}.png"}},
        {"type": "image_url", "image_url": "{}.png"},
        {"type": "image", "image": "{}.png"},
        {"type": "image", "text": "", "path": "{}.png"},
        {"image": {"path": "{}.png"}},
    ],
)
@pytest.mark.parametrize("chat", [True, False])
def test_images_in_a_prompt_are_shown_and_are_content(
    piece: dict[str, Any], chat: bool, tmp_path: Path
) -> None:
    shown = [json.loads(json.dumps(piece).replace("{}", name)) for name in ("red", "blue")]
    parts: list[Any] = [{"type": "text", "text": "Which is red?"}, *shown]
    turns = [{"role": "user", "content": parts}] if chat else parts
    file = lines(tmp_path / "p.jsonl", [{"prompt": turns, "correct_answer": "A"}])
    (pair,) = open_pairs(str(file))
    first, second = both_orders(pair)
    assert (first.letter, second.letter) == LETTERS
    images = [part for part in first.messages[0].content if isinstance(part, ImagePart)]
    assert [image.image.getpixel((0, 0)) for image in images] == [
        tiny.COLOURS["red"],
        tiny.COLOURS["blue"],
    ]
    before = content_hash(file)
    tiny.image("green").save(tmp_path / "red.png")
    assert content_hash(file) != before


@pytest.mark.parametrize(
    "piece",
    [
        {"type": "image_url", "image_url": {"url": "https://a.example/1.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image"},
        {"type": "image", "text": "", "image": None},
        {"type": "input_audio", "input_audio": {"data": "AAAA"}},
    ],
)
def test_a_prompt_with_an_image_that_is_not_there_is_refused(
    piece: dict[str, Any], tmp_path: Path
) -> None:
    turns = [{"role": "user", "content": [piece, piece, {"type": "text", "text": "Which?"}]}]
    row = {"prompt": turns, "correct_answer": "A"}
    with pytest.raises(UsageError, match="line 1: its prompt has an image that cannot be read"):
        survey(open_pairs(str(lines(tmp_path / "p.jsonl", [row]))))
    row["images"] = ["red", "blue"]  # the pieces mark where these are
    if piece["type"] != "input_audio":
        assert survey(open_pairs(str(lines(tmp_path / "p.jsonl", [row]))))["written"] == 1


@pytest.mark.parametrize("query", [["x" * 5000, "y"], [{"text": "z" * 5000}, {"text": "y"}]])
def test_texts_of_a_prompt_are_not_taken_for_files(query: list[Any], tmp_path: Path) -> None:
    file = lines(tmp_path / "p.jsonl", [{"prompt": query, "correct_answer": "A"}])
    assert content_hash(file) == file_hash(file)
    assert survey(open_pairs(str(file)))["text_prompts"] == 1


def test_an_image_with_too_long_a_name_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text(json.dumps({**PAIR, "context_positive": ["x" * 5000]}))
    assert content_hash(file) != file_hash(file)
    with pytest.raises(UsageError, match=r"line 1: the image 'x+': File name too long"):
        survey(open_pairs(str(file)))


@pytest.mark.parametrize(
    ("row", "ours"),
    [
        ({**ITEM, "index": 7, "category": "c"}, {"id": None, "domain": None}),
        ({**ITEM, "image": "gone.png", "options": ["x"]}, {"images": None, "choices": None}),
        ({**PAIR, "negative_answer": "b"}, {"answer_negative": None}),
        ({"question": "q", "answer": "a", "image": "1.png"}, {"query": "q", "images": "1.png"}),
        ({"problem": "q", "solution": "a", "index": 7}, {"answer": "a", "id": None}),
        ({**ITEM, "positive_context": "x"}, {"context_positive": "x"}),
        ({"query": "q", "answer": "", "solution": "long"}, {"answer": ""}),
    ],
)
def test_other_names_in_json_lines_fill_only_what_is_missing(
    row: dict[str, Any], ours: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    assert open_source(str(tmp_path / "rows.jsonl"), {}).row(0).items() >= ours.items()


def test_images_that_were_not_read_do_not_change_the_content(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({**ITEM, "image": "a.png"}))
    tiny.image("red").save(tmp_path / "a.png")
    assert content_hash(file) == file_hash(file)


@pytest.mark.parametrize("kind", ["list", "large_list", "fixed", "list_view", "large_list_view"])
def test_images_in_lists_of_every_kind_are_counted(kind: str) -> None:
    import pyarrow as pa

    lists = {"list": pa.list_, "large_list": pa.large_list, "list_view": pa.list_view}
    lists["large_list_view"] = pa.large_list_view
    of = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    type_ = pa.list_(of, 2) if kind == "fixed" else lists[kind](of)
    images = pa.array([[png("red"), png("blue")]] * 2, type_)
    table = pa.table({"problem": ["q", "q"], "answer": ["A", "C"], "images": images})

    class Rows:
        """As much of a data set as is read of its columns, of any Arrow type."""

        column_names, data, _indices = table.column_names, table, None

    kinds = [kind_of(ours_by_columns(row, {})) for row in _arrow_facts(Rows)]
    assert kinds == ["selection", "rl"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"problem": "<image>x", "answer": "A", "images": ["red", "blue"]}, "1 <image> and"),
        ({"problem": MARKS, "answer": "A", "images": ["red", "red"]}, "two images are identical"),
        ({"problem": " ", "answer": "A", "images": ["red", "blue"]}, "no prompt"),
    ],
)
def test_a_wrong_written_pair_is_one_line(row: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        survey(open_pairs(str(lines(tmp_path / "p.jsonl", [row]))))
    assert "line 1" in str(caught.value)


def image_pairs(folder: Path) -> list[WrittenPair]:
    names = list(tiny.COLOURS)
    rows = [
        {
            "problem": f"A: <image> B: <image>\nWhich shows {names[n % 3]}?",
            "answer": "AB"[n % 2],
            "images": [names[(n + n % 2) % 3], names[(n + 1 - n % 2) % 3]],
        }
        for n in range(6)
    ]
    read = open_pairs(str(lines(folder / "p.jsonl", rows)))
    return [pair for pair in read if isinstance(pair, WrittenPair)]


def test_exchanging_images_exchanges_the_letter_and_nothing_else(tmp_path: Path) -> None:
    for pair in image_pairs(tmp_path):
        a, b = both_orders(pair)
        assert (a.letter, b.letter) == LETTERS
        images = [
            [part.image for part in prompt.messages[0].content if isinstance(part, ImagePart)]
            for prompt in (a, b)
        ]
        assert images[0] == images[1][::-1]
        assert a.messages[0].render() == b.messages[0].render()
        (only,) = Asking(orders="written").prompts(pair)
        assert only.letter == pair.letter
        # The picture under the right letter is the same in both orders.
        assert images[0][0] == images[1][1] == sides(pair)[0][0].image  # type: ignore[union-attr]


def test_placebo_and_strangers_of_written_pairs(tmp_path: Path) -> None:
    pairs = image_pairs(tmp_path)
    shuffled = [ArmView(pairs, seed=0, shuffled=True).pair(n) for n in range(6)]
    turned = [made != pair for made, pair in zip(shuffled, pairs, strict=True)]
    assert any(turned)
    for made, pair in zip(shuffled, pairs, strict=True):
        assert isinstance(made, WrittenPair)
        assert made.messages == pair.messages
    for index, pair in enumerate(pairs):
        made = ArmView(pairs, seed=0, unrelated=True).pair(index)
        assert isinstance(made, WrittenPair)
        assert sides(made)[0] == sides(pair)[0]
        assert sides(made)[1] not in sides(pair)
        assert {prompt.letter for prompt in both_orders(made)} == set(LETTERS)


def test_a_stranger_is_of_the_same_kind(tmp_path: Path) -> None:
    written = image_pairs(tmp_path)
    separate = [replace(pair, domain=written[0].domain) for pair in tiny.text_pairs(6)]
    mixed = [pair for both in zip(written, separate, strict=True) for pair in both]
    for index, pair in enumerate(mixed):
        made = ArmView(mixed, seed=0, unrelated=True).pair(index)
        assert [type(part) for part in sides(made)[1]] == [type(part) for part in sides(pair)[1]]
    previews = [Preview(str(n), "d", images=True, written=n > 1) for n in range(4)]
    check_unrelated_available(previews)
    with pytest.raises(UsageError, match=r"pair 2: its domain \(d\) has only one written pair"):
        check_unrelated_available(previews[:3])
    with pytest.raises(UsageError, match="only one pair with separate contexts"):
        check_unrelated_available(previews[1:])
    with pytest.raises(TypeError):
        with_other_context(separate[0], written[0])


def test_text_that_ties_content_to_a_place_is_noticed(tmp_path: Path) -> None:
    wording = "First image: <image>\nSecond image: <image>\nIs it the first image or the second?\n"
    texts = ["What is red?", "The left picture is blurred. What is red?", "Image B shows a cat."]
    rows = [
        {"id": str(n), "problem": wording + text, "answer": "A", "images": ["red", "blue"]}
        for n, text in enumerate(texts)
    ]
    assert survey(open_pairs(str(lines(tmp_path / "p.jsonl", rows))))["tied"] == ["1", "2"]


PROMPT = (
    "You see two trajectories.\n### Trajectory A\n{a}\n### Trajectory B\n{b}\n"
    "Issue: {query}\nPatch: {answer}\nWhich trajectory fits? A or B."
)
words = st.text("abcdef ()+*.\n-", min_size=3).filter(lambda text: text == text.strip())


def prompt(number: int) -> str:
    parts = {name: f"{name} {number}\nline {number * 7}" for name in ("a", "b", "query", "answer")}
    return PROMPT.format(**parts)


def test_blanks_within_a_text_take_no_time() -> None:
    begun = time.process_time()
    assert _common([" a" + " " * 200_000 + "b\n"]) == (" ", "\n")
    assert time.process_time() - begun < 2


@given(words, words, words, words)
def test_a_template_exchanges_the_contexts_and_gives_the_text_back(
    a: str, b: str, query: str, answer: str
) -> None:
    template = PairTemplate.of(propose([prompt(number) for number in range(5)]).text)
    text = PROMPT.format(a=a, b=b, query=query, answer=answer)
    made = template.exchanged(text)
    if a == b:
        assert made is None
        return
    assert made == PROMPT.format(a=b, b=a, query=query, answer=answer)
    assert template.exchanged(made) == text


# Wording, and what tells its contexts: "#1" is a part's own text.
BOTH = "texts that are in both places"
WORDINGS = [
    ("Log A:\n{a}\nLog B:\n{b}\nIt is so:\n{q}\nAnd:\n{p}\nWhich?", "their labels"),
    ("Fix:\n{p}\nIssue:\n{q}\n<log_1>\n{a}\n</log>\n<log_2>\n{b}\n</log>\nA?", "their labels"),
    (
        "### 1\n{q}\n### 2\n{p}\n### 3\n{a}\n### 4\n{b}\n### A or B?",
        "texts that are in both places",
    ),
    ("Read\n{a}\nand\n{q}\nand then\n{p}\nand also\n{b}\nnow", BOTH),
]


@pytest.mark.parametrize(("wording", "told_by"), WORDINGS)
def test_contexts_are_told_from_the_rest_in_any_order_and_of_any_length(
    wording: str, told_by: str
) -> None:
    logs = [f"log {number} ends" for number in range(4)]
    rows = [
        {"a": logs[n], "b": logs[(n + 1) % 4], "q": f"why {n}", "p": f"patch {n} " * 30}
        for n in range(4)
    ]
    made = propose([wording.format(**row) for row in rows])
    assert made.contexts_by == told_by
    for row in rows:
        exchanged = {**row, "a": row["b"], "b": row["a"]}
        fitted = PairTemplate.of(made.text)
        assert fitted.exchanged(wording.format(**row)) == wording.format(**exchanged)
        match = fitted.pattern.fullmatch(wording.format(**row))
        assert match
        assert "why" in match["query"]


def test_a_text_that_splits_in_two_ways_is_not_split() -> None:
    template = PairTemplate.of(propose([prompt(number) for number in range(5)]).text)
    inside = PROMPT.format(a="x\n### Trajectory B\ny", b="z", query="q", answer="p")
    assert template.exchanged(inside) is None
    assert template.exchanged("something else") is None


def test_the_commands_propose_and_use_a_template(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"prompt": prompt(n), "correct_answer": "AB"[n % 2]} for n in range(6)]
    rows.append({"prompt": "A or B?", "correct_answer": "B"})
    source, file = tmp_path / "p.jsonl", tmp_path / "template.txt"
    source.write_text("\n".join(map(json.dumps, rows)))
    words = ["pairs", "template", str(source), "--out", str(file)]
    cli.main(words, standalone_mode=False)
    assert "it fits 0 of 7" not in capsys.readouterr().err
    check = ["pairs", "check", str(source), "--json"]
    cli.main(check, standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["one_order"] == 7
    cli.main([*check, "--pair-template", str(file)], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert (found["text_prompts"], found["split"], found["one_order"]) == (7, 6, 1)
    file.write_text("(?P<query>.+)")
    with pytest.raises(UsageError, match="no group answer, context_a, context_b"):
        cli.main([*check, "--pair-template", str(file)], standalone_mode=False)


def test_one_order_gives_the_authors_loss(tmp_path: Path) -> None:
    """Their formula: -log sigmoid(clip(log p(right) - log p(wrong), -c, c)), one row per pair.

    A letter's log-probability is that of the likelier of " A" and "A" after the prefill, by one
    unpadded forward per prompt.
    """
    import torch

    from ablations.settings import Settings
    from ablations.training.prompting import Prompter
    from ablations.training.steps.term import Objective
    from harness.backends.checkpoint import load_model

    folder = tiny.build("qwen3", tmp_path / "model")
    made = Settings(orders="written", prefill="The correct option is", letters="likelier")
    render, model = Prompter.load(folder, made), load_model(folder, dtype="float32").eval()
    rows = [{"prompt": prompt(n), "correct_answer": "ABB"[n % 3]} for n in range(6)]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pairs = open_pairs(str(tmp_path / "p.jsonl"))
    batch = render.selection(pairs)
    letters = render.letters(made.asking.prompts(pairs[0])[0].messages)
    assert (batch.letters, set(batch.orders)) == (tuple("ABBABB"), {1})
    vocabulary = render.tokenizer.get_vocab()
    # A form counts where both letters have it as one token.
    blanks = [blank for blank in ("", "\u0120") if {f"{blank}A", f"{blank}B"} <= vocabulary.keys()]
    with torch.no_grad():
        logits = model(**batch.tensors, logits_to_keep=1).logits
        loss, _ = Objective(letters, clip=5.0).judge(logits, batch)
        theirs = []
        for row in rows:
            chat = [{"role": "user", "content": row["prompt"]}]
            text = render.tokenizer.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=True
            )
            ids = render.tokenizer(text + "The correct option is", return_tensors="pt")
            logs = model(input_ids=ids["input_ids"]).logits[0, -1].log_softmax(-1)
            forms = {letter: [vocabulary[blank + letter] for blank in blanks] for letter in LETTERS}
            right, wrong = (
                max(logs[token] for token in forms[letter])
                for letter in (row["correct_answer"], "AB"[row["correct_answer"] == "A"])
            )
            theirs.append(-torch.sigmoid((right - wrong).clamp(-5, 5)).log())
    assert loss.item() == pytest.approx(torch.stack(theirs).mean().item(), abs=1e-6)


def test_a_pair_in_one_order_weighs_as_much_as_one_in_both() -> None:
    import torch

    from ablations.training.prompting import SelectionBatch

    batch = SelectionBatch({}, ("A", "B", "B"), orders=(2, 1))
    losses = torch.tensor([1.0, 3.0, 5.0])
    assert batch.mean(losses).item() == pytest.approx(((1 + 3) / 2 + 5) / 2)


ARM_SETTINGS = {
    "prompts_per_step": 4,
    "pairs_per_step": 3,
    "group": 2,
    "max_tokens": 4,
    "report_to": "none",
    "orders": "written",
    "prefill": "The correct option is",
    "letters": "likelier",
}


@pytest.mark.parametrize("name", ["da-rl", "da-sft", "contextrl", "contextrl-shuffled", "ca-only"])
def test_arms_train_on_written_pairs(name: str, tmp_path: Path) -> None:
    folder = tiny.build("qwen3", tmp_path / "model")
    rows = [
        {"prompt": f"A: {n} B: {n + 1}. Which?", "correct_answer": "AB"[n % 2]} for n in range(4)
    ]
    questions = [{"query": f"Say {n}.", "answer": str(n)} for n in range(12)]
    source = tmp_path / "both.jsonl"  # one source for both
    source.write_text("\n".join(map(json.dumps, [*rows, *questions])))
    words = ["train", "--arm", name, "--model", str(folder), "--out", str(tmp_path / "out")]
    words += ["--pairs", str(source), "--rl-data", str(source), "--pair-passes", "2"]
    words += ["--matching", "instances", "--prompts", "8"]
    for option, value in ARM_SETTINGS.items():
        words += [f"--{option.replace('_', '-')}", str(value)]
    cli.main(words, standalone_mode=False)
    ledger = json.loads((tmp_path / "out/ledger.json").read_bytes())
    assert (ledger["orders"], ledger["one_order_pairs"]) == ("written", 4)
    shown = ledger["contrastive_rl_items"] if name == "da-rl" else ledger["exposures"]
    assert shown == 8  # two passes


def test_arms_that_need_the_parts_of_a_pair_refuse_written_text(tmp_path: Path) -> None:
    folder = tiny.build("qwen3", tmp_path / "model")
    rows = [{"prompt": f"{n}?", "correct_answer": "AB"[n % 2]} for n in range(4)]
    rows += [{"query": f"Say {n}.", "answer": str(n)} for n in range(12)]
    source = tmp_path / "both.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    for name, says in (
        ("da-qa", "written pairs do not hold"),
        ("contextrl-easyneg", "needs pairs of images"),
    ):
        words = ["train", "--arm", name, "--model", str(folder), "--dry-run"]
        words += ["--pairs", str(source), "--rl-data", str(source), "--prompts-per-step", "4"]
        with pytest.raises(UsageError, match=says):
            cli.main(words, standalone_mode=False)
    words += ["--selection-rows", "keep"]
    with pytest.raises(UsageError, match="would be both"):
        cli.main(words, standalone_mode=False)


def test_a_frozen_vision_encoder_stays_as_it_is(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = tiny.build("qwen3_vl", tmp_path / "model")
    pairs, _ = tiny.write(tmp_path / "data", images=True)
    words = ["train", "--arm", "ca-only", "--model", str(folder), "--out", str(tmp_path / "out")]
    words += ["--pairs", str(pairs), "--freeze-vision", "--learning-rate", "1e-2"]
    cli.main([*words, "--report-to", "none"], standalone_mode=False)
    before, after = (
        load_file(path / "model.safetensors") for path in (folder, tmp_path / "out/checkpoint")
    )
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed
    assert not [name for name in changed if "visual" in name]


def _begun(out: Path, arm_name: str, settings: Settings) -> TrainingPlan:
    """Write plan.json as a version without the setting did."""
    stated = {name: value for name, value in settings.decisive().items() if name not in LATER}
    out.mkdir(parents=True)
    record = {"key": "0", "arm": arm_name, "settings": stated}
    (out / "plan.json").write_text(json.dumps(record))
    return TrainingPlan(arm(arm_name), TrainingData(settings), out)


@pytest.mark.parametrize("form", FORMS)
def test_what_an_earlier_version_began_goes_on_with_the_same_rows(
    form: str, tmp_path: Path
) -> None:
    """It kept selection rows as RL items, but for those of the published data sets."""
    begun = _begun(tmp_path / "grpo", "grpo", Settings(rl_data=written(form, tmp_path)))
    check_claim(begun)
    with pytest.raises(UsageError, match=r"trained on the selection rows .* --selection-rows keep"):
        check_rows(begun)
    kept = replace(begun.data.settings, selection_rows="keep")
    same = replace(begun, data=TrainingData(kept))
    check_claim(same)
    check_rows(same)
    check_rows(_begun(tmp_path / "ca-only", "ca-only", begun.data.settings))  # reads no RL item
    published = tmp_path / PUBLISHED[0]
    published.parent.mkdir()
    published.symlink_to(written(form, tmp_path / "ca-only"))
    check_rows(_begun(tmp_path / "p", "grpo", Settings(rl_data=str(published))))
    # Without such rows nothing is different.
    plain = lines(tmp_path / "plain.jsonl", [{"query": f"{n}?", "answer": "7"} for n in range(3)])
    check_rows(_begun(tmp_path / "plain", "grpo", Settings(rl_data=str(plain))))


def test_the_arms_of_a_study_that_an_earlier_version_began_train_on_the_same_rows(
    tmp_path: Path,
) -> None:
    source = written("jsonl", tmp_path)
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_text("weights")
    asked = Request(tmp_path / "study", "niah", str(model), source, source, (BASELINE, METHOD))
    made = plan(asked)
    trained = [job.training for job in jobs(made)]
    assert not any(training and "--selection-rows" in training.args for training in trained)
    first, second, *_ = (training.folder for training in trained if training)
    _begun(first, BASELINE, Settings(rl_data=source))
    for job in jobs(made):
        assert job.training is not None
        at = job.training.args.index("--selection-rows")
        assert job.training.args[at + 1] == "keep"
    # The version at hand trained another one before this was noticed.
    now = {"key": "0", "arm": METHOD, "settings": Settings(rl_data=source).decisive()}
    second.mkdir(parents=True)
    (second / "plan.json").write_text(json.dumps(now))
    with pytest.raises(UsageError, match=r"seed-0 was trained on the selection rows .* move one"):
        jobs(made)
