"""Questions about scenes whose answers are right by construction, one function per family.

A family returns None where the scene does not allow its question.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from benchmarks.micro.content.prompts import LETTERS, REALWORLD_NONE
from benchmarks.micro.content.scenes import (
    COLOURS,
    SIZES,
    Scene,
    Sheet,
    Thing,
    cell_name,
    scale,
    scene,
    sheet,
)
from benchmarks.micro.content.splits import Split, draw_until

ORDINALS = ("first", "second", "third", "fourth")

# What the questions below are made of besides names: whole tokens of the embedded model.
PHRASES = tuple(
    "What colour is at|What size is at|Where is the|Is there a| thing?|How many|"
    " things are there?|How many things are there?|Is the| thing left or right of the|"
    " thing above or below the| of| at|Which image has|Which image has the same colour at|"
    " as the first image?|Which image has the most things?|What share of all things are|"
    "? Give two decimals.|What fraction of all things are|, in lowest terms?| and how many|"
    " things are there? Answer with a list.|Each mark is| m. How far is the| ball|"
    " from the start?| m. How far are the| ball and the| m / s. Where is the| at $t$?|"
    " m / s. Give the equation of the| m. What is left of the|Name the things|Name the marks.|"
    "Name the choices.|Answer:|. Is this correct?".split("|")
)

Kind = Literal["integer", "float", "list", "text", "latex"]


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its right answer as text, and options of which exactly one is right.

    ``cell`` is the one that the answer hangs on, where there is one.
    """

    text: str
    answer: str
    kind: Kind
    options: tuple[str, ...]
    family: str
    cell: str = ""

    @property
    def letter(self) -> str:
        """The letter of the right option."""
        return LETTERS[self.options.index(self.answer)]


@dataclass(frozen=True, slots=True)
class Asked:
    """Scenes in order and a question about them."""

    scenes: tuple[Scene, ...]
    question: Question


Family = Callable[[random.Random, Scene, int], Question | None]


def shuffled(rng: random.Random, right: str, wrong: Sequence[str], number: int) -> tuple[str, ...]:
    """Return ``right`` and up to ``number - 1`` of ``wrong``, in random order."""
    others = [text for text in dict.fromkeys(wrong) if text != right]
    options = [right, *rng.sample(others, min(number - 1, len(others)))]
    rng.shuffle(options)
    return tuple(options)


# --- one scene ------------------------------------------------------------------------------


def colour_at(rng: random.Random, picture: Scene, number: int) -> Question:
    """Ask which colour the thing in a cell has."""
    thing = rng.choice(picture.things)
    options = shuffled(rng, thing.colour, tuple(COLOURS), number)
    text = f"What colour is at {thing.cell}?"
    return Question(text, thing.colour, "text", options, "colour", thing.cell)


def size_at(rng: random.Random, picture: Scene, number: int) -> Question:
    """Ask which size the thing in a cell has (always two options)."""
    thing = rng.choice(picture.things)
    options = shuffled(rng, thing.size, tuple(SIZES), 2)
    text = f"What size is at {thing.cell}?"
    return Question(text, thing.size, "text", options, "size", thing.cell)


def where(rng: random.Random, picture: Scene, number: int) -> Question | None:
    """Ask for the cell of the only thing of its colour."""
    single = _single(picture)
    if not single:
        return None
    thing = rng.choice(single)
    cells = [cell_name(r, c) for r in range(picture.rows) for c in range(picture.columns)]
    options = shuffled(rng, thing.cell, cells, number)
    text = f"Where is the {thing.colour} thing?"
    return Question(text, thing.cell, "text", options, "place", thing.cell)


def there(rng: random.Random, picture: Scene, number: int) -> Question:
    """Ask whether there is a thing of a colour (yes or no)."""
    present = {thing.colour for thing in picture.things}
    absent = [colour for colour in COLOURS if colour not in present]
    asked = rng.random() < 0.5 or not absent
    colour = rng.choice(sorted(present)) if asked else rng.choice(absent)
    answer = "yes" if asked else "no"
    options = shuffled(rng, answer, ("yes", "no"), 2)
    return Question(f"Is there a {colour} thing?", answer, "text", options, "presence")


def count_colour(rng: random.Random, picture: Scene, number: int) -> Question:
    """Ask how many things have a colour that at least one has."""
    colour = rng.choice(sorted({thing.colour for thing in picture.things}))
    answer = sum(thing.colour == colour for thing in picture.things)
    return _number(rng, f"How many {colour} things are there?", answer, number, "count of a colour")


def count_all(rng: random.Random, picture: Scene, number: int) -> Question:
    """Ask how many things there are."""
    return _number(rng, "How many things are there?", len(picture.things), number, "count")


def side(rng: random.Random, picture: Scene, number: int) -> Question | None:
    """Ask on which side of one thing another lies (always two options)."""
    single = _single(picture)
    if len(single) < 2:
        return None
    thing, other = rng.sample(single, 2)
    if thing.column != other.column:
        sides, of, before = ("left", "right"), " of", thing.column < other.column
    else:
        sides, of, before = ("above", "below"), "", thing.row < other.row
    answer = sides[0] if before else sides[1]
    text = f"Is the {thing.colour} thing {' or '.join(sides)}{of} the {other.colour} thing?"
    return Question(text, answer, "text", shuffled(rng, answer, sides, 2), "side")


def share(rng: random.Random, picture: Scene, number: int) -> Question | None:
    """Ask for the share of a size, to two decimals (none that lies between two of them: 1/8)."""
    size = rng.choice(list(SIZES))
    total = len(picture.things)
    part = sum(thing.size == size for thing in picture.things)
    if part * 200 % total == 0 and part * 100 % total:
        return None
    answer = f"{part / total:.2f}"
    wrong = [f"{part / 12:.2f}" for part in range(13)]
    text = f"What share of all things are {size}? Give two decimals."
    return Question(text, answer, "float", shuffled(rng, answer, wrong, number), "share")


def fraction(rng: random.Random, picture: Scene, number: int) -> Question:
    """Ask for the share of a size as a fraction in lowest terms (LaTeX)."""
    size = rng.choice(list(SIZES))
    total = len(picture.things)
    part = Fraction(sum(thing.size == size for thing in picture.things), total)
    wrong = [latex(Fraction(top, bottom)) for bottom in range(2, 8) for top in range(1, bottom)]
    text = f"What fraction of all things are {size}, in lowest terms?"
    options = shuffled(rng, latex(part), wrong, number)
    return Question(text, latex(part), "latex", options, "fraction")


def latex(value: Fraction) -> str:
    r"""Return a fraction as LaTeX: ``\frac{2}{5}``, or the bare integer."""
    if value.denominator == 1:
        return str(value.numerator)
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def two_counts(rng: random.Random, picture: Scene, number: int) -> Question:
    """Ask for two counts as a list."""
    sizes = rng.sample(list(SIZES), 2)
    counts = [sum(thing.size == size for thing in picture.things) for size in sizes]
    wrong = [str([first, second]) for first in range(5) for second in range(5)]
    text = "How many {} and how many {} things are there? Answer with a list.".format(*sizes)
    options = shuffled(rng, str(counts), wrong, number)
    return Question(text, str(counts), "list", options, "two counts")


FAMILIES: tuple[Family, ...] = (colour_at, count_colour, size_at, where, side, there, count_all)


def colour_at_empty(rng: random.Random, picture: Scene, number: int) -> Question:
    """Ask for the colour in an empty cell; the option that none fits is the last and right."""
    cell = rng.choice(picture.empty)
    options = (*rng.sample(list(COLOURS), number), REALWORLD_NONE)
    text = f"What colour is at {cell}?"
    return Question(text, REALWORLD_NONE, "text", options, "colour in an empty cell", cell)


# Rows and columns of scenes, and how many things those have.
SMALL, WIDE, LARGE = (3, 3), (3, 4), (4, 4)
_THINGS = {SMALL: (3, 7), WIDE: (4, 9), LARGE: (6, 12)}


def any_scene(rng: random.Random, split: Split, grid: tuple[int, int]) -> Scene:
    """Return a scene of one of the three grids, with the number of things that is usual there."""
    return scene(rng, split, grid, _THINGS[grid])


def ask(
    rng: random.Random, split: Split, family: Family, number: int = 4, grid: tuple[int, int] = SMALL
) -> Asked:
    """Return a scene of one of the three grids that ``split`` owns, and a question about it."""

    def draw() -> Asked | None:
        picture = any_scene(rng, split, grid)
        question = family(rng, picture, number)
        return Asked((picture,), question) if question else None

    asked = draw_until(draw, lambda asked: asked is not None)
    assert asked is not None
    return asked


def in_signs(asked: Asked, options: Sequence[str]) -> Sheet:
    """Return the sheet that asks for a colour in a cell, or the count of a colour, in signs."""
    picture = asked.scenes[0]
    if asked.question.family == "colour":
        return sheet(picture, cell=asked.question.cell, options=options)
    if asked.question.family == "count of a colour":
        return sheet(picture, colour=asked.question.text.split()[2])
    raise ValueError(f"there are no signs for questions of the family {asked.question.family}")


# --- several scenes -------------------------------------------------------------------------


def colour_in(rng: random.Random, split: Split, images: int, number: int = 4) -> Asked:
    """Ask for the colour in a cell of one of several scenes."""
    pictures = tuple(scene(rng, split) for _ in range(images))
    chosen = rng.randrange(images)
    thing = rng.choice(pictures[chosen].things)
    text = f"What colour is at {thing.cell} of the {ORDINALS[chosen]} image?"
    options = shuffled(rng, thing.colour, tuple(COLOURS), number)
    question = Question(text, thing.colour, "text", options, "colour in an image", thing.cell)
    return Asked(pictures, question)


def which_holds(rng: random.Random, split: Split, images: int, number: int = 4) -> Asked:
    """Ask which of several scenes has a colour in a cell; the others have another one there."""
    chosen = rng.randrange(images)
    first = scene(rng, split)
    thing = rng.choice(first.things)
    others = [_rival(rng, split, thing) for _ in range(images - 1)]
    pictures = (*others[:chosen], first, *others[chosen:])
    names = image_names(images)
    text = f"Which image has {thing.colour} at {thing.cell}?"
    options = shuffled(rng, names[chosen], names, images)
    return Asked(pictures, Question(text, names[chosen], "text", options, "image with", thing.cell))


def most_things(rng: random.Random, split: Split, images: int, number: int = 4) -> Asked:
    """Ask which of several scenes (of different numbers of things) has most things."""
    sizes = rng.sample(range(2, 9), images)
    pictures = tuple(scene(rng, split, things=(size, size)) for size in sizes)
    names = image_names(images)
    answer = names[sizes.index(max(sizes))]
    options = shuffled(rng, answer, names, images)
    text = "Which image has the most things?"
    return Asked(pictures, Question(text, answer, "text", options, "most"))


def same_as_first(rng: random.Random, split: Split, images: int = 3, number: int = 4) -> Asked:
    """Ask which of the other scenes has the first one's colour in a cell."""
    first = scene(rng, split)
    thing = rng.choice(first.things)
    chosen = rng.randrange(1, images)
    others = [_rival(rng, split, thing, same=place == chosen) for place in range(1, images)]
    names = image_names(images)
    text = f"Which image has the same colour at {thing.cell} as the first image?"
    options = shuffled(rng, names[chosen], names[1:], images - 1)
    question = Question(text, names[chosen], "text", options, "matching", thing.cell)
    return Asked((first, *others), question)


SEVERAL = (colour_in, which_holds, most_things)


def pictures_as_options(rng: random.Random, split: Split, images: int) -> Asked:
    """Ask which picture has a colour in a cell; the options are the pictures, in any order."""
    asked = which_holds(rng, split, images)
    chosen = image_names(images).index(asked.question.answer)
    marks = [f"<image {place + 1}>" for place in range(images)]
    options = shuffled(rng, marks[chosen], marks, images)
    question = replace(asked.question, answer=marks[chosen], options=options)
    return replace(asked, question=replace(question, family="pictures as options"))


def marked(asked: Asked) -> Asked:
    """Return the question with its pictures' marks (``<image 1>``) before its text."""
    marks = " ".join(f"<image {place + 1}>" for place in range(len(asked.scenes)))
    return replace(asked, question=replace(asked.question, text=f"{marks} {asked.question.text}"))


def image_names(images: int) -> list[str]:
    """Return how options name the images: ``the first image``, and so on."""
    return [f"the {ORDINALS[place]} image" for place in range(images)]


def _rival(rng: random.Random, split: Split, thing: Thing, *, same: bool = False) -> Scene:
    """Return a scene with the colour of ``thing`` in its cell, or there with another colour."""

    def fits(drawn: Scene) -> bool:
        found = drawn.at(thing.cell)
        return found is not None and (found.colour == thing.colour) == same

    return draw_until(lambda: scene(rng, split), fits)


# --- scales ---------------------------------------------------------------------------------

STEPS = (2.0, 3.0, 5.0)
HALVES = (0.5, 1.5, 2.5)


def distance(
    rng: random.Random, split: Split, steps: Sequence[float] = STEPS, number: int = 4
) -> Asked:
    """Ask how far a ball is on its scale: its mark times the metres per mark.

    The answer is an integer for whole ``steps``, else has one decimal; wrong options are the
    distances of other marks.
    """
    picture = scale(rng, split)
    ball, step = rng.choice(picture.things), rng.choice(list(steps))
    kind: Kind = "integer" if steps is STEPS else "float"
    far = [f"{step * mark:{'.0f' if kind == 'integer' else '.1f'}}" for mark in range(1, 7)]
    answer = far[ball.column]
    text = f"Each mark is {step:g} m. How far is the {ball.colour} ball from the start?"
    options = shuffled(rng, answer, far, number)
    return Asked((picture,), Question(text, answer, kind, options, "distance", ball.cell))


@dataclass(frozen=True, slots=True)
class Physics:
    """A free-form question on scales in OlympiadBench's terms; ``answers`` are LaTeX."""

    picture: Scene
    text: str
    answers: tuple[str, ...]
    kind: str
    unit: str | None
    error: str | None
    reading: str


# Mostly numbers; each of the other answer types of the benchmark once in nine.
PHYSICS = tuple(
    "distance several distance expression distance equation distance interval distance".split()
)


def physics(rng: random.Random, split: Split, form: str) -> Physics:
    """Return a question of one of the forms in `PHYSICS`."""
    picture = draw_until(
        lambda: scale(rng, split), lambda drawn: len({ball.column for ball in drawn.things}) == 3
    )
    first, second, _ = rng.sample(picture.things, 3)
    step = int(rng.choice(STEPS))
    v, w = step * (first.column + 1), step * (second.column + 1)
    each, ball = f"Each mark is {step} m", f"the {first.colour} ball"
    far = f"How far are {ball} and the {second.colour} ball from the start?"
    text, answers, kind, unit = {
        "distance": (f"{each}. How far is {ball} from the start?", (f"{v}",), "Numerical", "m"),
        "several": (f"{each}. {far}", (f"{v}", f"{w}"), "Numerical", "m"),
        "expression": (f"{each} / s. Where is {ball} at $t$?", (f"{v} t",), "Expression", None),
        "equation": (f"{each} / s. Give the equation of {ball}.", (f"x={v} t",), "Equation", None),
        "interval": (f"{each}. What is left of {ball}?", (f"[0, {v}]",), "Interval", "m"),
    }[form]
    reading = f"{first.column + 1} for {ball}, {second.column + 1} for the {second.colour} one"
    error = "1e-1" if kind == "Numerical" else None
    return Physics(picture, f"<image_1> {text}", answers, kind, unit, error, reading)


def _options() -> tuple[str, ...]:
    """Return the texts that options have, except pictures and what stands in traces."""
    steps = range(1, 7)
    whole = sorted({int(step) * mark for step in STEPS for mark in steps})
    halves = sorted({step * mark for step in HALVES for mark in steps})
    shares = {Fraction(part, total) for total in range(2, 13) for part in range(total + 1)}
    cells = [cell_name(row, column) for row in range(4) for column in range(4)]
    texts = (*COLOURS, *SIZES, "yes", "no", "left", "right", "above", "below", *cells)
    texts += (*image_names(4), *(str(number) for number in range(13)), *map(str, whole))
    texts += (*(f"{metres} m" for metres in whole), *(f"{metres:.1f}" for metres in halves))
    texts += (*(f"{float(part):.2f}" for part in sorted(shares)), *map(latex, sorted(shares)))
    texts += (*(str([first, second]) for first in range(8) for second in range(8)),)
    return tuple(dict.fromkeys(texts))


OPTIONS = _options()


# --- shared ---------------------------------------------------------------------------------


def _single(picture: Scene) -> list[Thing]:
    """Return the things that are the only ones of their colour."""
    colours = [thing.colour for thing in picture.things]
    return [thing for thing in picture.things if colours.count(thing.colour) == 1]


def _number(rng: random.Random, text: str, answer: int, number: int, family: str) -> Question:
    wrong = [str(value) for value in range(max(10, number + 1))]
    options = shuffled(rng, str(answer), wrong, number)
    return Question(text, str(answer), "integer", options, family)
