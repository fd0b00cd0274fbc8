"""Save pairs as rows that read back as the same pairs; images become PNG files beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.pairs.selection import AnyPair, WrittenPair
from harness.files.atomic import write_bytes
from harness.records import ImagePart, Pair, Part

if TYPE_CHECKING:
    from PIL import Image


def row_of(pair: AnyPair, folder: Path) -> dict[str, Any]:
    """Return a pair as a row of a file in ``folder``, and save its images there."""
    if isinstance(pair, WrittenPair):
        return _written_row(pair, folder)
    row: dict[str, Any] = {field.name: getattr(pair, field.name) for field in fields(Pair)}
    contexts = ("context_positive", "context_negative")
    return {**row, **{name: pieces(row[name], folder) for name in contexts}}


def _written_row(pair: WrittenPair, folder: Path) -> dict[str, Any]:
    named: dict[str, Any] = {"id": pair.id, "domain": pair.domain, "source": pair.source}
    turns = [(message.role, pieces(message.content, folder)) for message in pair.messages]
    images = [piece["image"] for _, shown in turns for piece in shown if "image" in piece]
    if len(images) == 2 and pair.exchanged is None:  # no marks show which image is where
        turns = [(role, [piece for piece in shown if "text" in piece]) for role, shown in turns]
        named["images"] = images
    prompt: Any = [{"role": role, "content": shown} for role, shown in turns]
    if [role for role, _ in turns] == ["user"]:
        prompt = prompt[0]["content"]
        if not images or "images" in named:
            prompt = "".join(piece["text"] for piece in prompt)
    return {**named, "prompt": prompt, "correct_answer": pair.letter}


def pieces(parts: Sequence[Part], folder: Path) -> list[dict[str, str]]:
    """Save images to ``folder``, and return texts and relative image paths."""
    return [
        {"image": _saved(part.image, folder)}
        if isinstance(part, ImagePart)
        else {"text": part.text}
        for part in parts
    ]


def _saved(image: Image.Image, folder: Path) -> str:
    name = f"images/{hashlib.sha256(image.tobytes()).hexdigest()[:20]}.png"
    if not (folder / name).exists():
        write_bytes(folder / name, png(image))
    return name


def png(image: Image.Image) -> bytes:
    """Return an image as a PNG file."""
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
