"""What a scorer needs to know of the right answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from benchmarks.scoring.normal import normal

Kind = Literal["choice", "number", "text", "math"]
Program = Literal["mathvision", "mmmu", "mmmu_pro", "blink"]


@dataclass(frozen=True, slots=True)
class Target:
    """The right answer to one question.

    ``choice``: ``answer`` is the right option's letter; ``choices`` are the option texts in the
    order A, B, ... (empty strings where the data set does not tell them, so that their number is
    known).  ``number``: a number with an optional ``unit``, compared after rounding to
    ``precision`` decimals where given.  ``text``: a word or phrase; ``alternatives`` are further
    right answers.  ``math``: a LaTeX expression, number, tuple, interval or equation; several
    right answers that must all be given stand in ``answer`` joined as the benchmark joins them;
    ``tolerance`` is the official absolute tolerance.  ``answer_type`` is the benchmark's own word
    for the type of its answer.  ``official`` names the official grading program where that is a
    deterministic one whose reading an accepted answer must not contradict
    (`benchmarks.scoring.official`).
    """

    kind: Kind
    answer: str
    choices: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    unit: str | None = None
    precision: int | None = None
    tolerance: float | None = None
    answer_type: str | None = None
    tolerances: tuple[float, ...] = ()
    official: Program | None = None

    def __post_init__(self) -> None:
        # Lists, as JSON gives them, are accepted: a target is hashed.
        for name in ("choices", "alternatives", "tolerances"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


@lru_cache(maxsize=8192)
def normalised(target: Target) -> Target:
    """Return a target with its texts in the normal form in which responses are read."""
    return replace(
        target,
        answer=normal(target.answer),
        choices=tuple(map(normal, target.choices)),
        alternatives=tuple(map(normal, target.alternatives)),
        unit=normal(target.unit or "") or None,
    )
