"""What the embedded base model is taught: short conversations about scenes and traces.

The lessons hold the benchmarks' own prompts and the skills below them, on the pretraining split
alone.  Where options are listed, the right one and its letter are a thought before the answer: a
model this small cannot find both at once.  The selection prompt is not among the lessons.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.micro.content import prompts, questions, traces
from benchmarks.micro.content.questions import LARGE, ORDINALS, SMALL, WIDE, Asked
from benchmarks.micro.content.scenes import COLOURS, Scene, Sheet, scale, sheet
from benchmarks.micro.content.splits import Split


@dataclass(frozen=True, slots=True)
class Lesson:
    """Pictures, the text after them (or around, where it has marks), and the answer to give."""

    pictures: tuple[Scene | Sheet, ...]
    text: str
    answer: str
    kind: str


Maker = Callable[[random.Random, Split], Lesson]

# Every other scene is small.
_GRIDS = (SMALL, SMALL, WIDE, LARGE)
# What a cell holds is what most questions come down to.
_FAMILIES = (*[questions.colour_at] * 3, *questions.FAMILIES)


# --- seeing ---------------------------------------------------------------------------------


def caption(rng: random.Random, split: Split) -> Lesson:
    """Name all things of one scene, or of one of two or three, each after its cell."""
    number = rng.choice((1, 1, 1, 2, 2, 3))
    grid = SMALL if number > 1 else rng.choice(_GRIDS)
    pictures = tuple(questions.any_scene(rng, split, grid) for _ in range(number))
    chosen = rng.randrange(number)
    whose = f" of the {ORDINALS[chosen]} image" if number > 1 else ""
    named = " ".join(f"{t.cell} {t.colour} {t.size}" for t in pictures[chosen].things)
    return Lesson(pictures, f"Name the things{whose}.", named, "caption")


def marks(rng: random.Random, split: Split) -> Lesson:
    """Name the mark of every ball on its scale, with its colour."""
    picture = scale(rng, split)
    named = ", ".join(f"{thing.colour} {thing.column + 1}" for thing in picture.things)
    return Lesson((picture,), "Name the marks.", named, "marks")


def key(rng: random.Random, split: Split) -> Lesson:
    """Name the framed colour and the options of a sheet."""
    picture = questions.any_scene(rng, split, WIDE)
    thing = rng.choice(picture.things)
    options = questions.shuffled(rng, thing.colour, tuple(COLOURS), rng.choice((4, 8)))
    shown = sheet(picture, cell=thing.cell, options=options)
    return Lesson((shown,), "Name the choices.", " ".join((thing.colour, *options)), "key")


def options(rng: random.Random, split: Split) -> Lesson:
    """Name all of a list of options, in another order, each with its letter."""
    listed = rng.sample(questions.OPTIONS, rng.choice((2, 3, 4, 4, 5, 8, 10)))
    if rng.random() < 0.4:
        listed = rng.sample(tuple(COLOURS), min(len(listed), len(COLOURS)))
    lettered = list(zip(listed, prompts.LETTERS, strict=False))
    rng.shuffle(lettered)
    named = " ".join(prompts.thought(option, letter) for option, letter in lettered)
    return Lesson((), prompts.lines(listed, rng.choice(prompts.FORMS)), named, "options")


# --- answering ------------------------------------------------------------------------------


def looked_up(rng: random.Random, split: Split) -> Lesson:
    """Answer an open question on what is in one cell, of one scene or of one of two or three."""
    if rng.random() < 0.35:
        asked = questions.colour_in(rng, split, rng.choice((2, 2, 3)))
    else:
        family = rng.choice((*[questions.colour_at] * 3, questions.size_at, questions.where))
        asked = questions.ask(rng, split, family, grid=rng.choice(_GRIDS))
    return _opened(asked, "look up")


def _opened(asked: Asked, kind: str) -> Lesson:
    text = prompts.mmmu(asked.question.text, ())
    return Lesson(asked.scenes, text, asked.question.answer, kind)


def opened(rng: random.Random, split: Split) -> Lesson:
    """Answer an open question on one scene in a word."""
    asked = questions.ask(rng, split, rng.choice(_FAMILIES), grid=rng.choice(_GRIDS))
    return _opened(asked, "open")


def opened_several(rng: random.Random, split: Split) -> Lesson:
    """Answer an open question on two or three scenes in a few words."""
    asked = rng.choice(questions.SEVERAL)(rng, split, rng.choice((2, 3)))
    return _opened(asked, "open, several")


def verified(rng: random.Random, split: Split) -> Lesson:
    """Say whether an answer to a question on one or two scenes is correct."""
    if rng.random() < 0.6:
        asked = questions.ask(rng, split, rng.choice(_FAMILIES))
    else:
        asked = rng.choice((questions.colour_in, questions.which_holds))(rng, split, 2)
    question = asked.question
    right = rng.random() < 0.5
    wrong = [option for option in question.options if option != question.answer]
    answer = question.answer if right else rng.choice(wrong)
    text = f"Question: {question.text}\nAnswer: {answer}. Is this correct?"
    return Lesson(asked.scenes, text, "yes" if right else "no", "verify")


_CHOICES = tuple(prompts.CHOICE)
_OPTIONS = {"mmmu_pro": (8, 10), "mathvision": (5,), "scienceqa": (2, 3, 4, 5), "blink": (4,)}


def chosen(rng: random.Random, split: Split) -> Lesson:
    """Choose an option about one scene, as any of the benchmarks asks."""
    benchmark = rng.choice(_CHOICES)
    family = rng.choice(_FAMILIES)
    if benchmark == "mme_realworld_lite" and rng.random() < 0.2:
        family = questions.colour_at_empty
    number = rng.choice(_OPTIONS.get(benchmark, (4,)))
    asked = questions.ask(rng, split, family, number, rng.choice(_GRIDS))
    if benchmark == "mmmu_pro":
        asked = questions.marked(asked)
    return _chosen(benchmark, asked, "choice")


def _chosen(benchmark: str, asked: Asked, kind: str) -> Lesson:
    question = asked.question
    answer = prompts.chosen(benchmark, question.answer, question.letter)
    prompt = prompts.CHOICE[benchmark](question.text, question.options)
    return Lesson(asked.scenes, prompt, answer, kind)


def chosen_several(rng: random.Random, split: Split) -> Lesson:
    """Choose an option about two to four scenes."""
    benchmark = rng.choice(("blink", "blink", "mmmu", "mmmu_pro"))
    if benchmark != "blink" and rng.random() < 0.3:
        return _pictures(rng, split, benchmark)
    family = rng.choice((*questions.SEVERAL, questions.same_as_first))
    images = 3 if family is questions.same_as_first else rng.choice((2, 2, 3, 4))
    asked = family(rng, split, images)
    if benchmark == "mmmu_pro":
        asked = questions.marked(asked)
    return _chosen(benchmark, asked, "choice, several")


def _pictures(rng: random.Random, split: Split, benchmark: str) -> Lesson:
    """Choose among pictures: MMMU puts them where the options name them, MMMU-Pro in front."""
    asked = questions.pictures_as_options(rng, split, rng.choice((2, 3, 4)))
    question = asked.question
    if benchmark == "mmmu_pro":
        return _chosen(benchmark, asked, "choice, pictures")
    shown = tuple(asked.scenes[int(option[7]) - 1] for option in question.options)
    text = prompts.mmmu_pictures(question.text, len(shown))
    return Lesson(shown, text, question.letter, "choice, pictures")


def counted(rng: random.Random, split: Split) -> Lesson:
    """Write a number, as the mathematical benchmarks ask for it."""
    family = rng.choice((questions.count_colour, questions.count_all))
    asked = questions.ask(rng, split, family, grid=rng.choice(_GRIDS))
    text, answer = asked.question.text, asked.question.answer
    prompt, answer = (
        (prompts.mathvista(text, (), "integer"), answer),
        (prompts.mathverse(text, ()), answer),
        (prompts.mathvision(text, ()), prompts.boxed(answer)),
    )[rng.randrange(3)]
    return Lesson(asked.scenes, prompt, answer, "number")


def measured(rng: random.Random, split: Split) -> Lesson:
    """Read a scale and multiply, as the physical benchmarks and MathVista ask."""
    form = rng.randrange(6)
    if form in (0, 1):
        asked = questions.distance(rng, split, questions.HALVES if form else questions.STEPS)
        hint = "float1" if form else "integer"
        text = prompts.mathvista(f"{asked.question.text} (Unit: m)", (), hint)
        return Lesson(asked.scenes, text, asked.question.answer, "physics")
    if form in (2, 3):
        made = questions.physics(rng, split, rng.choice(questions.PHYSICS))
        text = prompts.olympiad(made.text, made.kind, several=len(made.answers) > 1)
        return Lesson((made.picture,), text, prompts.olympiad_answer(made.answers), "physics")
    asked = questions.distance(rng, split)
    options = [f"{option} m" for option in asked.question.options]
    text = prompts.phyx(asked.question.text, options)
    answer = prompts.chosen("phyx", f"{asked.question.answer} m", asked.question.letter)
    return Lesson(asked.scenes, text, answer, "physics, choice")


def computed(rng: random.Random, split: Split) -> Lesson:
    """Give a share, a fraction or two counts, written out or by its letter."""
    family = rng.choice((questions.share, questions.fraction, questions.two_counts))
    asked = questions.ask(rng, split, family, 4)
    question = asked.question
    if rng.random() < 0.4:
        return _chosen(rng.choice(("mmstar", "mathvision")), asked, "computed, choice")
    if family is questions.fraction:
        text = prompts.mathvision(question.text, ())
        return Lesson(asked.scenes, text, prompts.boxed(question.answer), "computed")
    hint = "float2" if family is questions.share else "list"
    text = prompts.mathvista(question.text, (), hint)
    return Lesson(asked.scenes, text, question.answer, "computed")


def signed(rng: random.Random, split: Split) -> Lesson:
    """Answer a question that stands in the picture in signs."""
    picture = questions.any_scene(rng, split, WIDE)
    thing = rng.choice(picture.things)
    form = rng.randrange(4)
    if form == 0:
        count = sum(other.colour == thing.colour for other in picture.things)
        shown = sheet(picture, colour=thing.colour)
        return Lesson((shown,), prompts.mathverse("", (), seen=True), str(count), "signs")
    kind, number = ("mathverse", 4) if form == 1 else ("mmmu_pro", 8)
    options = questions.shuffled(rng, thing.colour, tuple(COLOURS), number)
    text = prompts.mathverse("", options, seen=True) if form == 1 else prompts.MMMU_PRO_SEEN
    shown = sheet(picture, cell=thing.cell, options=options)
    letter = prompts.LETTERS[options.index(thing.colour)]
    return Lesson((shown,), text, prompts.chosen(kind, thing.colour, letter), "signs, choice")


# --- reading --------------------------------------------------------------------------------


def read(rng: random.Random, split: Split) -> Lesson:
    """Look a value up in a trace, in a word or by its letter."""
    trace = traces.trace(rng, rng.choice((6, 10, 16, 24)), split)
    if rng.random() < 0.5:
        text = f"{trace.text}\n{prompts.mmmu(trace.question, ())}"
        return Lesson((), text, trace.answer, "trace")
    text = prompts.longbench(trace.text, trace.question, trace.options)
    answer = prompts.thought(trace.answer, trace.letter, prompts.longbench_answer(trace.letter))
    return Lesson((), text, answer, "trace, choice")


def make(
    rng: random.Random, mix: Sequence[tuple[Maker, float]], split: Split = "pretrain"
) -> Lesson:
    """Return a lesson drawn from a mix of makers by their weights."""
    makers, weights = zip(*mix, strict=True)
    maker: Maker = rng.choices(makers, weights)[0]
    return maker(rng, split)
