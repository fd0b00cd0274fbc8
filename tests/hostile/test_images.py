"""Images in data made by others: files elsewhere, addresses, other formats, bombs."""

from __future__ import annotations

import io
import json
import os
import resource
import struct
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ablations.data.items import open_items
from benchmarks.data.local.images import FORMATS, PIXELS, decode, opened
from benchmarks.data.local.read import _check_files
from benchmarks.pair_sources import open_pairs
from harness.errors import ItemError, UsageError
from harness.records import ImagePart, Pair

SECRET = (7, 77, 177)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "private" / "secret.png"
    path.parent.mkdir()
    Image.new("RGB", (3, 3), SECRET).save(path)
    return path


@pytest.fixture
def home(tmp_path: Path, secret: Path) -> Path:
    """The folder of the data, with an image, and a link that leads out of it."""
    folder = tmp_path / "data"
    folder.mkdir()
    Image.new("RGB", (3, 3), "red").save(folder / "a.png")
    (folder / "link.png").symlink_to(secret)
    (folder / "out").symlink_to(secret.parent)
    return folder


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A web server that writes down what it is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    web = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{web.server_port}/x.png", asked
    web.shutdown()


ELSEWHERE = ("{secret}", "../private/secret.png", "a/../../private/secret.png", "link.png",
             "out/secret.png", "{url}", "/dev/zero")  # fmt: skip


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_path_out_of_the_data_is_not_opened(
    home: Path, secret: Path, server: tuple[str, list[str]], name: str
) -> None:
    url, asked = server
    name = name.format(secret=secret, url=url)
    with pytest.raises(ItemError, match=r"is not opened|No such file"):
        decode({"bytes": None, "path": name}, folder=home)
    with pytest.raises(ItemError, match="is not opened"):
        decode({"bytes": None, "path": str(home / "a.png")})
    row = {"query": "q", "answer": "1", "images": [name]}
    (home / "items.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(UsageError, match=r"line 1: (the file|there is no image)"):
        open_items(str(home / "items.jsonl"))[0]
    pair = {"query": "q", "answer": "1", "context_positive": [{"image": name}],
            "context_negative": "b"}  # fmt: skip
    (home / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    with pytest.raises(UsageError, match=r"line 1: (the file|there is no image)"):
        open_pairs(str(home / "pairs.jsonl"))[0]
    assert asked == []


@pytest.mark.parametrize("name", ["a.png", "../data/a.png"])
def test_a_file_of_the_data_is_opened(home: Path, name: str) -> None:
    assert decode({"bytes": None, "path": name}, folder=home).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("name", ["{secret}", "{url}", "../private/secret.png"])
def test_a_data_set_that_names_files_elsewhere_is_refused(
    home: Path, secret: Path, server: tuple[str, list[str]], name: str
) -> None:
    url, asked = server
    cell = {"bytes": None, "path": name.format(secret=secret, url=url)}
    features = datasets.Features({"image": datasets.Image(), "answer": datasets.Value("string")})
    data = datasets.Dataset.from_dict({"image": [cell], "answer": ["1"]}, features=features)
    with pytest.raises(ValueError, match=r"is not opened|is not in"):
        _check_files(data, home)
    table = pa.table({"images": [cell], "answer": ["1"], "query": ["q"]})
    pq.write_table(table, home / "rows.parquet")
    with pytest.raises(UsageError, match=r"the file|there is no image"):
        open_items(str(home))[0]
    assert asked == []


NESTED = {
    "list": lambda image, cell: ([image], [cell]),
    "struct": lambda image, cell: ({"a": image, "n": datasets.Value("int64")}, {"a": cell, "n": 1}),
    "lists of structs": lambda image, cell: ([{"a": {"b": [image]}}], [{"a": {"b": [cell, cell]}}]),
    "fixed": lambda image, cell: (datasets.List(image, length=2), [cell, cell]),
    "large": lambda image, cell: (datasets.LargeList(image), [cell]),
}


@pytest.mark.parametrize("kind", NESTED)
def test_files_elsewhere_are_refused_wherever_in_a_column_they_are(
    home: Path, secret: Path, kind: str
) -> None:
    for name, message in ((str(secret), "is not opened"), ("https://h/a.png", "is not")):
        feature, value = NESTED[kind](datasets.Image(), {"bytes": None, "path": name})
        features = datasets.Features({"x": feature})
        data = datasets.Dataset.from_dict({"x": [None, value]}, features=features)
        with pytest.raises(ValueError, match=message):
            _check_files(data, home)
    feature, value = NESTED[kind](datasets.Image(), {"bytes": None, "path": str(home / "a.png")})
    features = datasets.Features({"x": feature})
    _check_files(datasets.Dataset.from_dict({"x": [value, None]}, features=features), home)


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """Return a snapshot as huggingface_hub keeps it: links into the repository's blobs."""
    repository = tmp_path / "hub" / "datasets--org--name"
    folder = repository / "snapshots" / ("0" * 40)
    (folder / "images").mkdir(parents=True)
    (repository / "blobs").mkdir()
    for number, colour in enumerate(["red", "blue"]):
        Image.new("RGB", (4, 4), colour).save(repository / "blobs" / f"h{number}", "PNG")
        (folder / "images" / f"{number}.png").symlink_to(f"../../../blobs/h{number}")
    pair = {"query": "q", "answer": "1", "context_positive": [{"image": "images/0.png"}],
            "context_negative": [{"image": "images/1.png"}]}  # fmt: skip
    (repository / "blobs" / "pairs").write_text(json.dumps(pair) + "\n")
    (folder / "pairs.jsonl").symlink_to("../../blobs/pairs")
    return folder


def test_links_of_a_hub_cache_into_its_own_blobs_are_opened(snapshot: Path) -> None:
    (pair,) = open_pairs(str(snapshot / "pairs.jsonl"))
    assert isinstance(pair, Pair)
    (shown,) = pair.context_positive
    assert isinstance(shown, ImagePart)
    assert shown.image.getpixel((0, 0)) == (255, 0, 0)
    cell = {"bytes": None, "path": "1.png"}  # also from a folder of the snapshot
    assert decode(cell, folder=snapshot / "images").getpixel((0, 0)) == (0, 0, 255)


@pytest.mark.parametrize(
    "target", ["../../../../datasets--org--other/blobs/h0", "../../../refs/h0", "../../../../h0"]
)
def test_links_of_a_hub_cache_to_anything_else_are_not(snapshot: Path, target: str) -> None:
    link = snapshot / "images" / "0.png"
    link.unlink()
    link.symlink_to(target)
    elsewhere = (link.parent / target).resolve()
    elsewhere.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(elsewhere, "PNG")
    with pytest.raises(UsageError, match="is not opened"):
        open_pairs(str(snapshot / "pairs.jsonl"))[0]


def test_blobs_beside_a_folder_that_is_not_of_a_hub_cache_are_not_opened(snapshot: Path) -> None:
    repository = snapshot.parents[1]
    repository.rename(repository.with_name("my--data"))
    moved = snapshot.parents[2] / "my--data" / "snapshots" / snapshot.name
    with pytest.raises(UsageError, match="is not opened"):
        open_pairs(str(moved / "pairs.jsonl"))[0]


def encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (3, 3)).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["EPS", "PDF", "TGA", "PCX", "ICO", "SGI", "PPM"])
def test_formats_that_no_data_set_uses_are_not_opened(kind: str) -> None:
    """PIL would run Ghostscript on the first of them."""
    with pytest.raises(OSError, match="no image of a known format"):
        opened(encoded(kind))


@pytest.mark.parametrize("kind", FORMATS)
def test_formats_of_the_data_sets_are_opened(kind: str) -> None:
    assert opened(encoded(kind)).size == (3, 3)


def bomb(width: int, height: int, rows: int | None = None) -> bytes:
    """Return a PNG of that size, one bit per pixel, compressed to a thousandth."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    packer, row = zlib.compressobj(9), bytes(1 + width // 8 + 1)
    content = b"".join([*(packer.compress(row) for _ in range(rows or height)), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", content)
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [10_000, 18_000, 60_000])
def test_a_bomb_is_one_line_and_no_memory(side: int, tmp_path: Path) -> None:
    data = bomb(side, side, rows=min(side, 20_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ItemError, match=r"pixels|exceeds limit"):
        decode({"bytes": data, "path": None})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB
    (tmp_path / "a.png").write_bytes(data)
    row: dict[str, Any] = {"query": "q", "answer": "1", "images": ["a.png"]}
    (tmp_path / "items.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(UsageError, match=r"line 1: the image .* cannot be read"):
        open_items(str(tmp_path / "items.jsonl"))[0]


def test_the_largest_images_of_the_benchmarks_pass() -> None:
    assert opened(bomb(9_400, 9_400)).size == (9_400, 9_400)
    assert 9_400**2 < PIXELS < 10_000**2


def test_a_pipe_in_the_place_of_an_image_does_not_hang(home: Path) -> None:
    os.mkfifo(home / "pipe.png")
    with pytest.raises(ItemError):
        decode({"bytes": None, "path": "pipe.png"}, folder=home)
