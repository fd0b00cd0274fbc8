"""Similarity of two issues: BM25, or the cosine of a sentence-transformers embedding."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from harness.errors import UsageError, first_line

BM25 = "bm25"
# Related yet different, by measure: from (inclusive) to (exclusive).
BOUNDS: Mapping[str, tuple[float, float]] = {BM25: (0.08, 0.9), "embedding": (0.5, 0.97)}

Similarity = Callable[[str, str], float]


def similarity(texts: Mapping[str, str], ids: Iterable[str], measure: str = BM25) -> Similarity:
    """Return a function giving the similarity of two ids' texts, in about [0, 1].

    ``texts`` are all, for BM25's word frequencies, ``ids`` those to be compared; ``measure`` is
    ``bm25``, or a folder or Hub id of a sentence-transformers model. Raises `UsageError` if its
    package is missing, or the model cannot be loaded.
    """
    return _bm25(texts) if measure == BM25 else _cosine(texts, sorted(set(ids)), measure)


def _bm25(texts: Mapping[str, str]) -> Similarity:
    """Symmetric BM25 of each text as query and document, relative to a text's score with itself.

    Robertson and Zaragoza 2009, in Lucene's form, by bm25s.
    """
    import bm25s

    names = list(texts)
    position = {name: index for index, name in enumerate(names)}
    documents = [tokens(texts[name]) for name in names]
    index = bm25s.BM25(method="lucene")
    index.index(documents, show_progress=False)

    @lru_cache(maxsize=512)  # one text's row of similarities; pairs come grouped by code base
    def scores(name: str) -> Any:
        return index.get_scores(documents[position[name]])

    def alike(first: str, second: str) -> float:
        ways = ((first, second), (second, first))
        shares = [
            float(scores(a)[position[b]]) / max(float(scores(a)[position[a]]), 1e-9)
            for a, b in ways
        ]
        return min(sum(shares) / 2, 1.0)

    return alike


def _cosine(texts: Mapping[str, str], asked: Sequence[str], model: str) -> Similarity:
    encoder = _encoder(model)
    vectors = encoder.encode([texts[name] for name in asked], normalize_embeddings=True)
    by_id = dict(zip(asked, vectors, strict=True))
    return lambda first, second: float(by_id[first] @ by_id[second])


def _encoder(model: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(model, device="cpu")
    except ImportError as error:
        raise UsageError(
            "an embedding needs sentence-transformers: pip install sentence-transformers"
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{model} is not a sentence-transformers model: {first_line(error)}"
        ) from error


# get_value, getValue and HTTPError also count as their parts.
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# lists -> list, reading -> read, failed -> fail; not class, not need.
_ENDING = re.compile(r"(?<=\w{4})(?:ing|ed)$|(?<=\w{2}[^\Ws])s$")
_STOP = frozenset(
    "a about add after all also an and any are as at be been but by can cannot could describe did "
    "do does doesn each error expected for from get had has have how however if in instead into "
    "is issue it its just like me more my no not now of on only or other our out over please "
    "python reproduce same should so some steps such support than that the their them then there "
    "these they this to up us use used using very was we were what when where which while who why "
    "will with work works would you your".split()
)


def tokens(text: str) -> list[str]:
    """Return a text's words for BM25: identifiers whole and in parts, without common words."""
    result: list[str] = []
    for word in re.findall(r"\w+", text):
        parts = [part.lower() for part in _PARTS.findall(word)]
        whole = [word.lower()] if len(parts) > 1 else []
        kept = [part for part in parts if len(part) > 1 and part not in _STOP]
        result += [*whole, *(_ENDING.sub("", part) for part in kept)]
    return result or ["empty"]
