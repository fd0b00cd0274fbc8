"""Every pair and RL item looked at once, before anything is trained on it.

``harness pairs check`` comes in for `survey`, which decodes every image; the trainer's check for
`glance_pairs` and `glance_tasks`, which decode none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.pairs.file import Glance, Glanced, PairError, check
from benchmarks.pairs.rl_item import Task
from harness.records import ImagePart, Pair


def survey(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return counts of a sequence of pairs that are all good.

    Args:
        pairs: what to look at; each pair's images are opened.

    Raises:
        UsageError: a pair is wrong, or two have one id.
    """
    domains: Counter[str] = Counter()
    seen: set[str] = set()
    known = 0
    for pair in pairs:
        check(pair)
        if pair.id in seen:
            raise PairError(f"two pairs have the id {pair.id}")
        seen.add(pair.id)
        domains[pair.domain] += 1
        known += pair.answer_negative is not None
    return {"pairs": len(seen), "domains": dict(domains), "answers_negative": known}


def glance_pairs(pairs: Sequence[Pair]) -> list[Glance]:
    """Look at every pair without decoding an image.

    Raises:
        UsageError: a pair is wrong, or two have one id.
    """
    seen: dict[str, Glance] = {}
    for place in range(len(pairs)):
        one = _glance_pair(pairs, place)
        if one.id in seen:
            raise PairError(f"two pairs have the id {one.id}")
        seen[one.id] = one
    return list(seen.values())


def check_strangers(pairs: Sequence[Glance]) -> None:
    """See that another pair's context can stand in for the second one of every pair.

    Raises:
        UsageError: a domain has a single pair.
    """
    domains = Counter(one.domain for one in pairs)
    for one in pairs:
        if domains[one.domain] < 2:
            raise PairError(f"pair {one.id}: no other pair is of its domain ({one.domain})")


def _glance_pair(pairs: Sequence[Pair], place: int) -> Glance:
    if isinstance(pairs, Glanced):
        return pairs.glance(place)
    pair = pairs[place]  # of the embedded world: in memory as it is
    check(pair)
    parts = (*pair.context_positive, *pair.context_negative)
    return Glance(pair.id, pair.domain, any(isinstance(part, ImagePart) for part in parts))


def glance_tasks(tasks: Sequence[Task]) -> bool:
    """Look at every RL item without decoding an image, and return whether any has one.

    Raises:
        UsageError: an item is wrong.
    """
    if isinstance(tasks, Glanced):
        glances = [tasks.glance(place) for place in range(len(tasks))]  # all, whatever is found
        return any(one.images for one in glances)
    parts = (part for task in tasks for message in task.messages for part in message.content)
    return any(isinstance(part, ImagePart) for part in parts)
