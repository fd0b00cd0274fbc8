"""Models with a planted accuracy: a function that answers the embedded items as a server's model.

Tests of a study come in with a data root; a `Planted` leaves, whose ``answer`` goes into a
`tests.servers.ScriptedServer`.  A served name is LEVEL-ARM-SEED: the level says how many items of a
hundred are answered right, the seed moves that by a little, as training seeds do.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks import suites
from harness.protocols import build_items
from harness.records import ImagePart, Item, TextPart
from tests.servers import Reply, Request

# Benchmarks whose native scoring needs a judge: none is started for it.
BENCHMARKS = ("mathvista", "mathverse", "phyx")
SEED_SD = 0.007  # of a seed's accuracy, the same for all benchmarks of a model


def _content(text: str, images: Sequence[Image.Image]) -> str:
    digest = hashlib.sha256(text.encode())
    for image in images:
        digest.update(repr(image.size).encode() + image.convert("RGB").tobytes())
    return digest.hexdigest()


def _of_item(item: Item) -> str:
    parts = [part for message in item.messages for part in message.content]
    text = "\n".join(part.text for part in parts if isinstance(part, TextPart))
    return _content(text, [part.image for part in parts if isinstance(part, ImagePart)])


def _of_request(request: Request) -> str:
    return _content(request.text, [Image.open(io.BytesIO(data)) for data in request.images])


def _wrong(target: Any) -> str:
    if target.kind != "choice":
        return f"1{target.answer}"
    letters = "ABCDEFGH"[: len(target.choices)]
    return letters[(letters.index(target.answer) + 1) % len(letters)]


class Planted:
    """Answers the items of `BENCHMARKS` under a data root.

    Each item has a difficulty, evenly spread over a benchmark: a model answers right what is easier
    than its accuracy.  So differences between models are as planted, but for their seeds.
    """

    def __init__(self, data: Path) -> None:
        self.items = 0
        self.known: dict[str, tuple[float, str, str]] = {}
        for name in BENCHMARKS:
            built = build_items(suites.benchmark(name, data))
            items = [item for item in built if isinstance(item, Item)]
            self.items += len(items)
            # Some generated items are alike to the last pixel.
            distinct = {_of_item(item): item for item in items}
            order = random.Random(name).sample(range(len(distinct)), len(distinct))
            for (content, item), place in zip(distinct.items(), order, strict=True):
                target: Any = item.target
                difficulty = (place + 0.5) / len(distinct)
                self.known[content] = (difficulty, target.answer, _wrong(target))

    def answer(self, request: Request) -> Reply:
        """Answer one request by the name of its model."""
        name = str(request.body["model"])
        level = int(name.partition("-")[0]) / 100
        accuracy = level + random.Random(name).gauss(0, SEED_SD)
        difficulty, right, wrong = self.known[_of_request(request)]
        return Reply(right if difficulty < accuracy else wrong)
