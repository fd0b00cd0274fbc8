"""Which RL item is trained on when: a pure function of an arm's plan."""

from __future__ import annotations

import random
from typing import Literal, NamedTuple

from ablations.data.contrastive import qa_item, selection_item
from ablations.training.exposures import Exposures
from ablations.training.plan import TrainingPlan
from benchmarks.pairs.selection import Letter
from harness.records import Item

Kind = Literal["task", "selection", "qa"]


class Slot(NamedTuple):
    """One RL item of a schedule: an ordinary one (``task``), or what a pair became.

    ``letter`` is the letter of the pair's supporting context.
    """

    kind: Kind
    number: int
    letter: Letter = "A"


def schedule(plan: TrainingPlan) -> list[Slot]:
    """Return the RL items of all steps in order.

    Ordinary items are the first ones of the data, whatever the arm, and are reused where they do
    not suffice; the contrastive ones are mixed among them.  The seed draws a sort key for every
    item, so that arms see what they have in common in the same order.  Matched by steps, a step's
    ordinary items are those of every arm's, plus the pairs that a joint loss shows in it.
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
    """Return a slot per pair; a coin decides which letter the supporting context has."""
    kind = plan.arm.extra
    if kind is None:
        return []
    coin = random.Random(f"sides/{plan.settings.seed}")
    return [
        Slot(kind, number, "A" if coin.random() < 0.5 else "B")
        for number in range(plan.amounts.extra)
    ]


def _draw(seed: int, kind: str, number: int) -> float:
    return random.Random(f"schedule/{seed}/{kind}/{number}").random()


def item(plan: TrainingPlan, slot: Slot) -> Item:
    """Return the RL item of a slot; its images are opened."""
    if slot.kind == "task":
        return plan.data.items[slot.number]
    make = selection_item if slot.kind == "selection" else qa_item
    return make(plan.data.pairs[slot.number], slot.letter)


def negative_questions(plan: TrainingPlan) -> int:
    """Return how many of `da-qa`'s questions are about the context that does not support."""
    return sum(
        slot.letter == "B" and plan.data.pairs[slot.number].answer_negative is not None
        for slot in schedule(plan)
        if slot.kind == "qa"
    )
