"""Pairs that repeat another one: same question and answer, similar contexts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ablations.pairs.soundness.contamination import Content
from ablations.pairs.soundness.features import text_of
from ablations.pairs.soundness.likeness import alike, words_of
from benchmarks.pairs.selection import AnyPair, WrittenPair


def repeats(pairs: Sequence[AnyPair], contents: Sequence[Content]) -> list[tuple[str, ...]]:
    """Return the ids of pairs that repeat each other, in groups of two or more.

    Images are compared by `likeness`, texts by their words. The two images of a pair may themselves
    be alike.
    """
    images = _families(contents)
    groups: dict[object, list[str]] = defaultdict(list)
    for pair, families in zip(pairs, images, strict=True):
        if isinstance(pair, WrittenPair):
            contexts = tuple(message.content for message in pair.messages)
            question: tuple[str, str] = "", pair.letter
        else:
            contexts = (pair.context_positive, pair.context_negative)
            question = " ".join(words_of(pair.query)), pair.answer.strip().lower()
        texts = tuple(" ".join(words_of(text_of(context))) for context in contexts)
        groups[question, texts, families].append(pair.id)
    return [tuple(names) for names in groups.values() if len(names) > 1]


def _families(contents: Sequence[Content]) -> list[frozenset[int]]:
    """Return, for each content, the groups of its images: those that are alike share one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    prints = [found for content in contents for found in content.prints]
    links = np.array([(i, j) for i, j, _ in alike(prints, prints)], int).reshape(-1, 2)
    graph = coo_array((np.ones(len(links)), links.T), shape=(len(prints), len(prints)))
    families = iter(connected_components(graph, directed=False)[1].tolist() if prints else [])
    return [frozenset(next(families) for _ in content.prints) for content in contents]
