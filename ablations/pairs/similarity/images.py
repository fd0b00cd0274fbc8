"""``harness pairs images``: pairs of similar images whose answers to a question differ.

The cascade: one image per item -> nearest neighbours -> no copies -> the same question -> answers
that differ -> a judge, if one is given.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ablations.pairs.build import Build
from ablations.pairs.judging import ASK, finish_judged
from ablations.pairs.progress import Note, silent
from ablations.pairs.similarity import embedding as embedding_code
from ablations.pairs.similarity.candidates import (
    RULES,
    Question,
    Sameness,
    answers_differ,
    asks_the_same,
    image_of,
    only_image,
    question_of,
)
from ablations.pairs.similarity.embedding import Embedding
from ablations.pairs.similarity.neighbours import Search, neighbours, search_for
from ablations.pairs.soundness.likeness import copies
from benchmarks.pairs.saving import png
from harness.errors import UsageError
from harness.files.atomic import write_bytes
from harness.files.hashing import json_hash, source_hash
from harness.protocols import Judge
from harness.records import ImagePart, Item, Message, TextPart

BATCH = 64
Near = tuple[int, int, float]

_JUDGE = """\
You check training data. Two images look alike. The first is to support the answer to the \
question, the second is not.

Question: {query}
Answer by the first image: {answer}
Answer by the second image: {other}

INVALID if the question does not make sense for one of the images, if the first image does not \
support the answer, if the second supports it as well, or if one can tell which is meant without \
understanding them (quality, size, marks). UNCERTAIN if you cannot tell.
"""


@dataclass(frozen=True, slots=True)
class Similar:
    """How neighbours are chosen: cosine from 0 to 1, neighbours per image, and the rule."""

    cosine: float = 0.85
    k: int = 10
    question: Sameness = "equivalent"
    search: Search | None = None
    domain: str = "image"


def build_similar(
    build: Build,
    items: Sequence[Item],
    embedding: Embedding,
    chosen: Similar,
    judge: Judge | None = None,
    note: Note = silent,
) -> dict[str, Any]:
    """Fill a build with pairs of similar images; return its manifest.

    Raises `UsageError` if no item has an image, an image cannot be read, or a server is gone.
    """
    funnel = build.funnel
    questions = enumerate(map(question_of, items))
    usable = [(index, question) for index, question in questions if question is not None]
    funnel.step("items", "items", len(items))
    dropped = {"not exactly one image": len(items) - len(usable)}
    funnel.step("with one image", "items", len(usable), dropped)
    if not usable:
        raise UsageError("no item has exactly one image")
    vectors = _vectors(build, items, [index for index, _ in usable], embedding, note)
    search = chosen.search or search_for(len(usable))
    near = neighbours(vectors, chosen.cosine, chosen.k, search)
    funnel.step(f"cosine of {chosen.cosine:g} or more", "pairs", len(near))
    if embedding.label:
        funnel.notes.append(f"embedding {embedding.label}")
    funnel.notes.append(f"questions: {RULES[chosen.question]}; search: {search}")
    kept = _filtered(build, items, usable, near, chosen.question)
    rng = random.Random(f"{build.plan.seed}/similar")
    # The supporting item first.
    candidates = [(i, j, cosine) if rng.random() < 0.5 else (j, i, cosine) for i, j, cosine in kept]
    rows = [_row(build, items, usable, candidate, chosen) for candidate in candidates]
    return finish_judged(
        build, rows, judge, lambda row: Message("user", tuple(_parts(build, row))), note
    )


def _vectors(
    build: Build, items: Sequence[Item], numbers: Sequence[int], embedding: Embedding, note: Note
) -> Any:
    """Return one vector per item, reusing those that the same code made of the same items."""
    folder = build.path / "embeddings" / source_hash(Path(embedding_code.__file__))
    chunks = []
    for start in range(0, len(numbers), BATCH):
        batch = numbers[start : start + BATCH]
        path = folder / f"{start:08d}-{json_hash(batch)[:12]}.npy"
        if not path.is_file():
            stream = io.BytesIO()
            made = embedding.embed([image_of(items[n]) for n in batch])
            np.save(stream, made, allow_pickle=False)
            write_bytes(path, stream.getvalue())
        chunks.append(np.load(path, allow_pickle=False))
        if start % (100 * BATCH) == 0 and start:
            note(f"embedded {start} of {len(numbers)} images")
    return np.concatenate(chunks)


def _filtered(
    build: Build,
    items: Sequence[Item],
    usable: Sequence[tuple[int, Question]],
    near: Sequence[Near],
    rule: Sameness,
) -> Sequence[Near]:
    """Keep pairs with the same question and different answers; skip copies of one image.

    Two answers to copies of an image (resized, recompressed or identical) are not a pair.
    """

    def step(name: str, reason: str, keep: Callable[[Question, Question], bool]) -> list[Near]:
        kept = [row for row in near if keep(usable[row[0]][1], usable[row[1]][1])]
        build.funnel.step(name, "pairs", len(kept), {reason: len(near) - len(kept)})
        return kept

    near = step("the same question", "another question", lambda a, b: asks_the_same(a, b, rule))
    near = step("answers that differ", "the same answer", answers_differ)
    kept = [row for row in near if not copies(*(image_of(items[usable[n][0]]) for n in row[:2]))]
    dropped = {"copies of one image": len(near) - len(kept)}
    build.funnel.step("two images", "pairs", len(kept), dropped)
    return kept


def _row(
    build: Build,
    items: Sequence[Item],
    usable: Sequence[tuple[int, Question]],
    candidate: Near,
    chosen: Similar,
) -> dict[str, Any]:
    first, second, cosine = candidate
    positive, negative = usable[first], usable[second]
    contexts = []
    for index, _ in (positive, negative):
        name = f"images/{index:07d}.png"
        if not (build.path / name).exists():
            write_bytes(build.path / name, png(image_of(items[index])))
        contexts.append([{"image": name}])
    return {
        "id": f"{positive[1].id}~{negative[1].id}",
        "domain": chosen.domain,
        "query": positive[1].text,
        "answer": positive[1].answer,
        "answer_negative": negative[1].answer if chosen.question != "any" else None,
        "context_positive": contexts[0],
        "context_negative": contexts[1],
        "source": "similar images",
        "cosine": round(cosine, 4),
    }


def _parts(build: Build, row: Mapping[str, Any]) -> Iterator[TextPart | ImagePart]:
    other = row["answer_negative"] or "(not known)"
    yield TextPart(_JUDGE.format(query=row["query"], answer=row["answer"], other=other))
    for name, context in (("First", "context_positive"), ("Second", "context_negative")):
        (piece,) = row[context]
        yield TextPart(f"\n{name} image:\n")
        yield ImagePart(only_image(build.path / piece["image"]))
    yield TextPart(f"\n{ASK}")
