"""Checks of all pairs and RL items, before anything is trained on them.

`survey` decodes every image (``harness pairs check``), the previews none (`training.plan.check`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from benchmarks.pairs.file import PairError, check
from benchmarks.pairs.rows import LazyRows, Preview
from harness.errors import UsageError
from harness.records import ImagePart, Item, Pair, TextPart


def survey(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Check every pair, decoding its images, and return counts.

    Raises `UsageError` if a pair is wrong, or two have the same id.
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

    Raises `UsageError` if a pair is wrong, or two have the same id.
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
    """Raise `UsageError` if a pair is the only one of its domain: none can replace its context."""
    domains = Counter(preview.domain for preview in previews)
    for preview in previews:
        if domains[preview.domain] < 2:
            raise PairError(
                f"pair {preview.id}: its domain ({preview.domain}) has only one pair, so no "
                "unrelated context is available"
            )


def preview_items(items: Sequence[Item]) -> bool:
    """Check every RL item without decoding an image, and return whether any has one.

    Raises `UsageError` if an item is wrong.
    """
    if previews := _undecoded(items):
        return any(preview.images for preview in previews)
    return any(_has_image(message.content) for item in items for message in item.messages)


_TEXTS = ("query", "answer", "answer_negative", "choices", "context_positive", "context_negative")
_MARK = "<image>"  # in a row with images it marks their position, and is taken out


def check_texts(rows: Sequence[Pair] | Sequence[Item], tokens: Collection[str]) -> None:
    """Check that no text of the data is a special token of the model.

    One for an image would need another image, one that ends a turn would end it.

    Raises:
        UsageError: names the row and the token.
    """
    pattern = re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))))
    for index in range(len(rows) if tokens else 0):
        where, texts = _texts(rows, index)
        for text in texts:
            if match := pattern.search(text):
                raise UsageError(
                    f"{where}: its text holds {match[0]!r}, a special token of this model: "
                    "change the text or leave out the row"
                )


def _texts(rows: Sequence[Any], index: int) -> tuple[str, Iterator[str]]:
    """Return what messages call a row, and its texts as the model would read them."""
    if isinstance(rows, LazyRows):
        row, where = rows.undecoded(index)
        marked = bool(row.get("images"))
        texts = (text for name in _TEXTS for text in _strings(row.get(name)))
        return where, (text.replace(_MARK, "") if marked else text for text in texts)
    row = rows[index]
    if isinstance(row, Item):
        parts = [part for message in row.messages for part in message.content]
        return f"item {row.id}", (part.text for part in parts if isinstance(part, TextPart))
    parts = [*row.context_positive, *row.context_negative, TextPart(row.query)]
    shown = [part.text for part in parts if isinstance(part, TextPart)]
    return f"pair {row.id}", iter((*shown, row.answer, row.answer_negative or ""))


def _strings(value: Any) -> Iterator[str]:
    """Yield the texts in a cell: itself, or those of its pieces."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _strings(value.get("text"))
    elif isinstance(value, list):
        for piece in value:
            yield from _strings(piece)
