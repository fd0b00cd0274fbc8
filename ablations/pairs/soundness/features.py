"""Surface features of a text or an image, visible without understanding it.

All features are comparable between the two contexts of a pair.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.records import ImagePart, Part, TextPart

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    Array = NDArray[Any]

SIDE = 160
"""Longest side, in pixels, at which pixels are looked at; larger images are cropped, not resized,
so that noise and compression stay as they are."""
THUMBNAIL = 4
HASHED = 512
"""Number of hashed word features; collisions of a few thousand words cost some power."""
_WORD = re.compile(r"\w+|[^\w\s]")  # "fix", "[", "MASK"; not blanks
_MARKS = tuple(".,:;!?'\"`()[]{}<>/\\_-=*#$%&@+|~")


def text_of(context: Sequence[Part]) -> str:
    """Return the texts of a context, one after the other."""
    return "\n".join(part.text for part in context if isinstance(part, TextPart))


def images_of(context: Sequence[Part]) -> list[Image.Image]:
    """Return the images of a context."""
    return [part.image for part in context if isinstance(part, ImagePart)]


def length(context: Sequence[Part]) -> Array:
    """Return the length of a context: characters, words, lines, images and pixels."""
    text, images = text_of(context), images_of(context)
    pixels = sum(image.width * image.height for image in images)
    counts = (len(text), len(text.split()), text.count("\n"), len(images), pixels)
    return np.array(counts, float)


def text_surface(text: str) -> Array:
    """Return the form of a text: its characters' kinds, layout and marks."""
    n = max(1, len(text))
    words = text.split()
    kinds = (str.isupper, str.isdigit, str.isspace, str.isalpha)
    shares = [sum(map(kind, text)) / n for kind in kinds]
    ends = [float(text[:1].isupper()), float(text[-1:].isspace()), float(text[-1:].isalnum())]
    layout = [
        text.count("\n\n") / n,
        text.count("  ") / n,
        sum(ord(character) > 127 for character in text) / n,
        sum(map(len, words)) / max(1, len(words)),
    ]
    return np.array([*shares, *ends, *layout, *(text.count(mark) / n for mark in _MARKS)])


def repetition(text: str) -> Array:
    """Return how much a text repeats itself: distinct words, compressed bytes."""
    words = text.split()
    different = len(set(words)) / max(1, len(words))
    return np.array([different, len(zlib.compress(text.encode())) / max(1, len(text))])


def image_surface(image: Image.Image) -> Array:
    """Return the form of an image: size, colour, sharpness, noise, blocks of JPEG, a thumbnail.

    Residuals are of a 3 x 3 median; blocks are steps between pixels at each of the eight offsets
    of JPEG's grid, against the mean step.
    """
    from PIL import Image, ImageFilter
    from scipy import ndimage

    crop = image.crop((0, 0, min(SIDE, image.width), min(SIDE, image.height))).convert("YCbCr")
    pixels = np.asarray(crop, float)
    grey = pixels[..., 0]
    residual = np.abs(pixels - np.asarray(crop.filter(ImageFilter.MedianFilter(3)), float))
    small = image.convert("RGB").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    sizes = [image.width, image.height, image.width / image.height]
    tones = [*pixels.mean((0, 1)), *pixels.std((0, 1)), np.mean(grey >= 254), np.mean(grey <= 1)]
    noise = residual.mean((0, 1))
    fine = [np.abs(ndimage.laplace(pixels[..., c])).mean() for c in range(3)]
    packed = pixels.astype(int) @ (1 << 16, 1 << 8, 1)
    coloured = float(len(np.unique(packed)))
    edges = [np.abs(np.diff(grey[[0, -1]], axis=1)).mean() if grey.shape[1] > 1 else 0.0]
    blocks = [*_blocks(grey), *_blocks(grey.T)]
    rest = [np.log1p(coloured), *edges, *np.asarray(small, float).ravel()]
    return np.array([*sizes, *tones, *noise, *fine, *blocks, *rest], float)


def _blocks(grey: Array) -> list[float]:
    """Return the mean step between neighbouring columns at offsets 0 to 7, relative to the mean."""
    steps = np.abs(np.diff(grey, axis=1)).mean(0)
    if not steps.size or not steps.mean():
        return [0.0] * 8
    return [float(steps[k::8].mean() / steps.mean()) if steps[k::8].size else 1.0 for k in range(8)]


def surface(context: Sequence[Part]) -> Array:
    """Return the form of a context: its length, its text's form, the mean over its images."""
    from PIL import Image

    images = images_of(context)
    shapes = [image_surface(image) for image in images or [Image.new("RGB", (8, 8))]]
    mean = np.mean(shapes, axis=0) * bool(images)
    return np.concatenate([length(context), text_surface(text_of(context)), mean])


def bag_of_words(texts: Sequence[str]) -> Any:
    """Return hashed unigrams and bigrams of words, shape (texts, `HASHED`), sparse."""
    from sklearn.feature_extraction.text import HashingVectorizer

    made = HashingVectorizer(
        n_features=HASHED, ngram_range=(1, 2), token_pattern=_WORD.pattern, norm=None,
        alternate_sign=True,
    )  # fmt: skip
    return made.transform(texts)


def mentions(text: str, of: str) -> Array:
    """Return how a text mentions another: whole, its words, how many of them, and where."""
    words, wanted = _WORD.findall(text.lower()), set(_WORD.findall(of.lower()))
    places = [number for number, word in enumerate(words) if word in wanted]
    found = len({words[number] for number in places})
    whole = float(text.lower().count(of.lower().strip())) if of.strip() else 0.0
    middle = float(np.mean(places)) / len(words) if places else 0.0
    return np.array([whole, float(len(places)), float(found), middle])
