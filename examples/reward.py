"""A reward of your own: the built-in accuracy, less a penalty for long answers.

Train with it from this folder: ``harness train --arm grpo --reward reward:concise ...``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ablations.training.rewards import AccuracyAndFormat, text_of
from harness.records import Item

FREE = 200  # characters that cost nothing
ACCURACY = AccuracyAndFormat(weight=1.0)


def concise(
    completions: Sequence[Any], task: Sequence[Item], selection: Sequence[bool], **_: Any
) -> list[float | None]:
    """Return a reward per completion; ``task[i].target`` is what completion i should answer.

    The completions of one step come together, those of one prompt side by side.  A selection prompt
    (`da-rl`) keeps its reward of 0 or 1.  None gives a completion no reward and no gradient.
    """
    rewards: list[float | None] = []
    for completion, item, is_selection in zip(completions, task, selection, strict=True):
        text = text_of(completion)
        accuracy = ACCURACY.value(text, item.target, is_selection)
        excess = 0 if is_selection else max(len(text) - FREE, 0)
        rewards.append(accuracy - min(excess / 1000, 0.5))
    return rewards
