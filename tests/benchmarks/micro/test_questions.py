"""Questions about scenes: the answers are those that the picture's pixels give."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.micro.content import questions
from benchmarks.micro.content.questions import LARGE, SMALL, WIDE, Asked
from benchmarks.micro.content.scenes import COLOURS, Noise, Scene, scale, scene
from benchmarks.micro.content.splits import SPLITS, owner

SEEDS = range(40)
GRIDS = (SMALL, WIDE, LARGE)


def seen(picture: Scene) -> dict[str, tuple[str, str]]:
    """Cell -> colour and size, read from the noiseless pixels and nothing else."""
    pixels = replace(picture, noise=Noise(0, 0)).pixels()
    found = {}
    for row in range(picture.rows):
        for column in range(picture.columns):
            cell = pixels[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16].reshape(-1, 3)
            for name, rgb in COLOURS.items():
                filled = int((cell == np.array(rgb)).all(axis=1).sum())
                if filled:
                    # Discs of radius 7 and 4: areas of about 154 and 50 pixels.
                    found["abcdef"[column] + str(row + 1)] = (
                        name,
                        "large" if filled > 100 else "small",
                    )
    return found


def answer(asked: Asked) -> str:
    """Answer a question about one scene from its pixels, by a reading of its text."""
    (picture,) = asked.scenes
    things, text = seen(picture), asked.question.text
    colours = [colour for colour, _ in things.values()]
    sizes = [size for _, size in things.values()]
    if found := re.fullmatch(r"What (colour|size) is at (..)\?", text):
        return things[found[2]][found[1] == "size"]
    if found := re.fullmatch(r"Where is the (\w+) thing\?", text):
        (cell,) = [cell for cell, (colour, _) in things.items() if colour == found[1]]
        return cell
    if found := re.fullmatch(r"Is there a (\w+) thing\?", text):
        return "yes" if found[1] in colours else "no"
    if found := re.fullmatch(r"How many (\w+) things are there\?", text):
        return str(colours.count(found[1]))
    if text == "How many things are there?":
        return str(len(things))
    if found := re.match(r"What (?:share|fraction) of all things are (\w+)", text):
        return f"{sizes.count(found[1])}/{len(sizes)}"
    if found := re.match(r"How many (\w+) and how many (\w+) things", text):
        return str([sizes.count(found[1]), sizes.count(found[2])])
    found = re.fullmatch(r"Is the (\w+) thing (\w+) or (\w+)(?: of)? the (\w+) thing\?", text)
    assert found
    one, two = (next(c for c, thing in things.items() if thing[0] == found[i]) for i in (1, 4))
    index = 0 if found[2] == "left" else 1
    assert index == 0 or one[0] == two[0]
    return found[2] if one[index] < two[index] else found[3]


def same(said: str, right: str) -> bool:
    """Whether an answer is the right one, where that may be a fraction as ``2/5``."""
    if "/" not in right:
        return said == right
    top, bottom = map(int, right.split("/"))
    if fraction := re.fullmatch(r"\\frac\{(\d+)\}\{(\d+)\}", said):
        return int(fraction[1]) * bottom == top * int(fraction[2])
    return abs(float(said) - top / bottom) <= 0.005


ONE_SCENE = (*questions.FAMILIES, questions.share, questions.fraction, questions.two_counts)


@pytest.mark.parametrize("family", ONE_SCENE, ids=lambda family: family.__name__)
def test_answers_are_those_of_the_pixels(family: questions.Family) -> None:
    for seed in SEEDS:
        asked = questions.ask(random.Random(seed), "eval", family, 4, GRIDS[seed % 3])
        question = asked.question
        assert same(question.answer, answer(asked)), question
        assert question.options.count(question.answer) == 1
        assert len(set(question.options)) == len(question.options)
        assert question.options["ABCDEFGHIJ".index(question.letter)] == question.answer


@pytest.mark.parametrize("images", [2, 3, 4])
def test_answers_about_several_scenes_are_those_of_the_pixels(images: int) -> None:
    for seed in SEEDS:
        rng = random.Random(seed)
        told = questions.colour_in(rng, "eval", images)
        place = questions.ORDINALS.index(told.question.text.split()[-2])
        assert seen(told.scenes[place])[told.question.cell][0] == told.question.answer

        which = questions.which_holds(rng, "eval", images)
        colour = which.question.text.split()[3]
        holding = [seen(s).get(which.question.cell, ("",))[0] == colour for s in which.scenes]
        assert [questions.image_names(images)[i] for i in range(images) if holding[i]] == [
            which.question.answer
        ]

        most = questions.most_things(rng, "eval", images)
        counts = [len(seen(picture)) for picture in most.scenes]
        assert counts.count(max(counts)) == 1
        assert most.question.answer == questions.image_names(images)[counts.index(max(counts))]

        options = questions.pictures_as_options(rng, "eval", images)
        colour = options.question.text.split()[3]
        place = int(options.question.answer[7]) - 1
        assert seen(options.scenes[place])[options.question.cell][0] == colour


def test_the_same_colour_as_in_the_first_scene_is_in_one_other() -> None:
    for seed in SEEDS:
        asked = questions.same_as_first(random.Random(seed), "eval")
        first, *others = (seen(picture)[asked.question.cell][0] for picture in asked.scenes)
        assert others.count(first) == 1
        assert asked.question.answer == questions.image_names(3)[1 + others.index(first)]


def test_distances_are_marks_times_metres() -> None:
    for steps in (questions.STEPS, questions.HALVES):
        for seed in SEEDS:
            asked = questions.distance(random.Random(seed), "eval", steps)
            found = re.match(
                r"Each mark is ([\d.]+) m. How far is the (\w+) ball", asked.question.text
            )
            assert found
            (cell,) = [c for c, t in seen(asked.scenes[0]).items() if t[0] == found[2]]
            assert float(asked.question.answer) == float(found[1]) * ("abcdef".index(cell[0]) + 1)
            assert len(set(asked.question.options)) == 4


def test_a_split_owns_what_it_draws_and_a_seed_repeats_it() -> None:
    for split in SPLITS:
        drawn = [scene(random.Random(seed), split) for seed in range(20)]
        drawn += [scale(random.Random(seed), split) for seed in range(20)]
        assert {owner(picture.content) for picture in drawn} == {split}
        assert drawn[0] == scene(random.Random(0), split)
        assert (drawn[0].pixels() == scene(random.Random(0), split).pixels()).all()


def test_noise_is_what_it_says() -> None:
    """Empty cells hold the ground and pixel noise; the cell's shift shows in the discs alone."""
    picture = scene(random.Random(1), "eval", LARGE)
    noisy = replace(picture, noise=Noise(jitter=0, pixel=10)).pixels().astype(float)
    clean = replace(picture, noise=Noise(0, 0)).pixels().astype(float)
    middle = (clean > 60) & (clean < 195)  # where nothing is cut off at 0 or 255
    assert np.std((noisy - clean)[middle]) == pytest.approx(10, rel=0.05)
    shifted = replace(picture, noise=Noise(jitter=20, pixel=0)).pixels()
    changed = (shifted != clean).any(axis=2)
    assert (clean[changed] != 205).any(axis=1).all()
