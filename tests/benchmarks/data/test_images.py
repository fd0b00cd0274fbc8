"""Image cells: in every form they come in, whole, damaged and empty."""

from __future__ import annotations

import base64
import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from benchmarks.data.local.images import decode, is_empty
from harness.errors import ItemError


def encoded(form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.effect_mandelbrot((40, 30), (-2, -1, 1, 1), 50).save(stream, form, **options)
    return stream.getvalue()


WHOLE = {form: encoded(form) for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")}


def test_bytes_a_path_and_base64_text_are_the_same_image(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(WHOLE["PNG"])
    cells: list[Any] = [
        {"bytes": WHOLE["PNG"], "path": None},
        {"bytes": WHOLE["PNG"], "path": "elsewhere.png"},
        {"bytes": None, "path": str(path)},
        base64.b64encode(WHOLE["PNG"]).decode(),
    ]
    expected = Image.open(path)
    for cell in cells:
        image = decode(cell)
        assert (image.size, image.tobytes()) == (expected.size, expected.tobytes())


def test_an_image_is_turned_as_its_exif_data_says() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # a quarter turn
    turned = encoded("JPEG", exif=exif)
    assert decode({"bytes": turned, "path": None}).size == (30, 40)
    # Tasks decode text themselves, and do not turn it.
    assert decode(base64.b64encode(turned).decode()).size == (40, 30)


@pytest.mark.parametrize(
    "cell",
    [
        {"bytes": None, "path": None},
        {"bytes": None, "path": "no/such/file.png"},
        {"bytes": b"no image", "path": None},
        {},
        "%%% no base64 %%%",
        7,
        # a header that claims 10^10 pixels
        {"bytes": b"P6 100000 100000 255\n", "path": None},
    ],
)
def test_what_is_no_image_is_one_line(cell: Any) -> None:
    with pytest.raises(ItemError) as refused:
        decode(cell)
    assert str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.filterwarnings("ignore::UserWarning")  # PIL's, of damaged TIFF files
@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 3000), st.binary(max_size=40))
def test_damage_is_an_item_error_or_nothing(form: str, start: int, junk: bytes) -> None:
    whole = WHOLE[form]
    start %= len(whole)
    with suppress(ItemError):
        decode({"bytes": whole[:start] + junk, "path": None})


@pytest.mark.parametrize(
    ("cell", "empty"),
    [
        (None, True),
        ({"bytes": None, "path": None}, True),
        ({"bytes": b"", "path": ""}, True),
        ({"bytes": b"x", "path": None}, False),
        ({"bytes": None, "path": "x"}, False),
        ({}, False),
        ("", False),
        (0, False),
    ],
)
def test_which_cells_are_empty(cell: Any, empty: bool) -> None:
    assert is_empty(cell) == empty
