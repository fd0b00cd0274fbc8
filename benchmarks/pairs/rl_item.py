"""An RL item: its prompt, and the target that judges a completion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.scoring import Target
from harness.records import Message

Domain = Literal["image", "trajectory"]


DOMAINS: tuple[Domain, ...] = ("image", "trajectory")


@dataclass(frozen=True, slots=True)
class Task:
    """An item for reinforcement learning: what is asked, and what a right answer is.

    ``benchmarks.scoring.score`` judges a response against ``target``.
    """

    id: str
    domain: Domain
    messages: tuple[Message, ...]
    target: Target
