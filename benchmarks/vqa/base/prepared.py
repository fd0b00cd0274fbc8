"""Prepared items: what lmms-eval's tasks ask, kept on disk, so that lmms-eval is loaded once.

One file per benchmark and key holds every item's prompt, target, cluster and the columns of its
images, which stay in the data set.  Reading needs pyarrow and PIL alone.  A file is used only if
its key and its checksum are right.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from benchmarks.data.local.images import as_seen, decode, is_empty
from benchmarks.scoring import Target
from harness.errors import ItemError
from harness.files.atomic import write_bytes
from harness.files.hashing import cache_dir, json_hash
from harness.protocols import FailedItem
from harness.records import ImagePart, Item, Message, Part, Role, TextPart

if TYPE_CHECKING:
    from PIL import Image

    from benchmarks.data.local.read import TableRows

SCHEMA = 1
_WRITE_BITS = 0o222
_UNUSED_DAYS = 14  # after which the items of another version of the data or the code are removed


class Turn(NamedTuple):
    """A chat message: its role, and its parts as texts or as the columns of images."""

    role: Role
    parts: tuple[tuple[bool, str], ...]
    """(whether it is an image, the text or the image's column)"""


@dataclass(frozen=True, slots=True)
class Row:
    """One prepared item.

    ``form`` and ``row`` say where its document is.  ``prompt`` is asked without images, ``turns``
    with them; ``decoded`` are all image columns that must decode for that.  ``failed`` says why
    there is no item, ``failed_text`` and ``failed_images`` why there is none without or with
    images.  ``doc`` is the document without its images, kept where a judge is asked about it.
    """

    id: str
    form: int
    row: int
    cluster: str = ""
    parts: tuple[str, ...] = ()
    target: Target | None = None
    prompt: str = ""
    turns: tuple[Turn, ...] = ()
    decoded: tuple[str, ...] = ()
    failed: str = ""
    failed_text: str = ""
    failed_images: str = ""
    doc: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """The prepared items of a benchmark, in order, and the tables that hold their images.

    Images are converted as lmms-eval's tasks do where ``native_images``, else by `as_seen`.
    """

    rows: tuple[Row, ...]
    tables: Sequence[TableRows]
    native_images: bool = False

    @cached_property
    def by_id(self) -> Mapping[str, Row]:
        """The items by id."""
        return {row.id: row for row in self.rows}

    def item(self, row: Row, *, images: bool) -> Item | FailedItem:
        """Return one item, its images decoded, or why there is none."""
        try:
            messages = self._messages(row) if images else ()
        except ItemError as error:
            return FailedItem(row.id, str(error))
        if failed := (row.failed_images if images else row.failed_text) or row.failed:
            return FailedItem(row.id, failed)
        if not images:
            messages = (Message("user", (TextPart(row.prompt),)),)
        return Item(row.id, messages, row.target, row.cluster, row.parts)

    def first_image(self, row: Row, columns: Sequence[str]) -> Image.Image:
        """Return the image of the first of some columns that holds one; ItemError if it fails."""
        table = self.tables[row.form]
        cells = (table.cell(row.row, name) for name in columns if name in table.columns)
        cell = next((cell for cell in cells if not is_empty(cell)), None)
        return decode(cell, folder=table.folder)

    def _messages(self, row: Row) -> tuple[Message, ...]:
        def image(column: str) -> Image.Image:
            table = self.tables[row.form]
            cell, folder = table.cell(row.row, column), table.folder
            return _decoded(column, cell, folder, native=self.native_images)

        images = {name: image(name) for name in row.decoded}

        def part(is_image: bool, value: str) -> Part:
            return ImagePart(images[value]) if is_image else TextPart(value)

        return tuple(
            Message(turn.role, tuple(part(*each) for each in turn.parts)) for turn in row.turns
        )


def _decoded(column: str, cell: Any, folder: Path, *, native: bool) -> Image.Image:
    try:
        if not native:
            return as_seen(decode(cell, folder=folder))
        # The tasks of all benchmarks convert alike; making the items checks it.
        return decode(cell, turned=not isinstance(cell, str), folder=folder).convert("RGB")
    except ItemError as error:
        which = "an image" if isinstance(cell, str) else f"the image in column {column}"
        raise ItemError(f"{which} does not decode: {error}") from error


def file_name(key: Mapping[str, Any]) -> str:
    """Return the name of the file of a key."""
    return f"{json_hash(key)[:16]}.json"


def folders(benchmark_id: str, data_root: Path) -> tuple[Path, ...]:
    """Return where a benchmark's prepared items may be: in the data, or in the cache."""
    return (data_root / benchmark_id / "prepared", cache_dir() / "prepared" / benchmark_id)


def read(path: Path, key: Mapping[str, Any]) -> tuple[Row, ...] | None:
    """Return the items of a file; None where it is not there, of another key, or corrupt."""
    try:
        header, _, body = path.read_bytes().partition(b"\n")
        if msgspec.json.decode(header) != _header(key, body):
            return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    if (rows := decoded(body)) is not None:
        with suppress(OSError):  # read-only data: nothing is removed there either
            os.utime(path)  # its last use
    return rows


def encoded(rows: Sequence[Row]) -> bytes:
    """Return items as JSON in one line."""
    return msgspec.json.encode(rows)


def decoded(body: bytes) -> tuple[Row, ...] | None:
    """Return the items of `encoded`; None where they are corrupt."""
    try:
        return msgspec.json.decode(body, type=tuple[Row, ...])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def write(path: Path, key: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write the items of a key atomically; OSError if the folder cannot be written."""
    body = encoded(rows)
    write_bytes(path, msgspec.json.encode(_header(key, body)) + b"\n" + body)


def keep(folders: Sequence[Path], key: Mapping[str, Any], rows: Sequence[Row]) -> Path:
    """Write the items in the first folder that can be written, and return that folder.

    Files of other versions of the data or the code that nobody used for days are removed there.
    Raises `OSError` if none can be written.
    """
    for folder in folders[:-1]:
        with suppress(OSError):
            # Data that is marked read-only stays as it is, also where root could write.
            if folder.parent.exists() and not folder.parent.stat().st_mode & _WRITE_BITS:
                continue
            write(folder / file_name(key), key, rows)
            _drop_old(folder, key)
            return folder
    write(folders[-1] / file_name(key), key, rows)
    return folders[-1]


def _drop_old(folder: Path, key: Mapping[str, Any]) -> None:
    """Remove files of the same options, but of other data or code, that were not read for days."""
    oldest = time.time() - _UNUSED_DAYS * 86400
    for path in folder.glob("*.json"):
        with suppress(OSError, msgspec.DecodeError), path.open("rb") as stream:
            other = msgspec.json.decode(stream.readline()).get("key", {})
            same = (other.get("options"), other.get("split")) == (key["options"], key["split"])
            if same and path.stat().st_mtime < oldest:
                path.unlink()


def _header(key: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    return {"schema": SCHEMA, "key": dict(key), "sha256": hashlib.sha256(body).hexdigest()}
