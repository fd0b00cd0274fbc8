"""NIAH: the prompts are lm-eval's, they lie where they should, and readers score what they read."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.longhorizon.niah.benchmark import Niah
from benchmarks.longhorizon.niah.haystack import (
    ANSWER_ROOM,
    NEEDLE,
    NOISE,
    TASKS,
    draw,
    estimate,
    needle,
    prompt,
    question,
    split_sentences,
    vocabulary,
)
from harness.errors import UsageError
from harness.protocols import Tools, build_items
from harness.records import Item, Response
from tests.commands import harness
from tests.servers import Request, ScriptedServer

# What lm-eval 0.4.13 makes: `lm_eval/tasks/ruler/prepare_niah.py::generate_samples` with its own
# TEMPLATE and haystacks and `random.seed(42)`, sizes counted in words; for the essay tasks the
# text is ESSAY, cut into sentences by a regular expression in place of nltk's model.
LM_EVAL = [
    json.loads(line)
    for line in Path(__file__).with_name("lm_eval_ruler.jsonl").read_text("utf-8").splitlines()
]
ESSAY = (
    "It was late. The ship had been at sea for nine days! Nobody on deck spoke of the storm. "
    "Had the captain seen the light? He wrote one line in the log, closed it and went below. "
    "The wind turned before dawn. By noon the coast lay ahead, grey and low."
)
TOLD = re.compile(r"One of the special magic (\w+) for (.+?) is: ([0-9a-f-]+)\.")


@pytest.mark.parametrize("row", LM_EVAL, ids=lambda row: row["task"])
def test_the_form_is_that_of_lm_eval(row: Mapping[str, Any]) -> None:
    """Our sentences and our frame around lm-eval's keys, values and places give its very text."""
    task = TASKS[row["task"]]
    frame = re.fullmatch(r"(.*? afterwards\.)\n(.*)\n(What is .*)", row["input"], re.DOTALL)
    assert frame is not None
    context = frame[2]
    told = list(TOLD.finditer(context))
    assert {found[1] for found in told} == {task.value}
    if task.haystack == "essay":
        sentences = split_sentences(TOLD.sub("", context))
        assert sentences == split_sentences(ESSAY)[: len(sentences)]
        parts = re.split(r"(One of the special .+?: [0-9a-f-]+\.)", context)
        ours = [part.strip() for part in parts if part.strip()]
    else:
        ours = context.split("\n")
    for number, sentence in enumerate(ours):
        if found := TOLD.fullmatch(sentence):
            ours[number] = needle(task, found[2], found[3])
        elif task.haystack == "noise":
            assert sentence == NOISE
    key = next(found[2] for found in told if found[3] == row["outputs"][0])
    assert prompt(task, ours, key) == row["input"]
    assert len(told) == (task.needles if task.haystack != "needles" else len(ours))
    for found in told:
        assert len(found[3]) == {"numbers": 7, "uuids": 36}[task.value]


def test_keys_are_made_of_lm_evals_words() -> None:
    adjectives, nouns = map(set, vocabulary())
    for row in LM_EVAL:
        if TASKS[row["task"]].key == "words":
            key = re.search(r"magic number for (.+?) mentioned|uuid for (.+?) men", row["input"])
            assert key is not None
            word = key[1] or key[2]
            splits = ((word[:i], word[i + 1 :]) for i, c in enumerate(word) if c == "-")
            assert any(one in adjectives and other in nouns for one, other in splits)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("depth", [0, 30, 100])
def test_one_needle_answers_and_lies_at_its_depth(name: str, depth: int) -> None:
    task, essay = TASKS[name], split_sentences(ESSAY)
    asked = question(random.Random(7), task, 4096, depth, essay=essay)
    told = [(m[2], m[3]) for m in TOLD.finditer(asked.prompt)]
    assert told.count((asked.key, asked.value)) == 1
    assert len({key for key, _ in told}) == len({value for _, value in told}) == len(told)
    joint = asked.prompt.index(NEEDLE.format(kind=task.value, key=asked.key, value=asked.value))
    start, end = asked.prompt.index("afterwards.\n"), asked.prompt.rindex("\nWhat is")
    assert abs((joint - start) / (end - start) - depth / 100) < 0.03
    assert 4096 - ANSWER_ROOM - 40 < estimate(asked.prompt) <= 4096 - ANSWER_ROOM


def test_the_same_seed_gives_the_same_and_another_one_others() -> None:
    def texts(seed: int) -> list[str]:
        made = build_items(Niah(Path(), lengths=(512,), per_cell=3, seed=seed))
        return [item.messages[0].render() for item in made if isinstance(item, Item)]

    assert texts(0) == texts(0)
    assert not set(texts(0)) & set(texts(1))
    assert Niah(Path()).fingerprint() == Niah(Path()).fingerprint()
    assert Niah(Path()).fingerprint() != Niah(Path(), seed=1).fingerprint()
    # Drawn by Python's own generator, whose stream its documentation promises to keep.
    assert draw(random.Random(0), "numbers") == str(random.Random(0).randint(1000000, 9999999))


def test_the_grid_is_even_and_a_limit_sees_all_of_it() -> None:
    made = Niah(Path())
    items = [item for item in build_items(made) if isinstance(item, Item)]
    assert len(items) == made.count() == made.declaration.n_items == 600
    assert len({item.id for item in items}) == 600
    parts = Counter(part for item in items for part in item.parts)
    assert {parts[f"{length}/{depth}"] for length in made.lengths for depth in made.depths} == {30}
    assert {parts[task] for task in made.tasks} == {200}
    first = list(build_items(made, 20))
    assert len({item.parts[0] for item in first if isinstance(item, Item)}) == 20
    assert [item.id for item in items] == list(made.ids())


def test_lengths_are_counted_by_a_tokenizer_that_is_named(micro_model: Path) -> None:
    from transformers import AutoTokenizer

    real = AutoTokenizer.from_pretrained(micro_model)
    made = Niah(Path(), lengths=(2048,), per_cell=3, tokenizer=micro_model)
    for item in build_items(made):
        assert isinstance(item, Item)
        n = len(real.encode(item.messages[0].render(), add_special_tokens=False))
        assert 2048 - ANSWER_ROOM - 120 < n <= 2048 - ANSWER_ROOM
    other = Niah(Path(), lengths=(2048,), per_cell=3)
    assert made.fingerprint() != other.fingerprint()
    assert made.declaration.protocol != other.declaration.protocol


@pytest.mark.parametrize(
    ("answer", "value", "status", "prediction"),
    [
        ("1234567", 1.0, "scored", "1234567"),
        ("The special magic number is **1234567**.", 1.0, "scored", "1234567"),
        ("<think>is it 7654321?</think>It is 1234567", 1.0, "scored", "1234567"),
        ("<think>It is 1234567</think>7654321", 0.0, "scored", "7654321"),
        ("1,234,567", 0.0, "scored", None),  # RULER compares strings
        ("I do not know", 0.0, "scored", None),
        ("", 0.0, "unparsable", None),
        ("<think>It is 1234567", 0.0, "unparsable", None),
    ],
)
def test_the_score(answer: str, value: float, status: str, prediction: str | None) -> None:
    item = Item("i", (), {"key": "k", "value": "1234567"}, "i")
    score = asyncio.run(Niah(Path()).score(item, Response(answer), Tools()))
    assert (score.value, score.status, score.prediction) == (value, status, prediction)


def test_capitals_do_not_matter() -> None:
    value = "7fd4b2a1-0c3e-4b5f-9e88-1a2b3c4d5e6f"
    item = Item("i", (), {"key": "k", "value": value}, "i")
    score = asyncio.run(Niah(Path()).score(item, Response(value.upper()), Tools()))
    assert score.value == 1.0


def reader(request: Request) -> str:
    """Find what is asked for, with a regular expression."""
    asked = re.search(r"magic (?:\w+) for (.+) mentioned in the provided text\?", request.text)
    assert asked is not None
    found = re.search(rf" for {re.escape(asked[1])} is: ([0-9a-f-]+)\.", request.text)
    assert found is not None
    return f"It is {found[1]}."


def forgetful(request: Request) -> str:
    """Answer as the reader does, but see nothing in the middle fifth of a text."""
    answer = reader(request)
    place = request.text.index(answer.removeprefix("It is ")) / len(request.text)
    return "I cannot find it." if 0.4 < place < 0.6 else answer


GRID = ["--set", "niah.lengths=1024,2048", "--set", "niah.depths=0,50,100",
        "--set", "niah.per_cell=6"]  # fmt: skip


def run(server: ScriptedServer, out: Path, *words: object) -> Any:
    done = harness("run", "--model", "scripted", "--endpoint", server.url, "--suite", "niah",
                   "--out", out, *GRID, *words)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--json" in words else done.stdout


def test_a_reader_finds_all_and_a_forgetful_one_all_but_the_middle(tmp_path: Path) -> None:
    essay = tmp_path / "essay.txt"
    essay.write_text(ESSAY, encoding="utf-8")
    every = ["--set", f"niah.tasks={','.join(TASKS)}", "--set", f"niah.essay={essay}"]
    with ScriptedServer(reader) as server:
        (row,) = run(server, tmp_path / "reader", *every, "--json")["benchmarks"]
    assert (row["n"], row["strict"], row["errors"]) == (36, 1.0, 0)
    assert {row["parts"][task] for task in TASKS} == {1.0}
    with ScriptedServer(forgetful) as server:
        (row,) = run(server, tmp_path / "forgetful", "--json")["benchmarks"]
        table = run(server, tmp_path / "forgetful")
    assert row["strict"] == 24 / 36
    assert [row["parts"][f"{n}/{depth}"] for n in (1024, 2048) for depth in (0, 50, 100)] == [
        1.0,
        0.0,
        1.0,
        1.0,
        0.0,
        1.0,
    ]
    assert row["parts"]["1024"] == 24 / 36
    assert re.search(r"^ +2048 +100\.0 +0\.0 +100\.0$", table, re.MULTILINE)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("niah.depths=50,101", "more than 100"),
        ("niah.lengths=1024,1024", "twice"),
        ("niah.tasks=single_2", "niah.essay=FILE"),
        ("niah.tasks=single_9", "write one of"),
        ("niah.essay=/nowhere/at/all", "no such file"),
        ("niah.tokenizer=/nowhere", "holds a tokenizer"),
        ("niah.lengths=128", "no room"),
        ("niah.seed=-1", "whole number"),
    ],
)
def test_wrong_settings_are_one_line(word: str, reason: str, tmp_path: Path) -> None:
    with ScriptedServer(reader) as server:
        done = harness("run", "--model", "scripted", "--endpoint", server.url, "--suite", "niah",
                       "--out", tmp_path, "--set", word)  # fmt: skip
        assert not server.requests
    assert done.returncode == 2
    assert reason in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_essay_that_is_no_text_is_refused(tmp_path: Path) -> None:
    blank = tmp_path / "blank.txt"
    blank.write_text(" \n", encoding="utf-8")
    with pytest.raises(UsageError, match="empty"):
        Niah(Path(), tasks=("single_2",), essay=blank).fingerprint()
    corrupt = tmp_path / "corrupt.txt"
    corrupt.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not readable text"):
        Niah(Path(), tasks=("single_2",), essay=corrupt).fingerprint()


def test_it_needs_no_data(tmp_path: Path) -> None:
    for command in ("pull", "verify"):
        done = harness("data", command, "niah", "--data-root", tmp_path)
        assert done.returncode == 0
        assert "no data needed" in done.stdout
    done = harness("data", "import", "niah", tmp_path)
    assert (done.returncode, "no data needed" in done.stderr) == (2, True)
