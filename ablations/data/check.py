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
    """Check every pair, decoding its images, and return counts.

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
    previews = _undecoded(pairs) or [_preview(pair) for pair in pairs]
    _check_ids(previews)
    return previews


def _undecoded(rows: Sequence[Any]) -> list[Preview]:
    """Return the previews of rows in a file or data set; none of those in memory."""
    if not isinstance(rows, LazyRows):
        return []
    return [rows.preview(index) for index in range(len(rows))]


def _preview(pair: Pair) -> Preview:
    check(pair)
    images = _has_image((*pair.context_positive, *pair.context_negative))
    return Preview(pair.id, pair.domain, images)


def _check_ids(previews: Sequence[Preview]) -> None:
    for name, times in Counter(preview.id for preview in previews).items():
        if times > 1:
            raise PairError(f"two pairs have the id {name}")


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
    if previews := _undecoded(items):
        return any(preview.images for preview in previews)
    return any(_has_image(message.content) for item in items for message in item.messages)
