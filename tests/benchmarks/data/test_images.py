"""Image cells: in every form they come in, whole, damaged and empty."""

from __future__ import annotations

import base64
import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from benchmarks.data.local.images import as_seen, decode, is_empty
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
        image = decode(cell, folder=path.parent)
        assert (image.size, image.tobytes()) == (expected.size, expected.tobytes())


def test_an_image_is_turned_as_its_exif_data_says() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # a quarter turn
    turned = encoded("JPEG", exif=exif)
    assert decode({"bytes": turned, "path": None}).size == (30, 40)
    text = base64.b64encode(turned).decode()
    assert decode(text).size == (30, 40)
    assert decode(text, turned=False).size == (40, 30)


@given(st.tuples(*[st.integers(0, 255)] * 4))
def test_a_transparent_pixel_is_a_mix_with_white(pixel: tuple[int, int, int, int]) -> None:
    *colour, alpha = pixel
    seen = as_seen(Image.new("RGBA", (1, 1), pixel)).getpixel((0, 0))
    assert isinstance(seen, tuple)
    for shown, own in zip(seen, colour, strict=True):
        assert abs(shown - (own * alpha + 255 * (255 - alpha)) / 255) <= 1


def test_a_transparent_palette_entry_is_white() -> None:
    stream = io.BytesIO()
    palette = Image.new("P", (1, 1), 3)
    palette.putpalette([0, 0, 0] * 256)
    palette.save(stream, "PNG", transparency=3)
    assert as_seen(decode({"bytes": stream.getvalue()})).getpixel((0, 0)) == (255, 255, 255)


@given(st.integers(0, 65535))
def test_16_bit_grey_is_scaled(grey: int) -> None:
    stream = io.BytesIO()
    Image.new("I;16", (1, 1), grey).save(stream, "PNG")
    seen = as_seen(decode({"bytes": stream.getvalue()})).getpixel((0, 0))
    assert isinstance(seen, tuple)
    assert len(set(seen)) == 1
    assert abs(seen[0] - grey / 257) <= 1


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (np.array([[0.0, 0.25, 1.0]], np.float32), [0, 64, 255]),
        (np.array([[-5.0, 0.0, 5.0]], np.float32), [0, 128, 255]),
        (np.array([[np.nan, 2.0, 4.0]], np.float32), [0, 0, 255]),
        (np.array([[np.inf, np.nan]], np.float32), [0, 0]),
        (np.array([[7.0, 7.0]], np.float32), [0, 0]),
        (np.array([[0, 1000, 100_000]], np.int32), [0, 3, 255]),
    ],
)
def test_32_bit_grey_is_scaled_by_its_own_range(values: np.ndarray, shown: list[int]) -> None:
    """A TIFF of 32 bits, integers or floats: no value of it is white by itself."""
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "TIFF")
    seen = as_seen(decode({"bytes": stream.getvalue()}))
    assert seen.mode == "RGB"
    assert np.asarray(seen)[0].tolist() == [[grey] * 3 for grey in shown]


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "CMYK", "YCbCr"])
def test_other_images_are_converted_as_pil_does(mode: str) -> None:
    image = Image.effect_mandelbrot((8, 6), (-2, -1, 1, 1), 50).convert("RGB").convert(mode)
    assert as_seen(image).tobytes() == image.convert("RGB").tobytes()


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
