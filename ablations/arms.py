"""The arms: what data each sees, in which order, with which objective; nothing else differs.

A new arm is one line in the table below.  Its role decides which contrasts it takes part in
(`ablations.statistics.contrasts`); nothing heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from harness.errors import unknown

Joint = Literal["selection", "cross-entropy"]
Extra = Literal["selection", "qa"]
Role = Literal["start", "baseline", "method", "data_control", "placebo", "loss_form"]
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
    coin toss per pair, the same in both orders and all epochs.  ``unrelated``: the other context
    is taken from another pair.

    ``role`` in a study: ``start`` is the model before training, ``baseline`` the training without
    the pairs, ``method`` what is studied.  A ``data_control`` uses the method's data without its
    objective, a ``placebo`` its objective without the information in the data, a ``loss_form``
    another loss on the same prompts.  None: it is trained and measured, and part of no contrast.
    ``rank`` orders the arms of one role in the contrasts.
    """

    name: str
    title: str
    grpo: bool = True
    extra: Extra | None = None
    sft: bool = False
    joint: Joint | None = None
    shuffled: bool = False
    unrelated: bool = False
    role: Role | None = None
    rank: int = 0

    @property
    def trains(self) -> bool:
        """Whether anything is trained at all."""
        return self.grpo or self.sft or self.joint is not None

    @property
    def uses_pairs(self) -> bool:
        """Whether the arm sees the contrastive pairs."""
        return self.sft or self.extra is not None or self.joint is not None


_ALL = (
    Arm("base", "the model as given", grpo=False, role="start"),
    Arm("grpo", "GRPO on the RL data", role="baseline"),
    Arm("da-sft", "SFT on the selection prompts, then GRPO", sft=True, role="data_control", rank=1),
    Arm("da-rl", "GRPO with the selection prompts as further RL items",
        extra="selection", role="data_control"),
    Arm("da-qa", "GRPO with the contexts as further question-answer items",
        extra="qa", role="data_control", rank=2),
    Arm("contextrl", "GRPO + lambda L_CA", joint="selection", role="method"),
    Arm("contextrl-shuffled", "GRPO + lambda L_CA with one random label per pair (placebo)",
        joint="selection", shuffled=True, role="placebo"),
    Arm("da-joint-sft", "GRPO + lambda cross-entropy of the letter over the vocabulary",
        joint="cross-entropy", role="loss_form"),
    Arm("ca-only", "L_CA without GRPO", grpo=False, joint="selection"),
    Arm("contextrl-easyneg", "GRPO + lambda L_CA with an unrelated second context",
        joint="selection", unrelated=True),
)  # fmt: skip
ARMS = MappingProxyType({arm.name: arm for arm in _ALL})


def with_role(role: Role) -> tuple[str, ...]:
    """Return the names of the arms of a role, by their rank."""
    return tuple(one.name for one in sorted(_ALL, key=lambda one: one.rank) if one.role == role)


def arm(name: str) -> Arm:
    """Return the arm of a name.

    Raises:
        UsageError: there is none; names the nearest.
    """
    if name not in ARMS:
        raise unknown("arm", name, ARMS)
    return ARMS[name]
