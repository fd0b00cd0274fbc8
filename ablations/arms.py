"""The arms: which data each sees and with which objective; nothing else differs.

A new arm is one row of the table; one of the user's own is ``FILE.py:NAME``, or an entry point of
`GROUP`.  Its role decides its contrasts (`ablations.statistics.contrasts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from harness.errors import UsageError, unknown
from harness.files.hashing import source_hash
from harness.own_code import imported, installed, loaded

Joint = Literal["selection", "cross-entropy"]
Extra = Literal["selection", "qa", "own"]
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
    ``items`` makes an RL item of a pair and the letter (A or B) of its supporting context, for an
    ``extra`` of "own"; ``source`` is the hash of the user's code that the arm is from.

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
    items: Callable[[Any, Any], Any] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if (self.extra == "own") != (self.items is not None):
            raise UsageError(f'the arm {self.name} needs both extra="own" and items, or neither')

    def loss_on_pairs(self, own: str | None) -> str | None:
        """Return the name of its loss on selection prompts; ``own`` replaces L_CA.  None: none."""
        if self.joint == "selection":
            return own.rpartition("/")[2] if own else "L_CA"
        return self.joint

    def titled(self, own: str | None) -> str:
        """Return the title with the loss that is trained."""
        return self.title.replace("L_CA", self.loss_on_pairs(own) or "L_CA")

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
GROUP = "contextrl_harness.arms"


class _Arms(Mapping[str, Arm]):
    """Ours by name, in order; an arm of the user's own is looked up, and not listed."""

    def __init__(self) -> None:
        self._ours = {arm.name: arm for arm in _ALL}

    def __getitem__(self, name: str) -> Arm:
        return self._ours[name] if name in self._ours else _own(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ours)

    def __len__(self) -> int:
        return len(self._ours)


@cache
def _own(name: str) -> Arm:
    """Return an arm of the user's own, ``FILE.py:NAME`` or an entry point's.

    Raises:
        KeyError: the name has neither form.
        UsageError: the code cannot be imported, or has no such arm.
    """
    file, colon, attribute = name.rpartition(":")
    if name in installed(GROUP):
        made, source = loaded(installed(GROUP)[name])
    elif colon and file.endswith(".py"):
        source = Path(file)
        made = getattr(imported(source), attribute, None)
    else:
        raise KeyError(name)
    if not isinstance(made, Arm):
        raise UsageError(
            f"{name} is not an Arm (ablations.arms.Arm)" if made else f"{file} has no {attribute}"
        )
    if made.name in {arm.name for arm in _ALL}:  # in folders it would be taken for ours
        raise UsageError(f"{name}: an arm of ours is named {made.name}, too: rename yours")
    return replace(made, source=source_hash(source))


ARMS = _Arms()


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
    if name.endswith(".py"):
        raise UsageError(f"{name}: say which arm of the file, as {name}:NAME")
    if name not in ARMS:
        raise unknown("arm", name, ARMS)
    return ARMS[name]
