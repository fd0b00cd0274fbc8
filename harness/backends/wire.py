"""Chat messages as JSON, for OpenAI-compatible servers and transformers' chat templates."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.errors import ItemError
from harness.records import ImagePart, Message, Part, TextPart

if TYPE_CHECKING:
    from PIL import Image


def data_url(image: Image.Image) -> str:
    """Return ``image`` as a ``data:`` URL of a PNG: lossless, compressed for speed."""
    buffer = io.BytesIO()
    if image.mode not in ("RGB", "L"):
        image = image.convert("RGB")
    image.save(buffer, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def openai(messages: Sequence[Message], *, lists: bool = False) -> list[dict[str, Any]]:
    """Return messages for an OpenAI-compatible server, images as `data_url`.

    A message that is one text has that text as its content; with ``lists`` a list of one part.
    """
    urls: dict[int, str] = {}

    def part_json(part: Part) -> dict[str, Any]:
        if isinstance(part, TextPart):
            return {"type": "text", "text": part.text}
        key = id(part.image)
        if key not in urls:
            urls[key] = data_url(part.image)
        return {"type": "image_url", "image_url": {"url": urls[key]}}

    def content(message: Message) -> str | list[dict[str, Any]]:
        match message.content:
            case (TextPart(text),) if not lists:
                return text
            case parts:
                return [part_json(part) for part in parts]

    return [{"role": message.role, "content": content(message)} for message in messages]


def without_prefill(messages: Sequence[Message]) -> tuple[Sequence[Message], str]:
    """Return a conversation without the beginning of an answer that ends it, and that beginning."""
    *before, last = messages
    return (before, last.render()) if last.role == "assistant" else (messages, "")


def transformers(messages: Sequence[Message], *, images: bool) -> list[dict[str, Any]]:
    """Return messages for transformers' chat templates, with decoded images inside.

    Raises `ItemError` if there is an image, and without ``images`` the model reads text only.
    """
    if not images:
        if any(isinstance(part, ImagePart) for message in messages for part in message.content):
            raise ItemError("the question has an image, and this model reads text only")
        return [{"role": message.role, "content": message.render()} for message in messages]

    def part_json(part: Part) -> dict[str, Any]:
        if isinstance(part, TextPart):
            return {"type": "text", "text": part.text}
        return {"type": "image", "image": part.image}

    return [
        {"role": message.role, "content": [part_json(part) for part in message.content]}
        for message in messages
    ]
