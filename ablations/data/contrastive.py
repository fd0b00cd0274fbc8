"""A contrastive pair as an RL item: the selection prompt, or a question about one context."""

from __future__ import annotations

from typing import Any

from benchmarks.pairs.rl_item import Task
from benchmarks.scoring import Target
from harness.records import ImagePart, Message, Pair, TextPart


def as_selection_task(pair: Pair, supports_first: bool) -> Task:
    """Return a pair's selection prompt as an RL item, for ``da-rl``; right is the letter."""
    from benchmarks.pairs.selection import selection
    from benchmarks.probe import NAMES

    shown = selection(pair, "A" if supports_first else "B")
    target = Target("choice", shown.letter, choices=NAMES)
    return Task(f"{pair.id}/{shown.letter}", _domain(pair), shown.messages, target)


def as_qa_task(pair: Pair, positive: bool) -> Task:
    """Return the question about one context of a pair as an RL item, for ``da-qa``.

    Where the other context's answer is not known, the supporting one is asked about.
    """
    positive = positive or pair.answer_negative is None
    shown = pair.context_positive if positive else pair.context_negative
    answer = pair.answer if positive else pair.answer_negative
    assert answer is not None
    text = TextPart(f"\nQuestion: {pair.query}\nAnswer with a single word or phrase.")
    name = f"{pair.id}/{'positive' if positive else 'negative'}"
    return Task(name, _domain(pair), (Message("user", (*shown, text)),), Target("text", answer))


def _domain(pair: Pair) -> Any:
    parts = (*pair.context_positive, *pair.context_negative)
    return "image" if any(isinstance(part, ImagePart) for part in parts) else "trajectory"
