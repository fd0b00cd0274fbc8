"""Image cells of a data set: which are empty, and which decode."""

from __future__ import annotations

import base64
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.errors import ItemError

if TYPE_CHECKING:
    from PIL import Image


def is_empty(cell: Any) -> bool:
    """Whether an image cell holds no image, however its file format says so."""
    if isinstance(cell, dict):
        return set(cell) == {"bytes", "path"} and not any(cell.values())
    return cell is None


def decode(cell: Any) -> Image.Image:
    """Return the image of a cell, fully loaded and turned as its EXIF data says.

    Args:
        cell: ``{"bytes": ..., "path": ...}``, of which bytes go first, or base64 text.

    Raises:
        ItemError: it does not decode, or its file is missing; one line that says why.
    """
    import datasets

    try:
        if isinstance(cell, str):
            cell = {"bytes": base64.b64decode(cell), "path": None}
        if not isinstance(cell, dict):
            raise ValueError(f"a {type(cell).__name__} is no image")
        value = {"bytes": cell.get("bytes"), "path": cell.get("path")}
        image: Image.Image = datasets.Image().decode_example(value)
        return image
    except undecodable() as error:
        raise ItemError((str(error).splitlines() or [type(error).__name__])[0]) from error


@lru_cache(maxsize=1)
def undecodable() -> tuple[type[Exception], ...]:
    """Return what PIL raises on damaged files (its plugins raise more than OSError)."""
    from PIL.Image import DecompressionBombError

    plugins = (SyntaxError, ValueError, EOFError, IndexError, struct.error)
    return (OSError, DecompressionBombError, *plugins)
