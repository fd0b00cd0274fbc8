"""Checks of all pairs and RL items, before anything is trained on them.

`survey` decodes every image (``harness pairs check``), the previews none (`training.plan.check`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.pairs.file import PairError, check
from benchmarks.pairs.rows import LazyRows, Preview
from harness.records import ImagePart, Item, Pair


def survey(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Check every pair, opening its images, and return counts.

    Raises:
        UsageError: a pair is wrong, or two have the same id.
    """
    previews, known = [], 0
    for pair in pairs:
        previews.append(_preview(pair))
        known += pair.answer_negative is not None
    _check_ids(previews)
    domains = Counter(preview.domain for preview in previews)
    return {"pairs": len(previews), "domains": dict(domains), "answers_negative": known}


def preview_pairs(pairs: Sequence[Pair]) -> list[Preview]:
    """Check every pair without decoding an image.

    Raises:
        UsageError: a pair is wrong, or two have the same id.
    """
    if isinstance(pairs, LazyRows):
        previews = [pairs.preview(index) for index in range(len(pairs))]
    else:
        previews = [_preview(pair) for pair in pairs]  # the embedded world's are in memory
    _check_ids(previews)
    return previews


def _preview(pair: Pair) -> Preview:
    check(pair)
    images = _has_image((*pair.context_positive, *pair.context_negative))
    return Preview(pair.id, pair.domain, images)


def _check_ids(previews: Sequence[Preview]) -> None:
    repeated = [name for name, n in Counter(p.id for p in previews).items() if n > 1]
    if repeated:
        raise PairError(f"two pairs have the id {repeated[0]}")


def _has_image(parts: Iterable[object]) -> bool:
    return any(isinstance(part, ImagePart) for part in parts)


def check_unrelated_available(previews: Sequence[Preview]) -> None:
    """Check that every pair has another one of its domain, whose context can replace its own.

    Raises:
        UsageError: a domain has only one pair.
    """
    domains = Counter(preview.domain for preview in previews)
    for preview in previews:
        if domains[preview.domain] < 2:
            raise PairError(
                f"pair {preview.id}: its domain ({preview.domain}) has only one pair, so no "
                "unrelated context is available"
            )


def preview_items(items: Sequence[Item]) -> bool:
    """Check every RL item without decoding an image, and return whether any has one.

    Raises:
        UsageError: an item is wrong.
    """
    if isinstance(items, LazyRows):
        previews = [items.preview(index) for index in range(len(items))]  # all of them
        return any(preview.images for preview in previews)
    return any(_has_image(message.content) for item in items for message in item.messages)
