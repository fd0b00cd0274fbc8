"""When each RL item and pair is trained on, and how an arm sees the pairs.

All are pure functions of the plan and its seed: a resumed run draws the same, and processes sharing
a step show the same pairs together, whatever their number.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple

from ablations.arms import Arm
from ablations.data.items import qa_item, selection_item
from ablations.training.plan import TrainingPlan
from benchmarks.pairs.selection import AnyPair, Letter, relabelled, sides, with_other_context
from harness.errors import UsageError
from harness.own_code import raised
from harness.records import Item, Pair


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
        numbers = range(step * self.total // self.steps, (step + 1) * self.total // self.steps)
        shown = (divmod(number, self.pairs) for number in numbers)
        return tuple(_order(self.pairs, self.seed, epoch)[index] for epoch, index in shown)

    def share(self, step: int, part: int, parts: int) -> tuple[int, ...]:
        """Return the pairs shown by one of a step's ``parts`` micro-steps over all processes."""
        return self.at(step)[part::parts]


@lru_cache(maxsize=4)
def _order(pairs: int, seed: int, epoch: int) -> tuple[int, ...]:
    order = list(range(pairs))
    random.Random(f"exposures/{seed}/{epoch}").shuffle(order)
    return tuple(order)


@dataclass(frozen=True, slots=True)
class ArmView:
    """The pairs as an arm sees them.

    ``shuffled``: one coin toss per pair decides which context counts as supporting, in both orders
    and all epochs. ``unrelated``: the other context is taken from another pair of the same domain
    and kind (written, or with separate contexts).
    """

    pairs: Sequence[AnyPair]
    seed: int
    shuffled: bool = False
    unrelated: bool = False

    def pair(self, index: int) -> AnyPair:
        """Return one pair as the arm sees it.

        Raises `UsageError` if no other pair of the domain has an unrelated context.
        """
        pair = self.pairs[index]
        if self.unrelated:
            return with_other_context(pair, self._unrelated_pair(index, pair))
        if self.shuffled and random.Random(f"label/{self.seed}/{pair.id}").random() < 0.5:
            return relabelled(pair)
        return pair

    def _unrelated_pair(self, index: int, pair: AnyPair) -> AnyPair:
        # The random state's name determines the draws, so it must not change.
        start = random.Random(f"stranger/{self.seed}/{pair.id}").randrange(len(self.pairs))
        # Pairs may share contexts; one of the pair's own would not be unrelated.
        own = sides(pair)
        for step in range(len(self.pairs)):
            number = (start + step) % len(self.pairs)
            if number == index:
                continue
            other = self.pairs[number]
            alike = type(other) is type(pair) and other.domain == pair.domain
            if alike and sides(other)[1] not in own:
                return other
        raise UsageError(f"pair {pair.id}: no other pair of its domain has an unrelated context")


def arm_view(plan: TrainingPlan) -> ArmView:
    """Return the pairs as the plan's arm sees them."""
    arm = plan.arm
    return ArmView(plan.data.pairs, plan.settings.seed, arm.shuffled, arm.unrelated)


def exposures(plan: TrainingPlan, *, sft: bool = False) -> Exposures:
    """Return which pairs each step of the main stage shows, or of the SFT stage."""
    amounts = plan.amounts
    steps = amounts.sft_steps if sft else amounts.steps
    return Exposures(len(plan.data.pairs), amounts.exposures, steps, plan.settings.seed)


class Slot(NamedTuple):
    """An RL item of a schedule: an ordinary one (``task``) or one made from a pair.

    ``letter`` is the letter of the pair's supporting context.
    """

    kind: Literal["task", "selection", "qa", "own"]
    number: int
    letter: Letter = "A"


def schedule(plan: TrainingPlan) -> list[Slot]:
    """Return the RL items of all steps in order.

    Every arm takes the first items of the data, reused if there are too few, with contrastive ones
    mixed in. The seed draws a sort key per item, so arms see shared items in the same order.
    Matched by steps, each step has the same ordinary items in every arm, plus the pairs that a
    joint loss shows in it.
    """
    amounts, seed, n = plan.amounts, plan.settings.seed, len(plan.data.items)
    ordinary = sorted(
        (_draw(seed, "task", number), Slot("task", number % n)) for number in range(amounts.prompts)
    )
    extra = [(_draw(seed, "pair", number), slot) for number, slot in enumerate(_contrastive(plan))]
    size = plan.settings.prompts_per_step
    if amounts.items_per_step == size:
        return [slot for _, slot in sorted(ordinary + extra)]
    on_top = Exposures(amounts.extra, amounts.extra, amounts.rl_steps, seed)
    steps = (
        ordinary[step * size : (step + 1) * size] + [extra[number] for number in on_top.at(step)]
        for step in range(amounts.rl_steps)
    )
    return [slot for step in steps for _, slot in sorted(step)]


def _contrastive(plan: TrainingPlan) -> list[Slot]:
    """Return a slot per pair; a coin toss decides the letter of the supporting context."""
    if plan.arm.extra is None:
        return []
    coin = random.Random(f"sides/{plan.settings.seed}")
    letters: list[Letter] = ["A" if coin.random() < 0.5 else "B" for _ in range(plan.amounts.extra)]
    return [Slot(plan.arm.extra, number, letter) for number, letter in enumerate(letters)]


def _draw(seed: int, kind: str, number: int) -> float:
    return random.Random(f"schedule/{seed}/{kind}/{number}").random()


def item(plan: TrainingPlan, slot: Slot) -> Item:
    """Return the RL item of a slot, with images decoded and within the pixel limits."""
    asking = plan.settings.asking
    if slot.kind == "task":
        made = plan.data.items[slot.number]
    else:
        pair = plan.data.pairs[slot.number % len(plan.data.pairs)]
        if slot.kind == "selection":
            return selection_item(pair, slot.letter, asking)
        if slot.kind == "own":
            made = _own_item(plan.arm, pair, slot.letter)
        else:
            assert isinstance(pair, Pair)  # `check` rejects questions about written pairs
            made = qa_item(pair, slot.letter)
    return replace(made, messages=asking.sized(made.messages))


def _own_item(arm: Arm, pair: AnyPair, letter: Letter) -> Item:
    """Return the RL item from a user's function; UsageError if it returns none."""
    assert arm.items is not None
    try:
        made = arm.items(pair, letter)
    except Exception as error:
        raise UsageError(
            f"the items of {arm.name} failed on pair {pair.id}: {raised(error)}"
        ) from error
    if not isinstance(made, Item):
        raise UsageError(f"the items of {arm.name} made no Item of pair {pair.id}: {made!r:.60}")
    return made


def negative_questions(plan: TrainingPlan) -> int:
    """Return how many of `da-qa`'s questions are about the non-supporting context."""
    answers = [pair.answer_negative for pair in plan.data.pairs if isinstance(pair, Pair)]
    return sum(
        slot.letter == "B" and answers[slot.number % len(answers)] is not None
        for slot in schedule(plan)
        if slot.kind == "qa"
    )
