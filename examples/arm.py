"""An arm of your own: a function from pairs to RL items, and the arm that trains on them.

Train it from this folder: ``harness train --arm arm.py:CAPTION --pairs ... --rl-data ...``.
"""

from __future__ import annotations

from ablations.arms import Arm
from benchmarks.scoring import Target
from harness.records import Item, Message, Pair, TextPart


def caption(pair: Pair, letter: str) -> Item:
    """Return the question about the supporting context alone; ``letter`` is where it would stand.

    The built-in reward scores the completion against the target.
    """
    question = TextPart(f"\n{pair.query}\nAnswer with a single word or phrase.")
    message = Message("user", (*pair.context_positive, question))
    return Item(f"{pair.id}/caption", (message,), Target("text", pair.answer), pair.id)


CAPTION = Arm(
    "caption",
    "GRPO with questions about the supporting context",
    extra="own",
    items=caption,
    role="data_control",
)
