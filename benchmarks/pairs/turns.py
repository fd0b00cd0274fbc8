"""The prompt of a written pair as turns of text, plus its images as stored."""

from __future__ import annotations

import re
from typing import Any, cast

from benchmarks.pairs.rows import Row
from benchmarks.pairs.tables import images_of

MARK = "<image>"
"""In a prompt with images it marks the position of one."""

Turn = tuple[str, str]
"""Role and text, in which `MARK` is an image."""


def turns_of(row: Row) -> tuple[list[Turn], list[Any]]:
    """Return a row's prompt as turns, and its images as stored.

    A prompt is a text, a list of texts and images, or a list of chat messages. None stands for an
    unreadable image, unless the row has a list of images.
    """
    images = images_of(row)
    value, listed = row.get("query"), bool(images)
    chat = isinstance(value, list) and all(isinstance(v, dict) and "role" in v for v in value)
    messages = cast("list[Any]", value) if chat else [{"role": "user", "content": value}]
    turns: list[Turn] = []
    for message in messages:
        text, shown = _text(message.get("content"))
        images += [image for image in shown if image is not None or not listed]
        turns.append((str(message["role"]), text))
    return turns, images


def _text(content: Any) -> tuple[str, list[Any]]:
    """Return the text of a message with a mark per image, and the images."""
    texts: list[str] = []
    images: list[Any] = []
    for piece in content if isinstance(content, list) else [content]:
        if not isinstance(piece, dict):
            texts.append(str(piece))
            continue
        text, image = piece.get("text"), _image(piece)
        # Table rows have all fields: an image's text is empty there.
        empty = not text and (image is not None or piece.get("type", "text") != "text")
        if isinstance(text, str) and not empty:
            texts.append(text)
        else:
            texts.append(MARK)
            images.append(image)
    return "".join(texts), images


def _image(piece: dict[str, Any]) -> Any:
    """Return the image of a piece, its file or bytes; None if it is elsewhere or missing."""
    if piece.get("image") or piece.get("bytes") or piece.get("path"):
        return {"image": piece.get("image") or piece}
    url = piece.get("image_url")
    path = url.get("url") if isinstance(url, dict) else url
    local = isinstance(path, str) and path and not re.match(r"[a-z]+:", path, re.IGNORECASE)
    return {"image": path} if local else None
