"""Decode the image cells of a data set.

Only PIL is imported, and pixels are those of ``datasets``. Data comes from elsewhere: an image is
bytes, or a file in the data's folder, in one of `FORMATS`, of at most `PIXELS`.
"""

from __future__ import annotations

import base64
import struct
import warnings
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ItemError, first_line
from harness.files.trees import homes

if TYPE_CHECKING:
    from PIL import Image


def is_empty(cell: Any) -> bool:
    """Whether an image cell is empty, in any file format's representation."""
    if isinstance(cell, dict):
        return set(cell) == {"bytes", "path"} and not any(cell.values())
    return cell is None


# Formats of the benchmarks and the published pairs. PIL has many more; one starts a program.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
# The largest benchmark images (MME-RealWorld) have 86 million; PIL warns above this.
PIXELS = 1024**3 // 12


def opened(image: bytes | Path) -> Image.Image:
    """Open an image, reading only its header.

    Raises `OSError` if it is missing, not an image, or in another format, `ValueError` if it has
    too many pixels.
    """
    from PIL import Image, UnidentifiedImageError

    # PIL rejects images of twice the size itself, and warns about those rejected here.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    try:
        made = Image.open(BytesIO(image) if isinstance(image, bytes) else image, formats=FORMATS)
    except UnidentifiedImageError as error:  # its text has an object's address
        what = f"file {image.name}" if isinstance(image, Path) else f"{len(image)} bytes"
        raise UnidentifiedImageError(f"no image of a known format ({what})") from error
    if made.width * made.height > PIXELS:
        raise ValueError(f"it has {made.width} x {made.height} pixels, more than {PIXELS:,}")
    return made


def inside(folder: Path | None, name: str) -> Path:
    """Return the path of a file named in data, relative to its folder or absolute.

    Raises `ValueError` if there is no folder, the path leads out of it (including by links or
    ``..``, except to `homes`), or it is not a file.
    """
    if folder is not None:
        path = folder / name
        target = path.resolve()
        if any(target.is_relative_to(root) for root in homes(folder)):
            if path.exists() and not path.is_file():
                raise ValueError(f"{name!r} is not a file")
            return path
    where = "the data brings no files" if folder is None else f"it is not in {folder}"
    raise ValueError(f"the file {name!r} is not opened: {where}")


def decode(cell: Any, *, turned: bool = True, folder: Path | None = None) -> Image.Image:
    """Return the image of a cell, fully loaded, and ``turned`` according to its EXIF data.

    The cell is ``{"bytes": ..., "path": ...}``, where bytes take precedence, or base64 text;
    ``folder`` is that of the data, if it has image files.

    Raises `ItemError` if it does not decode, or its file is missing; one line that says why.
    """
    try:
        if isinstance(cell, str):
            cell = {"bytes": base64.b64decode(cell)}
        if not isinstance(cell, dict):
            raise ValueError(f"a {type(cell).__name__} is not an image")
        content, path = cell.get("bytes"), cell.get("path")
        if content is None and path is None:
            raise ValueError("the cell has neither bytes nor a path")
        # Like datasets.Image().decode_example of datasets 4.8.
        image = opened(content if content is not None else inside(folder, str(path)))
        image.load()
        return upright(image) if turned else image
    except undecodable() as error:
        raise ItemError(first_line(error)) from error


def upright(image: Image.Image) -> Image.Image:
    """Return an image rotated according to its EXIF data."""
    from PIL import ExifTags, ImageOps

    if image.getexif().get(ExifTags.Base.Orientation) is not None:
        return ImageOps.exif_transpose(image)
    return image


def as_seen(image: Image.Image) -> Image.Image:
    """Return an image (RGB) as viewers show it: on white if transparent, wide grey scaled.

    Benchmarks, pairs, RL items and the probe all convert their `upright` images with this. PIL's
    own conversion drops transparency, so that the hidden colour (often black) shows, and clips
    wide grey: of 16 bits nearly all is white, a float image from 0 to 1 is black.
    """
    from PIL import Image

    # Older versions of PIL open a PNG of 16 bits as one of 32.
    if image.mode.startswith("I;16") or (image.mode, image.format) == ("I", "PNG"):
        image = image.convert("I").point(lambda grey: grey * (1 / 257)).convert("L")
    elif image.mode in {"I", "F"}:
        image = _scaled(image)
    if image.has_transparency_data:
        shown = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
    return image.convert("RGB")


def _scaled(image: Image.Image) -> Image.Image:
    """Return 32-bit grey scaled by its own range; missing values (NaN, infinite) are black."""
    import numpy as np
    from PIL import Image

    grey = np.asarray(image, np.float64)
    there = np.isfinite(grey)
    low, high = (grey[there].min(), grey[there].max()) if there.any() else (0.0, 0.0)
    share = np.where(there, grey - low, 0.0) / ((high - low) or 1.0)
    return Image.fromarray(np.round(share * 255).astype(np.uint8))


@lru_cache(maxsize=1)
def undecodable() -> tuple[type[Exception], ...]:
    """Return what PIL raises on damaged files (its plugins raise more than OSError)."""
    from PIL.Image import DecompressionBombError

    plugins = (SyntaxError, ValueError, EOFError, IndexError, struct.error)
    return (OSError, DecompressionBombError, *plugins)
