"""Whether two images or two texts are the same up to size, compression, case and layout.

Images by a perceptual hash of 256 bits (the library imagehash) and the correlation of thumbnails;
texts by their n-grams of words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    Array = NDArray[Any]

HASH_SIDE = 16
BITS = 40
"""Of 256.  Of the 304 MathVision testmini images, copies at a third of the size and JPEG quality 30
differ in 40 bits or fewer (98 %), other images in 58 or more (99 %), none of them mirrored."""
CORRELATION = 0.9
"""Of 16 x 16 grey thumbnails, which tells drawings apart that are mostly white."""
PLAIN = 2.0
"""Standard deviation of grey levels below which an image shows nothing to recognise."""
COPY, COPY_SPOT = 24.0, 48.0
"""Levels (of 255) by which in a copy no cell of 16 x 16 differs, in no colour, and no 5 x 5 pixels,
in brightness or colour.  Of 150 and 60 MathVision images, copies at 0.4 of the size and JPEG
quality 40 differ by 23 and 47 or less (99 %); those in which a digit of 5 % of the longer side was
exchanged differ by 51 or more at its spot (99 %)."""
SPOT_SIDE, SPOT = 512, 5
BLOCK = 512
WORDS = 8
_WORD = re.compile(r"[^\W_]+")  # "Is", "3", "é"; not "_", "-", "<"
_MARK = re.compile(r"<\s*image\s*\d*\s*>", re.IGNORECASE)  # "<image>", "<image1>"; not "<b>"


@dataclass(frozen=True, slots=True)
class Print:
    """An image's fingerprint: its hash as four 64-bit numbers, and a grey thumbnail (256,)."""

    bits: Array
    thumbnail: Array


def print_of(image: Image.Image) -> Print | None:
    """Return an image's print; None for a blank one (one colour)."""
    import imagehash
    from PIL import Image

    grey = image.convert("L")
    small = grey.resize((HASH_SIDE, HASH_SIDE), Image.Resampling.BOX)
    thumbnail = np.asarray(small, np.uint8).ravel()
    if np.asarray(grey).std() < PLAIN or thumbnail.std() == 0:
        return None
    bits = np.packbits(imagehash.phash(grey, hash_size=HASH_SIDE).hash.ravel())
    return Print(bits.view(np.uint64), thumbnail)


def alike(first: Sequence[Print], second: Sequence[Print]) -> Iterator[tuple[int, int, int]]:
    """Yield (index, index, differing bits) of the images of two lists that are the same."""
    if not first or not second:
        return
    a, b = (np.array([each.bits for each in prints]) for prints in (first, second))
    for start in range(0, len(a), BLOCK):
        block = a[start : start + BLOCK, None]
        distance = np.bitwise_count(block ^ b[None]).sum(-1)
        for i, j in np.argwhere(distance <= BITS):
            thumbnails = first[start + i].thumbnail, second[j].thumbnail
            if np.corrcoef(*thumbnails)[0, 1] >= CORRELATION:
                yield int(start + i), int(j), int(distance[i, j])


def connected(links: Array, number: int) -> Array:
    """Return the group of each of ``number`` nodes; the pairs ``links`` (n, 2) share theirs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(links)), links.T), shape=(number, number))
    groups: Array = connected_components(graph, directed=False)[1]
    return groups


def without_marks(text: str) -> str:
    """Return a text without its image placeholders."""
    return _MARK.sub(" ", text).strip()


def words_of(text: str) -> list[str]:
    """Return a text's words in lower case, without punctuation and image placeholders."""
    return _WORD.findall(without_marks(text).lower())


def grams_of(text: str, limit: int = 2000) -> frozenset[tuple[str, ...]]:
    """Return the `WORDS`-grams of a text; for a long one, those of its first and last words."""
    words = words_of(text)
    runs: Iterable[list[str]] = [words]
    if len(words) > 2 * limit:
        runs = [words[:limit], words[-limit:]]
    return frozenset(tuple(run[i : i + WORDS]) for run in runs for i in range(len(run) - WORDS + 1))


def copies(first: Image.Image, second: Image.Image) -> bool:
    """Whether two images are one picture, resized or compressed; a local edit is not a copy.

    Spots are compared at the size of the smaller one, of at most `SPOT_SIDE` a side.
    """
    from scipy.ndimage import uniform_filter

    sides = zip(first.size, second.size, strict=True)
    cells = _difference(first, second, [HASH_SIDE, HASH_SIDE], "RGB")
    fine = _difference(first, second, [min(*s, SPOT_SIDE) for s in sides], "YCbCr")
    spots = uniform_filter(fine, (SPOT, SPOT, 1))
    return bool(np.abs(cells).max() <= COPY and np.abs(spots).max() <= COPY_SPOT)


def _difference(first: Image.Image, second: Image.Image, size: list[int], colours: str) -> Array:
    from PIL import Image

    box = Image.Resampling.BOX
    small = (image.convert("RGB").resize(size, box).convert(colours) for image in (first, second))
    a, b = (np.asarray(image, np.float32) for image in small)
    return a - b
