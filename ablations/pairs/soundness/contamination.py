"""Which benchmark items are in the training data of arms, and which pairs repeat each other.

A question with an image is the same item only if the image is the same, unless its text is long:
"What colour is the bus?" is asked everywhere.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ablations.pairs.soundness.features import text_of
from ablations.pairs.soundness.likeness import Print, alike, connected, grams_of, print_of, words_of
from benchmarks.pairs.selection import AnyPair, WrittenPair
from harness.files.jsonl import rewrite
from harness.protocols import Benchmark, FailedItem
from harness.records import ImagePart, Item, Message, Part, TextPart

COMMON = 3
"""Texts of one side that share an n-gram, above which it is boilerplate ("answer by letter")."""
SAME = (0.5, 6)
"""The same question: share of the shorter text's n-grams that the other holds, and their number
(13 words in a row; the n-gram length of arXiv 2005.14165).  A question that is contained whole is
the same if it has one n-gram."""
WITH_IMAGES = (0.8, 30)
"""`SAME` where both have images, of which none matches (37 words in a row)."""

Grams = frozenset[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Taint:
    """A benchmark item that is in the training data, as row ``row`` of ``source``.

    ``source`` is pairs or rl. ``by`` says what is the same; ``measure`` is the number of differing
    bits (of 256) of an image's hash, or the fraction of n-grams of a question.
    """

    benchmark: str
    item: str
    source: str
    row: str
    by: Literal["image", "question"]
    measure: float


@dataclass(frozen=True, slots=True)
class Content:
    """The compared content of a row or an item: name, n-grams of texts, prints of images.

    The first text is the question.
    """

    name: str
    texts: tuple[Grams, ...]
    prints: tuple[Print, ...]
    images: bool


def of_pair(pair: AnyPair) -> Content:
    """Return the content of a pair: its question and both contexts, or its written prompt."""
    if isinstance(pair, WrittenPair):
        return _of_messages(pair.id, pair.messages)
    contexts = (pair.context_positive, pair.context_negative)
    texts = [pair.query, *(_text(context) for context in contexts)]
    return _content(pair.id, texts, [part for context in contexts for part in context])


def of_item(item: Item, *, mirrored: bool = False) -> Content:
    """Return the content of an RL item or a benchmark's; optionally with ``mirrored`` images."""
    return _of_messages(item.id, item.messages, mirrored=mirrored)


def _of_messages(name: str, messages: Sequence[Message], *, mirrored: bool = False) -> Content:
    parts = [part for message in messages for part in message.content]
    text = " ".join(_text(message.content) for message in messages)
    return _content(name, [text], parts, mirrored=mirrored)


def _text(parts: Iterable[Part]) -> str:
    return " ".join(part.text for part in parts if isinstance(part, TextPart))


def _content(
    name: str, texts: Sequence[str], parts: Sequence[Part], *, mirrored: bool = False
) -> Content:
    from PIL import ImageOps

    images = [part.image for part in parts if isinstance(part, ImagePart)]
    seen = [*images, *map(ImageOps.mirror, images)] if mirrored else images
    prints = tuple(found for image in seen if (found := print_of(image)))
    return Content(name, tuple(map(grams_of, texts)), prints, bool(images))


def of_benchmark(benchmark: Benchmark) -> list[Content]:
    """Return the content of every item that can be built, including mirrored images.

    Raises `UsageError` if the benchmark's data is missing.
    """
    built = map(benchmark.build, benchmark.ids())
    return [of_item(item, mirrored=True) for item in built if not isinstance(item, FailedItem)]


def tainted(
    benchmark: str, items: Sequence[Content], sources: Mapping[str, Sequence[Content]]
) -> list[Taint]:
    """Return the benchmark's items found in a source, each with the first row per source.

    ``sources`` are the contents of ``pairs`` and ``rl``.
    """
    found: dict[tuple[str, str], Taint] = {}
    for source, rows in sources.items():
        matches = (*_by_image(items, rows), *_by_text(items, rows))
        for item, row, by, measure in matches:
            name = items[item].name
            taint = Taint(benchmark, name, source, rows[row].name, by, measure)
            found.setdefault((name, source), taint)
    return list(found.values())


Match = tuple[int, int, Literal["image", "question"], float]


def _by_image(items: Sequence[Content], rows: Sequence[Content]) -> Iterator[Match]:
    first, of_first = _flat(items)
    second, of_second = _flat(rows)
    for i, j, bits in sorted(alike(first, second), key=lambda match: match[2]):
        yield of_first[i], of_second[j], "image", float(bits)


def _flat(contents: Sequence[Content]) -> tuple[list[Print], list[int]]:
    pairs = [(found, i) for i, content in enumerate(contents) for found in content.prints]
    return [found for found, _ in pairs], [i for _, i in pairs]


def _by_text(items: Sequence[Content], rows: Sequence[Content]) -> Iterator[Match]:
    """Yield matching questions; n-grams found in many texts of either side do not count."""
    common = _common(items) | _common(rows)
    whole = [frozenset[tuple[str, ...]]().union(*item.texts) for item in items]
    index: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, grams in enumerate(whole):
        for gram in grams - common:
            index[gram].append(number)
    for number, row in enumerate(rows):
        for is_question, text in zip((True, False, False), row.texts, strict=False):
            own = text - common
            shared = Counter(item for gram in own & index.keys() for item in index[gram])
            for item, count in shared.items():
                both = row.images and items[item].images
                share = count / min(len(own), len(whole[item] - common))
                least, fewest = WITH_IMAGES if both else SAME
                contained = is_question and not both and text <= whole[item]
                if contained or (share >= least and count >= fewest):
                    yield item, number, "question", share


def _common(contents: Sequence[Content]) -> Grams:
    distinct = {text for content in contents for text in content.texts}
    counts = Counter(gram for text in distinct for gram in text)
    return frozenset(gram for gram, number in counts.items() if number > COMMON)


def repeats(pairs: Sequence[AnyPair], contents: Sequence[Content]) -> list[tuple[str, ...]]:
    """Return the ids of pairs that repeat each other, in groups of two or more.

    Images are compared by `likeness`, texts by their words. The two images of a pair may themselves
    be alike.
    """
    groups: dict[object, list[str]] = defaultdict(list)
    for pair, images in zip(pairs, _families(contents), strict=True):
        if isinstance(pair, WrittenPair):
            contexts = tuple(message.content for message in pair.messages)
            question: tuple[str, str] = "", pair.letter
        else:
            contexts = (pair.context_positive, pair.context_negative)
            question = " ".join(words_of(pair.query)), pair.answer.strip().lower()
        texts = tuple(" ".join(words_of(text_of(context))) for context in contexts)
        groups[question, texts, images].append(pair.id)
    return [tuple(names) for names in groups.values() if len(names) > 1]


def _families(contents: Sequence[Content]) -> list[frozenset[int]]:
    """Return, for each content, the groups of its images: those that are alike share one."""
    prints = [found for content in contents for found in content.prints]
    links = np.array([(i, j) for i, j, _ in alike(prints, prints)], int).reshape(-1, 2)
    families = iter(connected(links, len(prints)).tolist() if prints else [])
    return [frozenset(next(families) for _ in content.prints) for content in contents]


def write_taints(path: Path, taints: Sequence[Taint]) -> None:
    """Write one JSON line per tainted item and source, for ``--exclude``."""
    rewrite(path, (json.dumps(asdict(taint)) for taint in taints))
