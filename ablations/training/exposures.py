"""Which pairs a training step shows, and how an arm sees them.

Both are pure functions of the seed: nothing is remembered, so a resumed run draws the same pairs,
and the processes that share a step show the same pairs together, however many they are.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from harness.errors import UsageError
from harness.records import Pair


@dataclass(frozen=True, slots=True)
class Exposures:
    """``total`` presentations of ``pairs`` pairs, spread evenly over ``steps`` steps.

    Every pair is shown once before any is shown again; each epoch has its own order.
    """

    pairs: int
    total: int
    steps: int
    seed: int

    def at(self, step: int) -> tuple[int, ...]:
        """Return the pairs that a step shows; steps count from 0."""
        first = step * self.total // self.steps
        last = (step + 1) * self.total // self.steps
        return tuple(self._pair(number) for number in range(first, last))

    def share(self, step: int, part: int, parts: int) -> tuple[int, ...]:
        """Return the pairs of a step that one of ``parts`` micro-steps of all processes shows."""
        return self.at(step)[part::parts]

    def _pair(self, number: int) -> int:
        epoch, index = divmod(number, self.pairs)
        return _order(self.pairs, self.seed, epoch)[index]


@lru_cache(maxsize=4)
def _order(pairs: int, seed: int, epoch: int) -> tuple[int, ...]:
    order = list(range(pairs))
    random.Random(f"exposures/{seed}/{epoch}").shuffle(order)
    return tuple(order)


@dataclass(frozen=True, slots=True)
class ArmView:
    """The pairs as an arm sees them.

    ``shuffled``: one coin toss per pair decides which context counts as supporting, in both orders
    and all epochs.  ``unrelated``: the other context is that of another pair of the same domain.
    """

    pairs: Sequence[Pair]
    seed: int
    shuffled: bool = False
    unrelated: bool = False

    def __len__(self) -> int:
        return len(self.pairs)

    def pair(self, index: int) -> Pair:
        """Return one pair as the arm sees it.

        Raises:
            UsageError: no other pair of the domain has an unrelated context.
        """
        pair = self.pairs[index]
        if self.unrelated:
            other = self._unrelated_pair(index, pair)
            return replace(
                pair, context_negative=other.context_negative, answer_negative=other.answer_negative
            )
        if self.shuffled and random.Random(f"label/{self.seed}/{pair.id}").random() < 0.5:
            return replace(
                pair,
                context_positive=pair.context_negative,
                context_negative=pair.context_positive,
            )
        return pair

    def _unrelated_pair(self, index: int, pair: Pair) -> Pair:
        # The text of a random state's name decides the draws: it stays as it is.
        start = random.Random(f"stranger/{self.seed}/{pair.id}").randrange(len(self.pairs))
        # Pairs may share contexts: one of the pair's own would not be unrelated.
        own = (pair.context_positive, pair.context_negative)
        for step in range(len(self.pairs)):
            number = (start + step) % len(self.pairs)
            if number == index:
                continue
            other = self.pairs[number]
            if other.domain == pair.domain and other.context_negative not in own:
                return other
        raise UsageError(f"pair {pair.id}: no other pair of its domain has an unrelated context")
