"""The selection prompt: which of two contexts supports an answer to a question?

The probe, the trainer and the exports use the same conversations per pair: the supporting context
once under A and once under B, or in one order (`Asking`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from benchmarks.pairs.pixels import sized
from benchmarks.pairs.rows import Preview
from harness.records import ImagePart, Message, Pair, Part, TextPart

Letter = Literal["A", "B"]
LETTERS: tuple[Letter, Letter] = ("A", "B")
Orders = Literal["both", "written"]
LetterForms = Literal["bare", "likelier"]

FIRST, SECOND = "Context A:\n", "\nContext B:\n"
ASK = "\nWhich context supports this answer to the question? Answer with A or B only."


def other(letter: Letter) -> Letter:
    """Return the other option letter."""
    return "B" if letter == "A" else "A"


@dataclass(frozen=True, slots=True)
class SelectionPrompt:
    """One order of a pair: the conversation, and the letter of the context that supports."""

    messages: tuple[Message, ...]
    letter: Letter


@dataclass(frozen=True, slots=True)
class WrittenPair:
    """A pair given as a finished selection prompt (`benchmarks.pairs.written`).

    ``letter`` is the right answer to ``messages``. ``exchanged`` is the prompt with its contexts
    exchanged, None if it is unknown which parts they are: such a pair has one order.
    """

    id: str
    domain: str
    messages: tuple[Message, ...]
    letter: Letter
    exchanged: tuple[Message, ...] | None = None
    source: str = ""


AnyPair = Pair | WrittenPair


@dataclass(frozen=True, slots=True)
class Asking:
    """How selection prompts are put.

    ``orders``: both orders of a pair, or one: as written, or for a pair with separate contexts one
    drawn by its id. ``suffix`` is a line at the prompt's end, ``prefill`` the beginning of the
    answer, which precedes the letter. ``letters``: a letter alone, or the likelier of the letter
    with and without a blank before it. ``min_pixels`` and ``max_pixels`` are limits of
    `benchmarks.pairs.pixels`.
    """

    orders: Orders = "both"
    suffix: str = ""
    prefill: str = ""
    letters: LetterForms = "bare"
    min_pixels: int | None = None
    max_pixels: int | None = None

    @property
    def stated(self) -> dict[str, str | int]:
        """The values for keys; pixel limits, which were added later, only if set."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def forms(self) -> tuple[str, ...]:
        """What may precede a letter, nothing or a blank: the first that makes one token counts.

        A blank comes first if the answer starts with a word. If the likelier form counts, all do.
        """
        begun = bool(self.prefill[-1:].strip())
        return (" ", "") if begun else ("", " ") if self.letters == "likelier" else ("",)

    def prompts(self, pair: AnyPair) -> tuple[SelectionPrompt, ...]:
        """Return the pair's prompts: the supporting context under A, then under B, or one."""
        chosen = self._one(pair) if self.orders == "written" else both_orders(pair)
        return tuple(self._finished(prompt) for prompt in chosen)

    def prompt(self, pair: AnyPair, letter: Letter) -> SelectionPrompt:
        """Return the prompt with this right letter; for a pair in one order, its only prompt."""
        prompts = self.prompts(pair)
        return next((prompt for prompt in prompts if prompt.letter == letter), prompts[0])

    def _one(self, pair: AnyPair) -> tuple[SelectionPrompt, ...]:
        if isinstance(pair, WrittenPair):
            return (SelectionPrompt(pair.messages, pair.letter),)
        return (selection(pair, _drawn(pair.id)),)

    def letters_of(self, preview: Preview) -> tuple[str, ...]:
        """Return the right letters of a pair's prompts, without opening the pair."""
        if self.orders == "both":
            return tuple(sorted(preview.letters))
        return preview.letters[:1] if preview.written else (_drawn(preview.id),)

    def sized(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """Return a conversation with images within the pixel limits."""
        return sized(messages, self.min_pixels, self.max_pixels)

    def _finished(self, prompt: SelectionPrompt) -> SelectionPrompt:
        *before, last = self.sized(prompt.messages)
        suffix = (TextPart(f"\n{self.suffix}"),) if self.suffix else ()
        content = (*last.content, *suffix)
        return replace(prompt, messages=(*before, replace(last, content=content)))


def _drawn(pair_id: str) -> Letter:
    return LETTERS[hashlib.sha256(pair_id.encode()).digest()[0] % 2]


PLAIN = Asking()
"""Both orders, without suffix and prefill."""


def contexts(pair: Pair, letter: Letter) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Return the contexts under A and under B, the supporting one under ``letter``."""
    if letter == "A":
        return pair.context_positive, pair.context_negative
    return pair.context_negative, pair.context_positive


def selection(pair: Pair, letter: Letter) -> SelectionPrompt:
    """Return the selection prompt with the supporting context under ``letter``.

    The answer is one letter; the objective and the probe compare the logits of the two letters at
    the first answer position (arXiv 2606.17053: two-way multiple choice, teacher forced).
    """
    first, second = contexts(pair, letter)
    question = f"\nQuestion: {pair.query}\nAnswer: {pair.answer}{ASK}"
    parts = (TextPart(FIRST), *first, TextPart(SECOND), *second, TextPart(question))
    return SelectionPrompt((Message("user", parts),), letter)


def both_orders(pair: AnyPair) -> tuple[SelectionPrompt, ...]:
    """Return the pair's two prompts, so that a preference for one letter gains nothing.

    A written pair with unknown contexts has one.
    """
    if isinstance(pair, Pair):
        return selection(pair, "A"), selection(pair, "B")
    prompts = [SelectionPrompt(pair.messages, pair.letter)]
    if pair.exchanged is not None:
        prompts.append(SelectionPrompt(pair.exchanged, other(pair.letter)))
    return tuple(sorted(prompts, key=lambda prompt: prompt.letter))


def sides(pair: AnyPair) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Return the supporting context and the other one; for a written pair, its two images."""
    if isinstance(pair, Pair):
        return pair.context_positive, pair.context_negative
    images = [part for message in pair.messages for part in message.content if _is_image(part)]
    positive = LETTERS.index(pair.letter)
    return (images[positive],), (images[1 - positive],)


def relabelled(pair: AnyPair) -> AnyPair:
    """Return the pair with supporting and other context exchanged: for the placebo."""
    if isinstance(pair, WrittenPair):
        return replace(pair, letter=other(pair.letter))
    return replace(
        pair,
        context_positive=pair.context_negative,
        context_negative=pair.context_positive,
    )


def with_other_context(pair: AnyPair, stranger: AnyPair) -> AnyPair:
    """Return the pair with its other context taken from another pair of its kind.

    Written pairs must have two images.

    Raises:
        TypeError: exactly one of them is a written pair.
    """
    if type(pair) is not type(stranger):
        raise TypeError("a written pair and one with separate contexts have no context in common")
    context = sides(stranger)[1]
    if isinstance(pair, Pair):
        assert isinstance(stranger, Pair)
        return replace(pair, context_negative=context, answer_negative=stranger.answer_negative)
    images = [sides(pair)[0][0], context[0]]
    if pair.letter == "B":
        images.reverse()
    return replace(
        pair,
        messages=_with_images(pair.messages, images),
        exchanged=_with_images(pair.messages, images[::-1]),
    )


def _with_images(messages: tuple[Message, ...], images: Sequence[Part]) -> tuple[Message, ...]:
    left = iter(images)
    return tuple(
        replace(
            message,
            content=tuple(next(left) if _is_image(part) else part for part in message.content),
        )
        for message in messages
    )


def _is_image(part: Part) -> bool:
    return isinstance(part, ImagePart)
