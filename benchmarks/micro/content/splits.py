"""Which split owns a piece of content: disjoint by construction, whatever seeds are used.

Each content's hash has exactly one owner; draws that another split owns are discarded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal, TypeVar

Split = Literal["pretrain", "rl", "pairs", "probe", "eval"]

# Half of all contents are for pretraining, the rest is shared equally.
_OWNERS: tuple[Split, ...] = ("pretrain",) * 4 + ("rl", "pairs", "probe", "eval")
SPLITS: tuple[Split, ...] = tuple(dict.fromkeys(_OWNERS))

T = TypeVar("T")


def owner(content: str) -> Split:
    """Return the split that owns a content (any text that says all of it that matters)."""
    digest = hashlib.blake2b(content.encode(), digest_size=4).digest()
    return _OWNERS[int.from_bytes(digest, "big") % len(_OWNERS)]


def draw_until(draw: Callable[[], T], owned: Callable[[T], bool], most: int = 10_000) -> T:
    """Return the first drawn thing that is owned; `RuntimeError` after ``most`` draws in vain."""
    for _ in range(most):
        drawn = draw()
        if owned(drawn):
            return drawn
    raise RuntimeError(f"{most} draws, none of the wanted split: the draw has too few outcomes")
