"""Prepared items: made once, read without lmms-eval, and never trusted when they are not right."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import ExifTags, Image

from benchmarks import suites
from benchmarks.data.local.read import arrow_files
from benchmarks.micro.data import datasets
from benchmarks.scoring import Target
from benchmarks.vqa.base import prepared
from benchmarks.vqa.base.benchmark import Doc, LmmsBenchmark
from benchmarks.vqa.base.prepared import Prepared, Row, Turn
from benchmarks.vqa.vstar import VStar
from harness.backends.http.endpoint import EndpointModel
from harness.errors import ItemError
from harness.protocols import FailedItem, build_items
from harness.records import ImagePart, Item, Message, Sampling
from tests.servers import ScriptedServer

KEY = {"data": "1", "split": "", "options": {}}


def opened(root: Path, name: str = "vstar") -> LmmsBenchmark:
    return cast("LmmsBenchmark", suites.benchmark(name, root))


def texts(benchmark: LmmsBenchmark) -> list[str]:
    items = list(build_items(benchmark))
    assert all(isinstance(item, Item) for item in items)
    return [item.messages[0].render() for item in items if isinstance(item, Item)]


def files(root: Path, name: str = "vstar") -> list[Path]:
    return sorted((root / name / "prepared").iterdir())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root whose V* has prepared items."""
    root = tmp_path_factory.mktemp("whole")
    datasets.write(root, n=4)
    assert len(texts(opened(root))) == 4
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole / "vstar", tmp_path / "vstar")
    return tmp_path


def test_a_second_look_loads_neither_lmms_eval_nor_datasets(root: Path) -> None:
    (file,) = files(root)
    before = file.stat().st_ino
    program = (
        "import sys; from pathlib import Path; from benchmarks import suites\n"
        "from harness.protocols import build_items\n"
        "print(len(list(build_items(suites.benchmark('vstar', Path(sys.argv[1]))))))\n"
        "print([n for n in ('lmms_eval', 'datasets', 'torch', 'pandas') if n in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(root)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["4", "[]"]
    assert file.stat().st_ino == before  # a rewritten file has another inode


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["cut", "changed", "emptied", "another key"])
def test_a_corrupt_file_is_made_again(root: Path, harm: str) -> None:
    (file,) = files(root)
    content = file.read_bytes()
    expected = texts(opened(root))
    harmed = {
        "cut": content[:-10],
        "changed": content.replace(b'"cluster"', b'"klaster"', 1),
        "emptied": b"",
        "another key": content.replace(b'"split":""', b'"split":"x"'),
    }[harm]
    assert harmed != content
    file.write_bytes(harmed)
    assert texts(opened(root)) == expected
    assert file.read_bytes() == content


@pytest.mark.slow
def test_other_data_have_other_items_and_the_old_ones_go(root: Path) -> None:
    (old,) = files(root)
    shutil.rmtree(root / "vstar")
    datasets.write(root, n=5)
    assert len(texts(opened(root))) == 5
    (new,) = files(root)
    assert new.name != old.name


def test_the_cache_serves_where_the_data_root_cannot_be_written(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(root / "vstar" / "prepared")
    (root / "vstar").chmod(0o555)
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    (own, kept) = prepared.folders("vstar", root)
    rows = [Row("0", 0, 0)]
    assert prepared.keep((own, kept, tmp_path), KEY, rows) == kept
    assert prepared.read(kept / prepared.file_name(KEY), KEY) == tuple(rows)
    assert kept.is_relative_to(cache)
    assert not own.exists()
    (root / "vstar").chmod(0o755)
    own.write_text("not a folder")
    assert prepared.keep((own, kept, tmp_path), KEY, rows) == kept


def test_what_is_written_is_read(tmp_path: Path) -> None:
    turns = (Turn("user", ((True, "image"), (False, "Which?\u2028"))),)
    target = Target("number", "1", choices=("a",), tolerance=0.1, answer_type="float")
    row = Row("é", 1, 2, "c", ("p",), target, "Which?", turns, ("image",), doc={"x": [1, None]})
    path = tmp_path / "new" / "file.json"
    prepared.write(path, KEY, [row])
    assert prepared.read(path, KEY) == (row,)
    assert prepared.read(path, {**KEY, "data": "2"}) is None
    assert prepared.read(tmp_path / "none.json", KEY) is None


def test_two_writers_and_a_reader(tmp_path: Path) -> None:
    rows = [Row(str(n), 0, n, prompt="x" * 1000) for n in range(300)]
    path = tmp_path / "file.json"
    prepared.write(path, KEY, rows)
    with ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(prepared.write, path, KEY, rows) for _ in range(40)]
        while not all(future.done() for future in writing):
            assert prepared.read(path, KEY) == tuple(rows)
    assert [each.name for each in tmp_path.iterdir()] == ["file.json"]


def test_only_unused_files_of_the_same_options_go(tmp_path: Path) -> None:
    other = {**KEY, "options": {"form": "open_ended"}}
    versions = [{**KEY, "code": str(number)} for number in range(4)]
    for key in (other, *versions[:3]):
        prepared.write(tmp_path / prepared.file_name(key), key, [])
        os.utime(tmp_path / prepared.file_name(key), (0, 0))
    # Two versions of the code work on one data root: each keeps what it reads.
    assert prepared.read(tmp_path / prepared.file_name(versions[1]), versions[1]) == ()
    prepared.keep((tmp_path, tmp_path), versions[3], [])
    assert {path.name for path in tmp_path.iterdir()} == {
        prepared.file_name(key) for key in (other, versions[1], versions[3])
    }


@pytest.mark.parametrize("images", [True, False])
@pytest.mark.parametrize("fault", ["failed", "failed_text", "failed_images"])
def test_a_prompt_that_fails_costs_only_the_item_that_shows_it(fault: str, images: bool) -> None:
    row = Row("1", 0, 0, target=Target("number", "1"), prompt="?", **{fault: "why"})
    item = Prepared((row,), ()).item(row, images=images)
    lost = fault == "failed" or (fault == "failed_images") == images
    assert isinstance(item, FailedItem) == lost


class OneImage:
    """A table with one cell: a transparent black pixel that its EXIF data turns."""

    columns = ("image",)
    folder = Path()

    def cell(self, row: int, name: str) -> Any:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        stream = io.BytesIO()
        Image.new("RGBA", (2, 1)).save(stream, "PNG", exif=exif)
        return base64.b64encode(stream.getvalue()).decode()


@pytest.mark.parametrize(
    ("native", "colour", "size"), [(False, (255,) * 3, (1, 2)), (True, (0,) * 3, (2, 1))]
)
def test_images_are_shown_on_white_and_turned_unless_native(
    native: bool, colour: tuple[int, ...], size: tuple[int, int]
) -> None:
    turn = Turn("user", ((True, "image"),))
    row = Row("1", 0, 0, target=Target("number", "1"), turns=(turn,), decoded=("image",))
    item = Prepared((row,), (OneImage(),), native).item(row, images=True)
    assert isinstance(item, Item)
    (part,) = item.messages[0].content
    assert isinstance(part, ImagePart)
    with ScriptedServer(lambda _: "B") as server:
        asyncio.run(_ask(server.url, item.messages))
        (sent,) = server.requests[0].images
    for image in (part.image, Image.open(io.BytesIO(sent))):
        assert (image.mode, image.getpixel((0, 0)), image.size) == ("RGB", colour, size)


async def _ask(url: str, messages: Sequence[Message]) -> None:
    async with EndpointModel(url) as model:
        await model.chat(messages, Sampling(8))


def test_native_images_are_declared_and_the_default_is_what_stored_runs_say(root: Path) -> None:
    white, native = (
        suites.benchmark("vstar", root, options=options).declaration.protocol
        for options in ({}, {"image_conversion": "native"})
    )
    assert native == {**white, "image_conversion": "native"}
    assert "images" not in white


class PromptsFail(VStar):
    """V* whose text-only prompt cannot be made."""

    def prompt(self, task: Any, doc: Doc) -> str:
        raise ItemError("no text for this one")


def test_a_row_without_a_text_prompt_is_asked_with_its_images(root: Path, tmp_path: Path) -> None:
    benchmark = PromptsFail(root)
    folders = (*prepared.folders(benchmark.id, benchmark.data_root), tmp_path)
    folder = prepared.keep(folders, benchmark._key, benchmark.rows())
    path = folder / prepared.file_name(benchmark._key)
    rows = prepared.read(path, benchmark._key)
    assert rows
    whole = opened(root).prepared
    for row, sound in zip(rows, whole.rows, strict=True):
        assert (row.failed_text, row.prompt) == ("no text for this one", "")
        assert replace(row, failed_text="", prompt=sound.prompt) == sound


@pytest.mark.slow
def test_the_conversion_of_parquet_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Path
) -> None:
    from datasets import load_from_disk

    from benchmarks import data

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = load_from_disk(str(whole / "vstar"))["test"]
    (tmp_path / "vstar").mkdir()
    rows.to_parquet(str(tmp_path / "vstar" / "test-00000-of-00001.parquet"))
    (found,) = data.tables("vstar", tmp_path)
    files = arrow_files(found)
    (note,) = (tmp_path / "cache" / "harness" / "arrow").glob("*.json")
    assert json.loads(note.read_text()) == {str(path): path.stat().st_size for path in files}
    assert list(arrow_files(found)) == list(files)
    note.write_text(json.dumps({str(path): 1 for path in files}))
    assert list(arrow_files(found)) == list(files)
    assert texts(opened(tmp_path)) == texts(opened(whole))
