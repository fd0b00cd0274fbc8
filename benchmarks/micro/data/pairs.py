"""Contrastive pairs and RL items of the embedded world, image and trajectory.

A split, a number and a seed give `Pair`s or RL items; users write ``micro`` or ``micro:image``.
The contexts of a pair differ in the one detail that decides the answer.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Literal, cast

from benchmarks.micro.content import prompts, questions, traces
from benchmarks.micro.content.questions import Asked, Family
from benchmarks.micro.content.scenes import COLOURS, SIZES, Scene
from benchmarks.micro.content.splits import Split, draw_until, owner
from benchmarks.scoring import Target
from harness.errors import UsageError
from harness.files.hashing import source_hash
from harness.records import ImagePart, Item, Message, Pair, TextPart

Domain = Literal["image", "trajectory"]
DOMAINS: tuple[Domain, ...] = ("image", "trajectory")
SOURCE = "micro world"
MICRO = "micro"
WORDS = (6, 10, 16)
"""Lengths of the traces in pairs and RL items, in words."""

_CONTENT = ("prompts", "questions", "scenes", "splits", "traces")


def is_micro(source: str) -> bool:
    """Whether a user's word means this world (``micro``, ``micro:image``, ``micro:trajectory``)."""
    return source.partition(":")[0] == MICRO


def micro_domains(source: str) -> tuple[Domain, ...]:
    """Return the domains of ``micro`` or ``micro:DOMAIN``, or raise `UsageError`."""
    _, sign, name = source.partition(":")
    if sign and name not in DOMAINS:
        raise UsageError(f"{source}: the embedded world has the domains {', '.join(DOMAINS)}")
    return cast("tuple[Domain, ...]", (name,)) if sign else DOMAINS


def version() -> str:
    """Return a name for what is generated here: the hash of all code that it is written in."""
    here = Path(__file__)
    content = (here.parents[1] / "content" / f"{name}.py" for name in _CONTENT)
    return f"{MICRO}-{source_hash(here, *content)}"


@dataclass(frozen=True, slots=True)
class ScenePair:
    """Two scenes that differ in one thing, a question, and each scene's answer."""

    positive: Scene
    negative: Scene
    query: str
    answer: str
    answer_negative: str


def scene_pair(rng: random.Random, split: Split) -> ScenePair:
    """Return scenes of which ``split`` owns both, and a question that they answer differently.

    One thing has another colour (or another size) in the second scene; the noise is the same.
    """

    def draw() -> ScenePair:
        picture = questions.any_scene(rng, split, questions.SMALL)
        thing = rng.choice(picture.things)
        if rng.random() < 0.75:
            what, old = "colour", thing.colour
            new = rng.choice([colour for colour in COLOURS if colour != old])
        else:
            what, old = "size", thing.size
            (new,) = SIZES.keys() - {old}
        other = picture.changed(thing, **{what: new})
        return ScenePair(picture, other, f"What {what} is at {thing.cell}?", old, new)

    return draw_until(draw, lambda made: owner(made.negative.content) == split)


def pair(rng: random.Random, split: Split, domain: Domain, name: str) -> Pair:
    """Return one pair of a domain whose two contexts ``split`` owns."""
    if domain == "image":
        made = scene_pair(rng, split)
        return Pair(
            name,
            domain,
            made.query,
            made.answer,
            made.answer_negative,
            context_positive=(ImagePart(made.positive.draw()),),
            context_negative=(ImagePart(made.negative.draw()),),
            source=SOURCE,
        )
    positive, negative = traces.contrast(rng, rng.choice(WORDS), split)
    # The second one's value is often told elsewhere, too: which supports must not show in that.
    # The coin is the trace's own, so that the draws of all other pairs stay what they were.
    if random.Random(f"side/{positive.text}").random() < 0.5:
        positive, negative = negative, positive
    return Pair(
        name,
        domain,
        positive.question,
        positive.answer,
        negative.answer,
        context_positive=(TextPart(positive.text),),
        context_negative=(TextPart(negative.text),),
        source=SOURCE,
    )


def pairs(
    split: Split, number: int, seed: int = 0, domains: tuple[Domain, ...] = DOMAINS
) -> list[Pair]:
    """Return pairs, the domains in turn; the same arguments give the same."""
    rng = random.Random(f"pairs/{split}/{seed}")
    return [
        pair(rng, split, domain, f"{split}-{seed}-{index}")
        for index, domain in enumerate(islice(cycle(domains), number))
    ]


_FAMILIES: tuple[Family, ...] = (
    questions.colour_at,
    questions.count_colour,
    questions.size_at,
    questions.where,
    questions.side,
    questions.there,
    questions.count_all,
)
# Benchmarks that list options after one picture, with the number that they list.
_FORMS = ("mathvista", "mmmu", "vstar", "mmstar", "blink", "scienceqa")


def tasks(
    split: Split, number: int, seed: int = 0, domains: tuple[Domain, ...] = DOMAINS
) -> list[Item]:
    """Return RL items, the domains in turn; the same arguments give the same.

    Image items choose an option or write a number, about one scene or two; trajectory items name a
    value that the trace tells.
    """
    rng = random.Random(f"tasks/{split}/{seed}")
    makers = {"image": _image_task, "trajectory": _trajectory_task}
    return [
        makers[domain](rng, split, f"{split}-{seed}-{index}")
        for index, domain in enumerate(islice(cycle(domains), number))
    ]


def _image_task(rng: random.Random, split: Split, name: str) -> Item:
    kind = rng.random()
    if kind < 0.2:
        asked = rng.choice(questions.SEVERAL)(rng, split, 2)
        return _choice(name, asked, "blink")
    if kind < 0.4:
        asked = questions.ask(rng, split, rng.choice((questions.count_colour, questions.count_all)))
        text = prompts.mathvista(asked.question.text, (), "integer")
        target = Target("number", asked.question.answer, precision=0, answer_type="integer")
        return Item(name, _message(asked, text), target, name)
    asked = questions.ask(rng, split, rng.choice(_FAMILIES))
    return _choice(name, asked, rng.choice(_FORMS))


def _choice(name: str, asked: Asked, benchmark: str) -> Item:
    question = asked.question
    text = prompts.CHOICE[benchmark](question.text, question.options)
    target = Target("choice", question.letter, choices=question.options)
    return Item(name, _message(asked, text), target, name)


def _message(asked: Asked, text: str) -> tuple[Message, ...]:
    images = (ImagePart(picture.draw()) for picture in asked.scenes)
    return (Message("user", (*images, TextPart(text))),)


def _trajectory_task(rng: random.Random, split: Split, name: str) -> Item:
    trace = traces.trace(rng, rng.choice(WORDS), split)
    text = f"{trace.text}\n{prompts.mmmu(trace.question, ())}"
    target = Target("text", trace.answer, answer_type="open")
    return Item(name, (Message("user", (TextPart(text),)),), target, name)
