"""Whether pairs can be solved without what they should teach: from form, or parts blanked.

Each test uses a reader that sees less than the whole prompt: a ridge regression that learns from
other pairs, so no model is needed. H0: within every cluster of pairs that share a context, which of
the two contexts supports is a fair coin. Flipping signs by cluster then gives the null
distribution, exact for any features.  Of written selection prompts, it is also tested whether the
right letter is predictable without the contexts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from ablations.pairs.soundness import features
from ablations.pairs.soundness.likeness import connected
from benchmarks.pairs.selection import AnyPair, WrittenPair, sides
from harness.records import ImagePart, Pair, Part, TextPart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.pairs.template import PairTemplate

    Array = NDArray[Any]

FOLDS = 10
FLIPS = 999
RIDGE = 0.1
"""Ridge penalty as a share of the features' mean square, times the number of pairs."""
FAMILY_ALPHA = 0.001
"""Chance that a set without shortcuts raises any alarm, over all tests (Bonferroni)."""
FEWEST = 20
"""Clusters below which nothing is tested."""
LETTER_TESTS = 3
PERIODS = (2, 3, 4, 5, 8)
"""Rows after which a pattern of letters may repeat."""


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


def shortcuts(pairs: Iterable[Pair]) -> list[Shortcut]:
    """Test readers that see less than the prompt; every pair counts once, in either order.

    Raises `UsageError` if a pair is wrong, or one of its images cannot be read.
    """
    seen = [_Seen.of(pair) for pair in pairs]
    groups = clusters([row.contexts for row in seen])
    readers = _readers(seen)
    alpha = FAMILY_ALPHA / len(readers)
    return [_tested(reader, groups, alpha) for reader in readers]


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
    shapes = [features.text_surface(a) - features.text_surface(b) for a, b in answers]
    said = np.hstack([lengths, np.array(shapes), _words(seen, answers)])
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


def _mentions(seen: Sequence[_Seen], of: Sequence[str]) -> Array:
    return np.array(
        [
            features.mentions(row.texts[0], name) - features.mentions(row.texts[1], name)
            for row, name in zip(seen, of, strict=True)
        ]
    )


def clusters(contexts: Sequence[tuple[str, str]]) -> Array:
    """Return the cluster of each pair, shape (pairs,): pairs that share a context share one."""
    names: dict[str, int] = {}
    nodes = [[names.setdefault(name, len(names)) for name in both] for both in contexts]
    links = np.array(nodes)
    return np.unique(connected(links, len(names))[links[:, 0]], return_inverse=True)[1]


def _tested(reader: _Reader, groups: Array, alpha: float) -> Shortcut:
    rows = np.flatnonzero(reader.rows)
    x, of = reader.x[rows], np.unique(groups[rows], return_inverse=True)[1]
    count = int(of.max()) + 1 if rows.size else 0
    plain = Shortcut(reader.test, reader.sees, len(rows), count)
    if count < FEWEST or not np.any(x):
        return plain
    found = read(squashed(x), np.ones(len(rows)), of, alpha)
    seen = found.low > 0.5
    alarm, notice = seen and not reader.honest, seen and reader.honest
    return replace(plain, **asdict(found), alarm=alarm, notice=notice)


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


def read(x: Array, signs: Array, groups: Array, alpha: float) -> Read:
    """Return how well ridge regression predicts signs of unseen pairs.

    ``x`` has shape (pairs, d), ``signs`` (pairs,) are 1 and -1, ``groups`` (pairs,) stay in one
    fold and flip together. The interval is ``alpha``'s, by the normal with the null's standard
    deviation; ties count as half right.
    """
    from scipy.stats import norm
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    count = int(groups.max()) + 1
    flips = rng.choice([-1.0, 1.0], (count, FLIPS + 1))
    flips[:, 0] = 1
    labels = signs[:, None] * flips[groups]  # column 0 is unflipped
    fold = rng.permutation(count)[groups] % min(FOLDS, count)
    right = np.zeros(FLIPS + 1)
    penalty = RIDGE * len(x) * np.mean(x**2) * min(x.shape) / x.shape[1]
    for k in range(min(FOLDS, count)):
        test = fold == k
        ridge = Ridge(alpha=penalty, fit_intercept=False, solver="cholesky")
        predicted = ridge.fit(x[~test], labels[~test]).predict(x[test])
        agreed = np.round(predicted, 12) * labels[test]
        right += np.sum(agreed > 0, axis=0) + np.sum(agreed == 0, axis=0) / 2
    accuracy = right / len(x)
    null = accuracy[1:]
    half = float(norm.isf(alpha / 2) * null.std())
    z = (accuracy[0] - null.mean()) / null.std() if null.std() else 0.0
    low, high = max(0.0, accuracy[0] - half), min(1.0, accuracy[0] + half)
    return Read(float(accuracy[0]), float(low), float(high), float(norm.sf(z)))


def separated(pair: AnyPair, template: PairTemplate | None = None) -> Pair | None:
    """Return a pair with its contexts separated: for a written one, its two images.

    A text pair is split by the ``template``. None if the contexts are unknown. In a prompt with
    images, all text is the question.
    """
    if isinstance(pair, Pair):
        return pair
    parts = [part for message in pair.messages for part in message.content]
    text = features.text_of(parts)
    images = sum(isinstance(part, ImagePart) for part in parts)
    if pair.exchanged is not None and images == 2:
        return Pair(pair.id, pair.domain, text, "", None, *sides(pair), pair.source)
    found = template and template.parts(features.text_of(pair.messages[-1].content))
    if not found or images:
        return None
    texts = TextPart(found["context_a"]), TextPart(found["context_b"])
    right, wrong = texts[:: 1 if pair.letter == "A" else -1]
    return Pair(
        pair.id, pair.domain, found["query"], found["answer"], None, (right,), (wrong,), pair.source
    )  # fmt: skip


def written_keys(pairs: Sequence[WrittenPair], apart: Sequence[Pair | None]) -> list[Shortcut]:
    """Test the letters of written prompts with `keys`; ``apart`` are the `separated` pairs.

    Findings are only notices if all prompts can be asked in both orders.
    """
    questions = ["" if pair is None else f"{pair.query}\n{pair.answer}" for pair in apart]
    found = keys([p.letter for p in pairs], questions, [p.domain for p in pairs])
    if not all(pair.exchanged for pair in pairs):
        return found
    return [replace(test, alarm=False, notice=test.alarm) for test in found]


def keys(
    letters: Sequence[str], questions: Sequence[str], domains: Sequence[str]
) -> list[Shortcut]:
    """Test the letters of prompts that have one order.

    ``questions`` are the prompts' texts without their contexts, empty if those are unknown; equal
    ones stay in one fold. ``domains`` are the prompts' kinds.
    """
    signs = np.where(np.array(letters) == "A", 1.0, -1.0)
    alpha = FAMILY_ALPHA / LETTER_TESTS
    found = [_balance(signs, alpha)]
    x = np.asarray(features.bag_of_words(questions).todense(), float)
    equal = np.unique(np.array(questions), return_inverse=True)[1]
    if not any(questions):
        equal = np.arange(len(signs))
    every = np.arange(len(signs))
    readers = (
        ("key by place", "the row's number and its domain", _places(domains), every),
        ("key by question", "the prompt without its contexts", np.tanh(x), equal),
    )
    for test, sees, columns, groups in readers:
        plain = Shortcut(test, sees, len(signs), int(groups.max()) + 1)
        if plain.clusters >= FEWEST and np.any(columns):
            result = read(columns - columns.mean(0), signs, groups, alpha)
            plain = replace(plain, **asdict(result), alarm=result.low > 0.5)
        found.append(plain)
    return found


def _balance(signs: Array, alpha: float) -> Shortcut:
    """Test the commoner letter's fraction with an exact binomial interval (Clopper and Pearson)."""
    from scipy.stats import binomtest

    count = int(max(np.sum(signs > 0), np.sum(signs < 0)))
    plain = Shortcut("key balance", "nothing: the commoner letter", len(signs), len(signs))
    if len(signs) < FEWEST:
        return plain
    test = binomtest(count, len(signs))
    low, high = test.proportion_ci(1 - alpha)
    return replace(
        plain, accuracy=count / len(signs), low=float(low), high=float(high), p=float(test.pvalue),
        alarm=low > 0.5,
    )  # fmt: skip


def _places(domains: Sequence[str]) -> Array:
    """Return features of a row's number and domain, shape (rows, d)."""
    number = np.arange(len(domains))
    waves = [f(2 * np.pi * number / period) for period in PERIODS for f in (np.sin, np.cos)]
    halves = [np.sign(number - len(domains) / 2), number / max(1, len(domains)) - 0.5]
    kinds = [np.array([each == name for each in domains], float) for name in sorted(set(domains))]
    return np.stack([*waves, *halves, *kinds], axis=1)
