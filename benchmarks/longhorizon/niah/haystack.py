"""Needles in haystacks in the form of RULER (NVIDIA/RULER, ``niah.py``), at a chosen depth.

The same arguments give the same prompt on every machine.
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice
from typing import Literal

from harness.errors import UsageError

# RULER keeps this many tokens of a length for the answer.
ANSWER_ROOM = 128

NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
NEEDLE = "One of the special magic {kind} for {key} is: {value}."
# RULER's template in its form for one value.
TEMPLATE = (
    "A special magic {one} is hidden within the following text. Make sure to memorize it. "
    "I will quiz you about the {one} afterwards.\n{context}\n"
    "What is the special magic {one} for {key} mentioned in the provided text?"
)

Kind = Literal["words", "numbers", "uuids"]
Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Task:
    """One of RULER's tasks: its haystack (maybe of other needles), keys, values and needles."""

    haystack: Literal["noise", "needles", "essay"]
    key: Kind
    value: Kind
    needles: int = 1


# The names and settings of RULER's ``synthetic.yaml`` (there with the prefix "niah_").
TASKS: Mapping[str, Task] = {
    "single_1": Task("noise", "words", "numbers"),
    "single_2": Task("essay", "words", "numbers"),
    "single_3": Task("essay", "words", "uuids"),
    "multikey_1": Task("essay", "words", "numbers", needles=4),
    "multikey_2": Task("needles", "words", "numbers"),
    "multikey_3": Task("needles", "uuids", "uuids"),
}


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, the key that it asks for, and the value that answers it."""

    prompt: str
    key: str
    value: str


@cache
def vocabulary() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the adjectives and the nouns of which RULER makes its words, each sorted."""
    from wonderwords import RandomWord

    source = RandomWord()
    adjectives, nouns = (source.filter(include_categories=[kind]) for kind in ("adjective", "noun"))
    return tuple(adjectives), tuple(nouns)


def draw(rng: random.Random, kind: Kind) -> str:
    """Return a word (adjective-noun), a number of seven digits, or a UUID."""
    if kind == "words":
        adjectives, nouns = vocabulary()
        return f"{rng.choice(adjectives)}-{rng.choice(nouns)}"
    if kind == "numbers":
        return str(rng.randint(10**6, 10**7 - 1))
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def needle(task: Task, key: str, value: str) -> str:
    """Return the sentence that tells a key's value."""
    return NEEDLE.format(kind=task.value, key=key, value=value)


def prompt(task: Task, sentences: Sequence[str], key: str) -> str:
    """Return the whole prompt around a haystack of sentences, needles included."""
    context = (" " if task.haystack == "essay" else "\n").join(sentences)
    return TEMPLATE.format(one=task.value.removesuffix("s"), context=context, key=key)


_PIECE = re.compile(r"[A-Za-z]+|[^\sA-Za-z]|\n")


def estimate(text: str) -> int:
    """Estimate a text's number of tokens for a common tokenizer.

    A Latin word counts one per seven letters begun, any other character but a blank counts one.
    """
    return sum(-(-len(piece) // 7) if piece.isalpha() else 1 for piece in _PIECE.findall(text))


def split_sentences(text: str) -> tuple[str, ...]:
    """Return the sentences of a text, by its full stops, exclamation and question marks."""
    return tuple(re.split(r"(?<=[.!?])\s+", " ".join(text.split())))


def question(
    rng: random.Random,
    task: Task,
    length: int,
    depth: int,
    *,
    count: Count = estimate,
    essay: Sequence[str] = (),
) -> Question:
    """Return a question whose needle lies at a depth of a haystack that fills a length.

    ``length`` counts tokens of prompt and answer, `ANSWER_ROOM` of them for the answer; without
    room for the prompt this raises `UsageError`.  ``depth`` is the percent of the haystack's
    sentences before the needle that is asked for.  ``count`` returns the number of tokens of a
    text; sentences are counted separately.  ``essay``: sentences for an essay haystack, repeated
    as needed.
    """
    pairs = _distinct(rng, task)
    chosen = list(islice(pairs, task.needles))
    needles = [needle(task, key, value) for key, value in chosen]
    key, value = chosen[0]
    room = length - ANSWER_ROOM - count(prompt(task, needles, key))
    if room < 0:
        raise UsageError(
            f"a length of {length} tokens has no room for the question and {ANSWER_ROOM} tokens of "
            "answer: give a larger one"
        )
    joined = " {}" if task.haystack == "essay" else "{}\n"
    hay: Iterator[str] = (needle(task, key, value) for key, value in pairs)
    if task.haystack != "needles":
        hay = cycle(essay if task.haystack == "essay" else [NOISE])
    sentences = list(_fill(hay, room, lambda sentence: count(joined.format(sentence))))
    position = len(sentences) * depth // 100
    for other in needles[1:]:
        at = rng.randint(0, len(sentences))
        sentences.insert(at, other)
        position += at < position
    sentences.insert(position, needles[0])
    return Question(prompt(task, sentences, key), key, value)


def _distinct(rng: random.Random, task: Task) -> Iterator[tuple[str, str]]:
    """Yield keys with values, no key and no value twice: one answer is right."""
    keys: set[str] = set()
    values: set[str] = set()
    while True:
        key, value = draw(rng, task.key), draw(rng, task.value)
        if key not in keys and value not in values:
            keys.add(key)
            values.add(value)
            yield key, value


def _fill(hay: Iterator[str], room: int, count: Count) -> Iterator[str]:
    """Yield sentences while they fit."""
    known: dict[str, int] = {}
    for sentence in hay:
        if sentence not in known:
            known[sentence] = count(sentence)
        room -= known[sentence]
        if room < 0:
            return
        yield sentence
