"""Limits on image pixels, applied before a model's own processor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.records import ImagePart, Message

if TYPE_CHECKING:
    from PIL import Image


def sized(messages: Sequence[Message], least: int | None, most: int | None) -> tuple[Message, ...]:
    """Return a conversation with images of about ``least`` to ``most`` pixels (None: no limit).

    Others are scaled keeping their aspect ratio, sides rounded down, like EasyR1's
    ``process_image``, which the paper's authors train with.
    """
    if least is None and most is None:
        return tuple(messages)
    return tuple(
        replace(
            message,
            content=tuple(
                ImagePart(_scaled(part.image, least, most)) if isinstance(part, ImagePart) else part
                for part in message.content
            ),
        )
        for message in messages
    )


def _scaled(image: Image.Image, least: int | None, most: int | None) -> Image.Image:
    if most is not None and image.width * image.height > most:
        image = _to_area(image, most)
    if least is not None and image.width * image.height < least:
        image = _to_area(image, least)
    return image


def _to_area(image: Image.Image, area: int) -> Image.Image:
    factor = math.sqrt(area / (image.width * image.height))
    return image.resize((max(int(image.width * factor), 1), max(int(image.height * factor), 1)))


def wrong_limits(least: int | None, most: int | None) -> bool:
    """Whether no image can satisfy these limits."""
    return least is not None and most is not None and least > most
