"""Pairs and RL items: one decisive place, both contexts of the split, no content in two splits."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets as hub
import numpy as np
import pytest

from benchmarks import data
from benchmarks.data.images import decode
from benchmarks.micro import lessons, pairs
from benchmarks.micro.build import MIX, SEEING
from benchmarks.micro.datasets import write
from benchmarks.micro.splits import SPLITS, Split
from benchmarks.scoring import score
from benchmarks.selection import both_orders
from harness.records import ImagePart, Pair, Part, TextPart


def test_the_pictures_of_a_pair_differ_in_one_cell_alone() -> None:
    for made in pairs.pairs("pairs", 60, domains=("image",)):
        (one,), (two,) = made.context_positive, made.context_negative
        assert isinstance(one, ImagePart)
        assert isinstance(two, ImagePart)
        differ = np.asarray(one.image) != np.asarray(two.image)
        rows, columns = np.nonzero(differ.any(axis=2))
        cells = {
            ("abc"[column // 16], row // 16 + 1) for row, column in zip(rows, columns, strict=True)
        }
        assert len(cells) == 1
        assert made.query.endswith(" {}{}?".format(*cells.pop()))
        assert made.answer != made.answer_negative


def test_the_traces_of_a_pair_tell_different_answers_in_one_step() -> None:
    for made in pairs.pairs("pairs", 60, domains=("trajectory",)):
        (one,), (two,) = made.context_positive, made.context_negative
        assert isinstance(one, TextPart)
        assert isinstance(two, TextPart)
        words = zip(one.text.split(), two.text.split(), strict=True)
        (differing,) = [(a, b) for a, b in words if a != b]
        assert made.answer in differing[0]
        assert made.answer_negative is not None
        assert made.answer_negative in differing[1]


def test_both_orders_show_both_contexts_and_the_right_letter() -> None:
    for made in pairs.pairs("probe", 4):
        for asked, contexts in zip(
            both_orders(made),
            ((made.context_positive, made.context_negative),) * 1
            + ((made.context_negative, made.context_positive),),
            strict=True,
        ):
            (message,) = asked.messages
            place = "AB".index(asked.letter)
            assert message.content[1 + 2 * place] == made.context_positive[0]
            assert (message.content[1], message.content[3]) == (contexts[0][0], contexts[1][0])
            end = message.content[-1]
            assert isinstance(end, TextPart)
            assert f"Question: {made.query}\nAnswer: {made.answer}\n" in end.text


def test_a_right_answer_to_an_rl_item_scores_and_a_wrong_one_does_not() -> None:
    for task in pairs.tasks("rl", 60):
        assert score(task.target.answer, task.target).value == 1.0
        wrong = {"choice": "A" if task.target.answer != "A" else "B", "number": "99", "text": "x y"}
        assert score(wrong[task.target.kind], task.target).value == 0.0


def _contents(split: Split, root: Path) -> set[str]:
    """The digests of every picture and trace of a split, in all the forms that the world makes."""
    rng = random.Random(1)
    found = {_digest(part) for made in pairs.pairs(split, 300) for part in _contexts(made)}
    for task in pairs.tasks(split, 300):
        (message,) = task.messages
        images = [part for part in message.content if isinstance(part, ImagePart)]
        found |= {_digest(part) for part in images or message.content}
    for lesson in [lessons.make(rng, mix, split) for mix in (SEEING, MIX) for _ in range(300)]:
        if lesson.kind == "options":  # a list of words: neither a picture nor a trace
            continue
        images = [ImagePart(picture.draw()) for picture in lesson.pictures]
        found |= {_digest(part) for part in images or [TextPart(lesson.text)]}
    if split == "eval":
        write(root, n=40)
        pictures = [image for name in data.SOURCES for image in _pictures(root / name)]
        found |= {_digest(ImagePart(image)) for image in pictures}
    return found


def _contexts(made: Pair) -> tuple[Part, ...]:
    return (*made.context_positive, *made.context_negative)


def _pictures(folder: Path) -> list[Any]:
    found: list[Any] = []
    for place in sorted({path.parent for path in folder.rglob("dataset_dict.json")}):
        for table in hub.load_from_disk(str(place)).values():
            for row in table:
                found += [cell for cell in row.values() if hasattr(cell, "convert")]
                found += [
                    decode(row[name]) for name in ("bytes", "image") if _encoded(row.get(name))
                ]
    return found


def _encoded(cell: object) -> bool:
    return isinstance(cell, str) and len(cell) > 200


def _digest(part: Part) -> str:
    """A picture by its pixels, a text by the trace in it, without the question and its frame."""
    if isinstance(part, ImagePart):
        return hashlib.sha256(part.image.convert("RGB").tobytes()).hexdigest()
    trace = part.text.partition("<text>\n")[2] or part.text
    return trace.partition("\n</text>")[0].partition("\nWhat ")[0]


def test_no_picture_and_no_trace_is_in_two_splits(tmp_path: Path) -> None:
    """By content, over pairs, RL items, lessons and the embedded benchmarks."""
    contents = {split: _contents(split, tmp_path) for split in SPLITS}
    for split in SPLITS:
        assert len(contents[split]) > 1000
        for other in SPLITS:
            assert split == other or not contents[split] & contents[other]


@pytest.mark.parametrize("make", [pairs.pairs, pairs.tasks])
def test_the_same_seed_gives_the_same(make: object) -> None:
    assert callable(make)
    assert make("rl", 10, 3) == make("rl", 10, 3)
    assert make("rl", 10, 3) != make("rl", 10, 4)


def test_the_version_is_of_all_code_that_makes_them() -> None:
    program = "import sys, benchmarks.micro.pairs; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    stem = "benchmarks.micro."
    names = sorted(name.removeprefix(stem) for name in done.stdout.split() if name.startswith(stem))
    folder = Path(pairs.__file__).parent
    sources = b"".join((folder / f"{name}.py").read_bytes() for name in names)
    assert "scenes" in names
    assert pairs.version() == f"micro-{hashlib.sha256(sources).hexdigest()[:12]}"
