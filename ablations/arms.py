"""The arms: which data each sees and with which objective; nothing else differs.

A new arm is one row of the table.  Its role decides its contrasts
(`ablations.statistics.contrasts`).
"""

from __future__ import annotations

from collections.abc import Iterable
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

    ``grpo``: RL on the ordinary items.  ``extra``: the pairs as additional RL items, either
    selection prompts with a 0/1 reward or questions about one of the contexts.  ``sft``: supervised
    training on the selection prompts comes first.  ``joint``: the loss on selection prompts that is
    added to every step: L_CA over the two letters, or cross-entropy over the vocabulary.
    ``shuffled``: one coin toss per pair decides which context counts as supporting.
    ``unrelated``: the other context is taken from another pair.

    ``role`` in a study: ``start`` (the model before training), ``baseline`` (training without the
    pairs), ``method`` (what is studied), ``data_control`` (the method's data without its
    objective), ``placebo`` (its objective without the information in the data), ``loss_form``
    (another loss on the same prompts), or None: trained and measured, but in no contrast.
    ``rank`` orders the arms with the same role.
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
        """Whether the arm trains on the contrastive pairs."""
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


def drawn_alike(a: Arm, b: Arm, matching: Matching) -> bool:
    """Whether two arms draw the same RL items in the same order, given the same seed.

    Matched by steps all do; else those with the pairs in a loss of their own do: pairs among the RL
    items, or more RL items instead of pairs, move the others.
    """
    if not (a.grpo and b.grpo):
        return False
    return matching == "steps" or all(arm.uses_pairs and arm.extra is None for arm in (a, b))


def with_role(role: Role, arms: Iterable[Arm] = _ALL) -> tuple[str, ...]:
    """Return the names of the arms with a role, ordered by rank."""
    ranked = sorted(arms, key=lambda arm: arm.rank)
    return tuple(arm.name for arm in ranked if arm.role == role)


def arm(name: str) -> Arm:
    """Return the arm with this name.

    Raises `UsageError` if there is none; names the nearest.
    """
    if name not in ARMS:
        raise unknown("arm", name, ARMS)
    return ARMS[name]
