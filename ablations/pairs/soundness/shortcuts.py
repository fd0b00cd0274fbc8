"""Whether pairs can be solved without what they should teach: from form, or parts blanked.

Each test uses a reader that sees less than the whole prompt: a ridge regression that learns from
other pairs, so no model is needed. H0: within every cluster of pairs that share a context, which of
the two contexts supports is a fair coin. Flipping signs by cluster then gives the null
distribution, exact for any features.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from ablations.pairs.soundness import features
from harness.records import Pair, Part, TextPart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

FOLDS = 10
FLIPS = 999
RIDGE = 0.1
"""Ridge penalty as a share of the features' mean square, times the number of pairs."""
FAMILY_ALPHA = 0.001
"""Chance that a set without shortcuts raises any alarm, over all tests (Bonferroni)."""
FEWEST = 20
"""Clusters below which nothing is tested."""


@dataclass(frozen=True, slots=True)
class Shortcut:
    """One reader's accuracy.

    ``accuracy`` is a fraction of pairs, chance 0.5; None if nothing can be tested. ``low`` and
    ``high`` are its interval, at a level that holds for all tests together. ``alarm``: the interval
    is above chance. ``notice``: the same for a test that honest data may fail.
    """

    test: str
    sees: str
    pairs: int
    clusters: int
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    alarm: bool = False
    notice: bool = False


@dataclass(frozen=True, slots=True)
class _Reader:
    """A test: name, what is seen, features (pairs, d) of the difference, and which pairs."""

    test: str
    sees: str
    x: Array
    rows: Array
    honest: bool = False
    """Whether sound data may fail: an answer that the supporting text names is no fault."""


def shortcuts(pairs: Iterable[Pair], seed: int = 0) -> list[Shortcut]:
    """Test readers that see less than the prompt; every pair counts once, in either order.

    Raises:
        UsageError: a pair is wrong, or one of its images cannot be read.
    """
    seen = [_Seen.of(pair) for pair in pairs]
    groups = clusters([row.contexts for row in seen])
    readers = _readers(seen)
    alpha = FAMILY_ALPHA / len(readers)
    return [_tested(reader, groups, alpha, seed) for reader in readers]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is kept of a pair: no image."""

    query: str
    answer: str
    other: str | None
    texts: tuple[str, str]
    surfaces: tuple[Array, Array]
    contexts: tuple[str, str]
    """Hashes of the two contexts."""

    @classmethod
    def of(cls, pair: Pair) -> _Seen:
        both = pair.context_positive, pair.context_negative
        return cls(
            pair.query,
            pair.answer,
            pair.answer_negative,
            (features.text_of(both[0]), features.text_of(both[1])),
            (features.surface(both[0]), features.surface(both[1])),
            (context_name(both[0]), context_name(both[1])),
        )


def context_name(context: Sequence[Part]) -> str:
    """Return a hash of a context."""
    pieces = (p.text.encode() if isinstance(p, TextPart) else p.image.tobytes() for p in context)
    return sha256(b"\0".join(pieces)).hexdigest()


def _readers(seen: Sequence[_Seen]) -> list[_Reader]:
    """Return all readers, each with the rows it applies to."""
    every = np.ones(len(seen), bool)
    written = np.array([any(row.texts) for row in seen])
    repeated = np.array(
        [features.repetition(a) - features.repetition(b) for a, b in (row.texts for row in seen)]
    )
    known = np.array([row.other is not None for row in seen])
    forms = np.array([row.surfaces[0] - row.surfaces[1] for row in seen])
    words = _words(seen, [row.texts for row in seen])
    asked = _mentions(seen, [row.query for row in seen])
    named = _mentions(seen, [row.answer for row in seen])
    answers = [(row.answer, row.other or row.answer) for row in seen]
    lengths = np.array([features.length((TextPart(a),)) for a, _ in answers])
    lengths -= [features.length((TextPart(b),)) for _, b in answers]
    said = np.hstack([lengths, _forms(answers), _words(seen, answers)])
    return [
        _Reader("length", "the contexts' lengths", forms[:, : lengths.shape[1]], every),
        _Reader("surface", "the contexts' form: layout, JPEG, noise, sharpness", forms, every),
        _Reader("words", "the contexts' words", words, written),
        _Reader("answer blanked", "question and contexts", np.hstack([asked, words]), written),
        _Reader("contexts blanked", "question and both answers", said, known),
        _Reader("repetition", "how much the contexts repeat", repeated, written, honest=True),
        _Reader("question blanked", "answer and contexts", named, written, honest=True),
    ]


def _words(seen: Sequence[_Seen], texts: Sequence[tuple[str, str]]) -> Array:
    first, second = zip(*texts, strict=True)
    difference = features.bag_of_words(first) - features.bag_of_words(second)
    return np.asarray(difference.todense(), float)


def _forms(texts: Sequence[tuple[str, str]]) -> Array:
    return np.array([features.text_surface(a) - features.text_surface(b) for a, b in texts])


def _mentions(seen: Sequence[_Seen], of: Sequence[str]) -> Array:
    return np.array(
        [
            features.mentions(row.texts[0], name) - features.mentions(row.texts[1], name)
            for row, name in zip(seen, of, strict=True)
        ]
    )


def clusters(contexts: Sequence[tuple[str, str]]) -> Array:
    """Return the cluster of each pair, shape (pairs,): pairs that share a context share one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names: dict[str, int] = {}
    nodes = [[names.setdefault(name, len(names)) for name in both] for both in contexts]
    first, second = np.array(nodes).T
    graph = coo_array((np.ones(len(nodes)), (first, second)), shape=(len(names), len(names)))
    labels: Array = connected_components(graph, directed=False)[1][first]
    return np.unique(labels, return_inverse=True)[1]


def _tested(reader: _Reader, groups: Array, alpha: float, seed: int) -> Shortcut:
    rows = np.flatnonzero(reader.rows)
    x, of = reader.x[rows], np.unique(groups[rows], return_inverse=True)[1]
    count = int(of.max()) + 1 if rows.size else 0
    plain = Shortcut(reader.test, reader.sees, len(rows), count)
    if count < FEWEST or not np.any(x):
        return plain
    found = read(squashed(x), np.ones(len(rows)), of, alpha, seed)
    alarm = found.low > 0.5
    return Shortcut(
        reader.test, reader.sees, len(rows), count, found.accuracy, found.low, found.high, found.p,
        alarm=alarm and not reader.honest, notice=alarm and reader.honest,
    )  # fmt: skip


def squashed(x: Array) -> Array:
    """Return differences as odd, bounded functions of themselves, to limit outliers."""
    size = np.abs(x)
    scale = np.array([np.median(s[s > 0]) if np.any(s > 0) else 1.0 for s in size.T])
    bounded: Array = np.tanh(x / scale)
    return bounded[:, np.any(bounded, axis=0)]


@dataclass(frozen=True, slots=True)
class Read:
    """A reader's cross-validated accuracy, its interval, and its p from flipped signs."""

    accuracy: float
    low: float
    high: float
    p: float


def read(x: Array, signs: Array, groups: Array, alpha: float, seed: int = 0) -> Read:
    """Return how well ridge regression predicts signs of unseen pairs.

    ``x`` has shape (pairs, d), ``signs`` (pairs,) are 1 and -1, ``groups`` (pairs,) stay in one
    fold and flip together. The interval is ``alpha``'s, by the normal with the null's standard
    deviation; ties count as half right.
    """
    from scipy.stats import norm

    rng = np.random.default_rng(seed)
    count = int(groups.max()) + 1
    flips = rng.choice([-1.0, 1.0], (count, FLIPS + 1))
    flips[:, 0] = 1
    labels = signs[:, None] * flips[groups]  # column 0 is unflipped
    fold = rng.permutation(count)[groups] % min(FOLDS, count)
    right = np.zeros(FLIPS + 1)
    penalty = RIDGE * len(x) * np.mean(x**2) * min(x.shape) / x.shape[1]
    for k in range(min(FOLDS, count)):
        test = fold == k
        predicted = x[test] @ _weights(x[~test], labels[~test], penalty)
        agreed = np.round(predicted, 12) * labels[test]
        right += np.sum(agreed > 0, axis=0) + np.sum(agreed == 0, axis=0) / 2
    accuracy = right / len(x)
    null = accuracy[1:]
    half = float(norm.isf(alpha / 2) * null.std())
    z = (accuracy[0] - null.mean()) / null.std() if null.std() else 0.0
    low, high = max(0.0, accuracy[0] - half), min(1.0, accuracy[0] + half)
    return Read(float(accuracy[0]), float(low), float(high), float(norm.sf(z)))


def _weights(x: Array, labels: Array, penalty: float) -> Array:
    """Return ridge weights for every column of labels, by the smaller of the two systems."""
    n, d = x.shape
    if d <= n:
        return np.linalg.solve(x.T @ x + penalty * np.eye(d), x.T @ labels)
    solved: Array = np.linalg.solve(x @ x.T + penalty * np.eye(n), labels)
    return x.T @ solved
