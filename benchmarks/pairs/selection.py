"""The selection prompt: which of two contexts supports an answer to a question?

The probe, the trainer and the exports ask with the same two conversations per pair: the supporting
context once under A and once under B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.records import Message, Pair, Part, TextPart

Letter = Literal["A", "B"]
LETTERS: tuple[Letter, Letter] = ("A", "B")

FIRST, SECOND = "Context A:\n", "\nContext B:\n"
ASK = "\nWhich context supports this answer to the question? Answer with A or B only."


@dataclass(frozen=True, slots=True)
class SelectionPrompt:
    """One order of a pair: the conversation, and the letter of the context that supports."""

    messages: tuple[Message, ...]
    letter: Letter


def contexts(pair: Pair, letter: Letter) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Return the contexts under A and under B, the supporting one under ``letter``."""
    if letter == "A":
        return pair.context_positive, pair.context_negative
    return pair.context_negative, pair.context_positive


def selection(pair: Pair, letter: Letter) -> SelectionPrompt:
    """Return the selection prompt with the supporting context under ``letter``.

    The answer is one letter; the objective and the probe compare the logits of the two letters at
    the first answer position (arXiv 2606.17053: a two-way multiple choice, teacher forced).
    """
    first, second = contexts(pair, letter)
    question = f"\nQuestion: {pair.query}\nAnswer: {pair.answer}{ASK}"
    parts = (TextPart(FIRST), *first, TextPart(SECOND), *second, TextPart(question))
    return SelectionPrompt((Message("user", parts),), letter)


def both_orders(pair: Pair) -> tuple[SelectionPrompt, SelectionPrompt]:
    """Return the pair's two prompts, so that a preference for one letter gains nothing."""
    return selection(pair, "A"), selection(pair, "B")
