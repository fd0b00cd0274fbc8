"""Images of items, and image files of a build."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.data.local.images import as_seen, opened
from harness.records import ImagePart, Item

if TYPE_CHECKING:
    from PIL import Image


def image_of(item: Item) -> Image.Image:
    """Return an item's first image."""
    parts = (part for message in item.messages for part in message.content)
    return next(part.image for part in parts if isinstance(part, ImagePart))


def only_image(path: Path) -> Image.Image:
    """Return the image in a file, decoded (RGB)."""
    with opened(path) as image:
        return as_seen(image)


def png(image: Image.Image) -> bytes:
    """Return an image as a PNG file."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
