"""The selection prompt: which of two contexts supports an answer to a question?

The probe, the trainer and the checks of the embedded world come in with a `Pair`; the same two
conversations leave for all of them, with the supporting context once under A and once under B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.records import Message, Pair, TextPart

Letter = Literal["A", "B"]
LETTERS: tuple[Letter, Letter] = ("A", "B")

FIRST, SECOND = "Context A:\n", "\nContext B:\n"
ASK = "\nWhich context supports this answer to the question? Answer with A or B only."


@dataclass(frozen=True, slots=True)
class Selection:
    """One order of a pair: the conversation, and the letter of the context that supports."""

    messages: tuple[Message, ...]
    letter: Letter


def selection(pair: Pair, letter: Letter) -> Selection:
    """Return the selection prompt with the supporting context under ``letter``.

    The answer is one letter; the objective and the probe compare the logits of the two letters at
    the first answer position (arXiv 2606.17053: a two-way multiple choice, teacher forced).
    """
    contexts = (pair.context_positive, pair.context_negative)
    first, second = contexts if letter == "A" else contexts[::-1]
    question = f"\nQuestion: {pair.query}\nAnswer: {pair.answer}{ASK}"
    parts = (TextPart(FIRST), *first, TextPart(SECOND), *second, TextPart(question))
    return Selection((Message("user", parts),), letter)


def both_orders(pair: Pair) -> tuple[Selection, Selection]:
    """Return the pair's two prompts, so that a taste for one letter gains nothing."""
    return selection(pair, "A"), selection(pair, "B")
