"""A loss of your own on contrastive pairs: the answer should be likelier given its context.

Train with it from this folder: ``harness train --arm contextrl --pair-loss loss.py:LOSS ...``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import logsigmoid

from harness.records import Message, Pair, TextPart


class Contrast:
    """-log sigmoid of the difference in log-probability, per token of the answer."""

    def answers(self, pair: Pair) -> list[tuple[Sequence[Message], str]]:
        """Return the conversations to show the model, and the answer to each.

        Images in a context are shown as images.
        """
        question = TextPart(f"\n{pair.query}\nAnswer with a single word or phrase.")
        contexts = (pair.context_positive, pair.context_negative)
        asked = [Message("user", (*context, question)) for context in contexts]
        return [((message,), pair.answer) for message in asked]

    def loss(self, pair: Pair, logprobs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the pair's loss; ``logprobs`` has one tensor per answer, of shape (tokens,)."""
        supported, other = logprobs
        return -logsigmoid(supported.mean() - other.mean())


LOSS = Contrast()
