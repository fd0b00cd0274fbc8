"""Pairs and RL items: one decisive place, both contexts of the split, no content in two splits."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

from benchmarks.micro.content.scenes import COLOURS, SIZES, Scene, Sheet
from benchmarks.micro.content.splits import SPLITS, Split, owner
from benchmarks.micro.data import datasets, longbench, pairs
from benchmarks.micro.model import lessons
from benchmarks.micro.model.build import MIX, SEEING
from benchmarks.pairs.selection import both_orders
from benchmarks.scoring import score
from harness.records import ImagePart, Part, TextPart


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


def test_repetition_does_not_tell_which_trace_supports() -> None:
    """Exchangeable traces: of n pairs that differ, n/2 +- 4 sqrt(n)/2 repeat more in the one."""
    more = []
    for made in pairs.pairs("pairs", 300, domains=("trajectory",)):
        texts = (made.context_positive[0].text, made.context_negative[0].text)  # type: ignore[union-attr]
        one, two = (len(set(text.split())) for text in texts)
        more += [one > two] if one != two else []
    assert len(more) > 60
    assert abs(sum(more) - len(more) / 2) < 2 * len(more) ** 0.5


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


def _made(split: Split, root: Path) -> Iterator[Part]:
    """Every picture and trace of a split, in all the forms that the world makes."""
    rng = random.Random(1)
    for made in pairs.pairs(split, 120):
        yield from (*made.context_positive, *made.context_negative)
    for task in pairs.tasks(split, 120):
        yield from task.messages[0].content
    for lesson in [lessons.make(rng, mix, split) for mix in (SEEING, MIX) for _ in range(120)]:
        if lesson.kind != "options":  # a list of words: neither a picture nor a trace
            yield from (ImagePart(picture.draw()) for picture in lesson.pictures)
            yield TextPart(lesson.text)
    if split == "eval":
        datasets.write(root, n=24)
        longbench.write(root)
        rows = json.loads((root / "longbench_v2" / "data.json").read_text())
        yield from (TextPart(row["context"]) for row in rows)


def _traces(parts: Iterable[Part]) -> set[str]:
    """The traces in texts, without the questions and their frames."""
    texts = (part.text for part in parts if isinstance(part, TextPart))
    told = (text.partition("<text>\n")[2] or text for text in texts)
    found = (text.partition("\n</text>")[0].partition("\nWhat ")[0] for text in told)
    return {text for text in found if any(step in text for step in ("read ", "$ ", "call "))}


@contextmanager
def _watched() -> Iterator[list[Scene]]:
    """Yield a list that fills with every scene that is drawn; keys of sheets are left out."""
    drawn: list[Scene] = []

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code is Scene.pixels.__code__:
            scene, caller = frame.f_locals["self"], frame.f_back
            of_sheet = caller is not None and caller.f_code is Sheet.pixels.__code__
            if not (of_sheet and scene is caller.f_locals["self"].key):  # type: ignore[union-attr]
                drawn.append(scene)

    sys.setprofile(watch)
    try:
        yield drawn
    finally:
        sys.setprofile(None)


@pytest.mark.slow
def test_what_a_split_makes_is_its_own_and_in_no_other_split(tmp_path: Path) -> None:
    """By content without noise: pairs, RL items, lessons, the embedded benchmarks."""
    contents: dict[Split, set[str]] = {}
    for split in SPLITS:
        with _watched() as drawn:
            traces = _traces(_made(split, tmp_path))
        scenes = {scene.content for scene in drawn}
        assert len(scenes) > 280
        assert len(traces) > 120
        contents[split] = scenes | traces
        assert {owner(content) for content in contents[split]} == {split}
    for one, two in combinations(SPLITS, 2):
        assert not contents[one] & contents[two]


def test_noise_and_frame_do_not_decide_the_split_of_a_scene() -> None:
    scene = pairs.scene_pair(random.Random(0), "pairs").positive
    assert replace(scene, seed=scene.seed + 1, framed=(0, 0)).content == scene.content
    thing = scene.things[0]
    others = [scene.changed(thing, colour=colour) for colour in COLOURS if colour != thing.colour]
    others += [scene.changed(thing, size=size) for size in SIZES if size != thing.size]
    assert scene.content not in {other.content for other in others}


@pytest.mark.parametrize("make", [pairs.pairs, pairs.tasks])
def test_the_same_seed_gives_the_same(make: object) -> None:
    assert callable(make)
    assert make("rl", 10, 3) == make("rl", 10, 3)
    assert make("rl", 10, 3) != make("rl", 10, 4)


def test_the_version_is_of_all_code_that_makes_them() -> None:
    program = "import sys, benchmarks.micro.data.pairs; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    stem = "benchmarks.micro.content."
    names = sorted(name.removeprefix(stem) for name in done.stdout.split() if name.startswith(stem))
    own = Path(pairs.__file__)
    content = own.parents[1] / "content"
    files = [own, *(content / f"{name}.py" for name in names)]
    sources = b"".join(path.read_bytes() for path in files)
    assert "scenes" in names
    assert pairs.version() == f"micro-{hashlib.sha256(sources).hexdigest()[:12]}"
