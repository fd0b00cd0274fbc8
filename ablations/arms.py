"""The arms: what data each sees, in which order, with which objective; nothing else differs.

The command line and the study come in with an arm's name, the sizes of the data and a matching
mode; an `Arm` and its `Amounts` (how much of everything) leave.  Nothing heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from harness.errors import unknown

Joint = Literal["selection", "cross-entropy"]
Extra = Literal["selection", "qa"]
Matching = Literal["instances", "steps", "tokens"]
MATCHINGS: tuple[Matching, ...] = get_args(Matching)


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train.

    ``grpo``: reinforcement learning on the ordinary items.  ``extra``: what the contrastive pairs
    become as further RL items: selection prompts with a 0/1 reward, or ordinary questions about one
    of the contexts.  ``sft``: supervised training on the selection prompts comes before.
    ``joint``: the loss on selection prompts that is added to every step: L_CA over the two letters,
    or the cross-entropy over the whole vocabulary.  ``shuffled``: which context supports is one
    coin toss a pair, the same in both orders and all epochs.  ``unrelated``: the other context is
    taken from another pair.
    """

    name: str
    title: str
    grpo: bool = True
    extra: Extra | None = None
    sft: bool = False
    joint: Joint | None = None
    shuffled: bool = False
    unrelated: bool = False

    @property
    def trains(self) -> bool:
        """Whether anything is trained at all."""
        return self.grpo or self.sft or self.joint is not None

    @property
    def uses_pairs(self) -> bool:
        """Whether the arm sees the contrastive pairs."""
        return self.sft or self.extra is not None or self.joint is not None


_ALL = (
    Arm("base", "the model as given", grpo=False),
    Arm("grpo", "GRPO on the RL data"),
    Arm("da-sft", "SFT on the selection prompts, then GRPO", sft=True),
    Arm("da-rl", "GRPO with the selection prompts as further RL items", extra="selection"),
    Arm("da-qa", "GRPO with the contexts as further question-answer items", extra="qa"),
    Arm("contextrl", "GRPO + lambda L_CA", joint="selection"),
    Arm(
        "contextrl-shuffled",
        "GRPO + lambda L_CA with one random label a pair (placebo)",
        joint="selection",
        shuffled=True,
    ),
    Arm(
        "da-joint-sft",
        "GRPO + lambda cross-entropy of the letter over the vocabulary",
        joint="cross-entropy",
    ),
    Arm("ca-only", "L_CA without GRPO", grpo=False, joint="selection"),
    Arm(
        "contextrl-easyneg",
        "GRPO + lambda L_CA with an unrelated second context",
        joint="selection",
        unrelated=True,
    ),
)
ARMS = MappingProxyType({arm.name: arm for arm in _ALL})


def arm(name: str) -> Arm:
    """Return the arm of a name.

    Raises:
        UsageError: there is none; names the nearest.
    """
    if name not in ARMS:
        raise unknown("arm", name, ARMS)
    return ARMS[name]
