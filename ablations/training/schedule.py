"""Which pairs a training step shows: a pure function of the seed and the step.

The trainers come in with a step, a micro-step and a rank; the pairs to show there leave, each with
the context that counts as supporting.  Nothing is remembered, so a resumed run draws the same, and
however many processes share a step, together they show the same pairs.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from benchmarks.pairs.rl_item import Task
from harness.errors import UsageError
from harness.records import Pair


@dataclass(frozen=True, slots=True)
class Exposures:
    """``total`` showings of ``pairs`` pairs, spread evenly over ``steps`` steps.

    Every pair is shown once before any is shown again; each time in another order of all pairs.
    """

    pairs: int
    total: int
    steps: int
    seed: int

    def at(self, step: int) -> tuple[int, ...]:
        """Return the pairs that a step shows, the first step being 0."""
        first = step * self.total // self.steps
        last = (step + 1) * self.total // self.steps
        return tuple(self._pair(place) for place in range(first, last))

    def share(self, step: int, part: int, parts: int) -> tuple[int, ...]:
        """Return what one of ``parts`` micro-steps of all processes shows of a step's pairs."""
        return self.at(step)[part::parts]

    def _pair(self, place: int) -> int:
        epoch, index = divmod(place, self.pairs)
        return _order(self.pairs, self.seed, epoch)[index]


@lru_cache(maxsize=4)
def _order(pairs: int, seed: int, epoch: int) -> tuple[int, ...]:
    order = list(range(pairs))
    random.Random(f"exposures/{seed}/{epoch}").shuffle(order)
    return tuple(order)


@dataclass(frozen=True, slots=True)
class Shown:
    """The pairs as an arm sees them.

    ``shuffled``: which context supports is one coin toss a pair, whatever the order and the epoch.
    ``unrelated``: the other context is taken from another pair of the same domain.
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
            UsageError: an unrelated context is wanted, and no other pair has one of this domain.
        """
        pair = self.pairs[index]
        if self.unrelated:
            other = self._stranger(index, pair)
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

    def _stranger(self, index: int, pair: Pair) -> Pair:
        start = random.Random(f"stranger/{self.seed}/{pair.id}").randrange(len(self.pairs))
        for step in range(len(self.pairs)):
            place = (start + step) % len(self.pairs)
            other = self.pairs[place]
            # Pairs may share contexts: the pair's own one is no unrelated one.
            own = (pair.context_positive, pair.context_negative)
            if place != index and other.domain == pair.domain and other.context_negative not in own:
                return other
        raise UsageError(f"pair {pair.id}: no other pair of its domain has an unrelated context")


@dataclass(frozen=True)
class RlItem:
    """An RL item of the schedule: its task, and whether it is a selection prompt (reward 0/1)."""

    task: Task
    selection: bool


def draw(seed: int, kind: str, place: int) -> float:
    """Return the number in [0, 1) that an RL item is sorted by."""
    return random.Random(f"schedule/{seed}/{kind}/{place}").random()
