"""Checks of all pairs and RL items, before anything is trained on them.

`survey` decodes every image (``harness pairs check``), the previews none (`training.check`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from benchmarks.pairs.file import PairError, check, check_ids
from benchmarks.pairs.rows import Preview
from benchmarks.pairs.selection import AnyPair, WrittenPair, other
from benchmarks.pairs.tables import LazyRows
from benchmarks.pairs.turns import MARK
from benchmarks.pairs.written import tied_rows
from harness.errors import UsageError
from harness.files.text import counted
from harness.records import ImagePart, Item, Pair, TextPart


def survey(pairs: Sequence[AnyPair]) -> dict[str, Any]:
    """Check every pair, decoding its images, and return counts.

    ``tied`` are the ids of written pairs in both orders whose text ties content to a place. Raises
    `UsageError` if a pair is wrong, or two have the same id.
    """
    previews, known = [], 0
    for pair in pairs:
        previews.append(_preview(pair))
        known += isinstance(pair, Pair) and pair.answer_negative is not None
    check_ids(preview.id for preview in previews)
    domains = Counter(preview.domain for preview in previews)
    return {
        "pairs": len(previews),
        "domains": dict(domains),
        "answers_negative": known,
        **written_counts(previews),
        "tied": tied(pairs, previews),
    }


def written_counts(previews: Sequence[Preview]) -> dict[str, int]:
    """Return how many pairs are written prompts, and how many of those have one order only.

    ``text_prompts`` have no image; ``split`` are those that a template tells apart.
    """
    written = [preview for preview in previews if preview.written]
    return {
        "written": len(written),
        "text_prompts": sum(not preview.images for preview in written),
        "split": sum(not preview.images and preview.orders == 2 for preview in written),
        "one_order": sum(preview.orders == 1 for preview in written),
    }


def text_prompts(pairs: Sequence[AnyPair]) -> list[str]:
    """Return the last turns of written prompts without images; `UsageError` if there are none."""
    chosen = [
        pair.messages[-1].render()
        for pair in pairs
        if isinstance(pair, WrittenPair) and not _preview(pair).images
    ]
    if not chosen:
        raise PairError("there is no written prompt of text: only those need a template")
    return chosen


def tied(pairs: Sequence[AnyPair], previews: Sequence[Preview]) -> list[str]:
    """Return the ids of written pairs in both orders whose text ties content to a place."""
    if not isinstance(pairs, LazyRows):
        return []
    written = [index for index, preview in enumerate(previews) if preview.written]
    rows = {previews[index].id: pairs.undecoded(index)[0] for index in written}
    both = {preview.id for preview in previews if preview.orders > 1}
    return [name for name in tied_rows(list(rows.items())) if name in both]


def preview_pairs(pairs: Sequence[AnyPair]) -> list[Preview]:
    """Check every pair without decoding an image.

    Raises `UsageError` if a pair is wrong, or two have the same id.
    """
    previews = _undecoded(pairs) or [_preview(pair) for pair in pairs]
    check_ids(preview.id for preview in previews)
    return previews


def _undecoded(rows: Sequence[Any]) -> list[Preview]:
    """Return the previews of rows in a file or data set; none of those in memory."""
    if not isinstance(rows, LazyRows):
        return []
    return [rows.preview(index) for index in range(len(rows))]


def tied_line(names: Sequence[str]) -> str:
    """Return a warning about the pairs of `tied`."""
    return (
        f"{counted(len(names), 'written pair')} with a place in the text (such as 'the left "
        f"image'; first: {names[0]}): exchanged, it may be wrong; --orders written keeps the order"
    )


def _preview(pair: AnyPair) -> Preview:
    if isinstance(pair, WrittenPair):
        images = any(_has_image(message.content) for message in pair.messages)
        letters = (pair.letter,) if pair.exchanged is None else (pair.letter, other(pair.letter))
        return Preview(pair.id, pair.domain, images, letters, written=True)
    check(pair)
    images = _has_image((*pair.context_positive, *pair.context_negative))
    return Preview(pair.id, pair.domain, images)


def _has_image(parts: Iterable[object]) -> bool:
    return any(isinstance(part, ImagePart) for part in parts)


def check_unrelated_available(previews: Sequence[Preview]) -> None:
    """Check that another pair can replace a context of each pair.

    Raises `UsageError` if a pair is the only one of its domain that is a written prompt, or that is
    not; or it is a written prompt of text, in which it is not known which part is a context.
    """
    for preview in previews:
        if preview.written and not (preview.images and preview.orders == 2):
            raise PairError(
                f"pair {preview.id} is a written prompt without two marked images: an unrelated "
                "context needs pairs of images, or pairs with separate contexts"
            )
    alike = Counter((preview.domain, preview.written) for preview in previews)
    for preview in previews:
        if alike[preview.domain, preview.written] < 2:
            kind = "written pair" if preview.written else "pair with separate contexts"
            raise PairError(
                f"pair {preview.id}: its domain ({preview.domain}) has only one {kind}, so no "
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


def check_texts(rows: Sequence[AnyPair] | Sequence[Item], tokens: Collection[str]) -> None:
    """Check that no text of the data is a special token of the model.

    One for an image would need another image, one that ends a turn would end it.

    Raises:
        UsageError: names the row and the token.
    """
    pattern = _any_of(frozenset(tokens))
    for index in range(len(rows) if tokens else 0):
        where, texts = _texts(rows, index)
        for text in texts:
            if match := pattern.search(text):
                raise UsageError(
                    f"{where}: its text holds {match[0]!r}, a special token of this model: "
                    "change the text or leave out the row"
                )


@cache
def _any_of(tokens: frozenset[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))))


def _texts(rows: Sequence[Any], index: int) -> tuple[str, Iterator[str]]:
    """Return what messages call a row, and its texts as the model would read them."""
    if isinstance(rows, LazyRows):
        row, where = rows.undecoded(index)
        marked = bool(row.get("images"))
        texts = (text for name in _TEXTS for text in _strings(row.get(name)))
        return where, (text.replace(MARK, "") if marked else text for text in texts)
    row = rows[index]
    if isinstance(row, Pair):
        answers = (TextPart(row.answer), TextPart(row.answer_negative or ""))
        parts = (*row.context_positive, *row.context_negative, TextPart(row.query), *answers)
    else:
        parts = tuple(part for message in row.messages for part in message.content)
    shown = (part.text for part in parts if isinstance(part, TextPart))
    return f"{'item' if isinstance(row, Item) else 'pair'} {row.id}", shown


def _strings(value: Any) -> Iterator[str]:
    """Yield the texts in a cell: itself, or those of its pieces."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _strings(value.get("text", value.get("content")))
    elif isinstance(value, list):
        for piece in value:
            yield from _strings(piece)
