"""Our processor time per answer about a large image, as `short` measures it.

A photo comes as a JPEG, is decoded, and is sent as a PNG: the table shows what Pillow takes for
that alone beside the harness, which also builds, asks, scores and stores.
"""

from __future__ import annotations

import asyncio
import io
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.data.local.images import as_seen, decode
from harness.backends.wire import data_url
from harness.records import ImagePart, Item, Message, TextPart
from tests.bench.short import Short, measured, served

SIZES = ((1024, 768), (2048, 1536), (4000, 3000))
PHOTOS = 24
AT_ONCE = 8


@dataclass(frozen=True)
class Photos(Short):
    """One question per photo; all of one size."""

    photos: tuple[bytes, ...] = ()

    def count(self) -> int:
        """Return the number of items."""
        return len(self.photos)

    def ids(self) -> list[str]:
        """Return the ids."""
        return [str(number) for number in range(len(self.photos))]

    def build(self, item_id: str) -> Item:
        """Return a question with its photo before it."""
        item = super().build(item_id)
        image = as_seen(decode({"bytes": self.photos[int(item_id)]}))
        parts = (ImagePart(image), TextPart(item.messages[0].render()))
        return Item(item_id, (Message("user", parts),), item.target, item_id)


def photo(width: int, height: int, seed: int) -> bytes:
    """Return a JPEG of smooth colours with a sensor's noise."""
    from PIL import Image

    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 255, (12, 16, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=float)
    noisy = (pixels + draw.normal(0, 4, pixels.shape)).clip(0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(noisy).save(out, "JPEG", quality=90)
    return out.getvalue()


def main() -> None:
    """Print the table."""
    print(
        "  pixels        Pillow alone   bare client   harness   (ms of processor time per answer)"
    )
    with served() as (socket, folder):
        for width, height in SIZES:
            photos = tuple(photo(width, height, seed) for seed in range(PHOTOS))
            begun = time.process_time()
            for one in photos:
                data_url(decode({"bytes": one}))
            alone = (time.process_time() - begun) / PHOTOS
            bench: Any = Photos(photos)
            run = measured(bench, PHOTOS, AT_ONCE, socket, folder / str(width))
            bare, ours, _ = asyncio.run(run)
            figures = "".join(f"{1000 * value:13.1f}" for value in (alone, bare, ours))
            print(f"  {width:4} x {height:4}  {figures}")
