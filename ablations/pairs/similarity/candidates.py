"""Which two items make a pair: the same question, and answers that differ."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ablations.pairs.soundness.likeness import without_marks, words_of
from benchmarks.data.local.images import as_seen, opened
from benchmarks.scoring import Target, score
from benchmarks.scoring.target import Kind
from harness.records import ImagePart, Item, TextPart

if TYPE_CHECKING:
    from PIL import Image

Sameness = Literal["same", "equivalent", "any"]
RULES: dict[Sameness, str] = {
    "same": "the same words, whatever their case, marks and layout",
    "equivalent": "the same words in the same order, but for articles, is and are, and words like "
    "'in the picture'",
    "any": "not compared; left to the judge",
}
# Contains no negation, comparison, number or label.
_EMPTY = frozenset("an the is are was were there please shown given".split())
# "in the picture", "of this figure below", "a", "A" at the beginning; not "A" in "is A above B".
_NOTHING = re.compile(
    r"\b(?i:in|from|on|of) (?i:the|this) (?i:picture|image|figure|photo|diagram)\b"
    r"( (above|below|shown))?|\ba\b|^A\b"
)
KINDS: tuple[Kind, ...] = ("text", "math")


@dataclass(frozen=True, slots=True)
class Question:
    """What is kept of an item: no image. ``answer`` is an option's text if there is one."""

    id: str
    text: str
    answer: str
    kind: str


def question_of(item: Item) -> Question | None:
    """Return an item's question; None unless it has exactly one image."""
    parts = [part for message in item.messages for part in message.content]
    if sum(isinstance(part, ImagePart) for part in parts) != 1:
        return None
    text = "\n".join(part.text for part in parts if isinstance(part, TextPart))
    return Question(item.id, without_marks(text), _answer(item.target), item.target.kind)


def _answer(target: Target) -> str:
    """Return the answer as text; for a letter, the option's text if it says more."""
    letter = re.search(r"\b[A-Z]\b", target.answer) if target.kind == "choice" else None
    if letter is None or not target.choices:
        return target.answer.strip()
    option = str(target.choices[ord(letter[0]) - ord("A")]).strip()
    return option or letter[0]


def image_of(item: Item) -> Image.Image:
    """Return an item's first image."""
    parts = (part for message in item.messages for part in message.content)
    return next(part.image for part in parts if isinstance(part, ImagePart))


def only_image(path: Path) -> Image.Image:
    """Return the image in a file, decoded (RGB)."""
    with opened(path) as image:
        return as_seen(image)


def asks_the_same(first: Question, second: Question, rule: Sameness) -> bool:
    """Whether two questions are the same by one of `RULES`."""
    if rule == "any":
        return True
    return _asked(first.text, rule) == _asked(second.text, rule)


def _asked(text: str, rule: Sameness) -> list[str]:
    if rule == "same":
        return words_of(text)
    return [word for word in words_of(_NOTHING.sub(" ", text)) if word not in _EMPTY]


def answers_differ(first: Question, second: Question) -> bool:
    """Whether no strict scorer accepts either answer for the other.

    They are compared as texts and as mathematics: 1/2 and 0.5 are the same, as are Red and red.
    """
    for right, other in ((first.answer, second.answer), (second.answer, first.answer)):
        if right.strip().lower() == other.strip().lower():
            return False
        if any(score(other, Target(kind, right)).value for kind in KINDS):
            return False
    return True
