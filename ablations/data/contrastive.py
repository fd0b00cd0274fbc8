"""A contrastive pair as an RL item: the selection prompt, or a question about one context."""

from __future__ import annotations

from benchmarks.pairs.selection import Letter, contexts, selection
from benchmarks.scoring import Target
from harness.records import Item, Message, Pair, TextPart


def selection_item(pair: Pair, letter: Letter) -> Item:
    """Return a pair's selection prompt for ``da-rl``; ``letter`` is the right answer."""
    from benchmarks.probe import NAMES

    target = Target("choice", letter, choices=NAMES)
    return Item(f"{pair.id}/{letter}", selection(pair, letter).messages, target, pair.id)


def qa_item(pair: Pair, letter: Letter) -> Item:
    """Return the question about the context under A, for ``da-qa``.

    ``letter`` is the supporting context's.  Where the other context's answer is unknown, the
    supporting one is asked about.
    """
    positive = letter == "A" or pair.answer_negative is None
    answer = pair.answer if positive or pair.answer_negative is None else pair.answer_negative
    shown, _ = contexts(pair, "A" if positive else "B")
    text = TextPart(f"\nQuestion: {pair.query}\nAnswer with a single word or phrase.")
    name = f"{pair.id}/{'positive' if positive else 'negative'}"
    return Item(name, (Message("user", (*shown, text)),), Target("text", answer), pair.id)
