"""Contrastive pairs as a file: JSON lines with texts and image paths, read one at a time.

The probe, the trainer and ``harness pairs check`` come in with a path; a sequence of `Pair`s leaves
that opens a pair's images when the pair is asked for.  docs/pairs.md describes the format.
"""

from __future__ import annotations

import copy
import filecmp
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, overload, runtime_checkable

import orjson

from harness.errors import UsageError
from harness.files.hashing import file_hashes, json_hash
from harness.records import ImagePart, Pair, Part, TextPart

REQUIRED = ("query", "answer", "context_positive", "context_negative")


class PairError(UsageError):
    """One pair is wrong; says which and how."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What an undecoded item tells of itself: its id, its domain, whether it has images."""

    id: str
    domain: str
    images: bool


@runtime_checkable
class Glanced(Protocol):
    """A sequence whose items can be looked at without decoding an image."""

    def glance(self, index: int) -> Glance:
        """Look at one item; raises `UsageError` where it is wrong."""
        ...


class PairFile(Sequence[Pair]):
    """The pairs of a JSON-lines file, in its order; image paths are relative to the file.

    A slice is another such sequence: nothing is opened.

    Raises:
        UsageError: there is no such file, it is empty, or a line is no JSON object.
        PairError: on access: the pair lacks something, or an image of it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        self._rows = [json_object(path, n, line) for n, line in enumerate(lines, 1) if line.strip()]
        if not self._rows:
            raise UsageError(f"{path} holds no pairs")

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Pair: ...

    @overload
    def __getitem__(self, index: slice) -> PairFile: ...

    def __getitem__(self, index: int | slice) -> Pair | PairFile:
        if isinstance(index, slice):
            part = copy.copy(self)
            part._rows = self._rows[index]
            return part
        number, row = self._rows[index]
        return from_row(row, self.path.parent, f"{self.path}, line {number}")

    def __iter__(self) -> Iterator[Pair]:
        return (self[place] for place in range(len(self)))

    def glance(self, index: int) -> Glance:
        """Look at a pair without decoding its images; see `glance`."""
        number, row = self._rows[index]
        return glance(row, self.path.parent, f"{self.path}, line {number}")

    def id_of(self, index: int) -> str:
        """Return a pair's id without reading the rest of it, which may be wrong."""
        number, row = self._rows[index]
        return _id(row, str(number))


def content_hash(path: Path) -> str:
    """Return the hash of a JSON-lines file and of every image that it names; nothing is decoded.

    Pairs or RL items.  An image that is missing counts as such.

    Raises:
        UsageError: a line is no JSON object.
    """
    lines = path.read_bytes().splitlines()
    rows = [json_object(path, n, line)[1] for n, line in enumerate(lines, 1) if line.strip()]
    shown = [row.get(field) for row in rows for field in REQUIRED[2:]]
    shown += [[row["images"]] for row in rows if isinstance(row.get("images"), str)]  # a path
    shown += [row["images"] for row in rows if isinstance(row.get("images"), list | dict)]
    names = sorted({name for value in shown for name in _images(value)})
    there = [name for name in names if (path.parent / name).is_file()]
    text, *images = file_hashes([path, *(path.parent / name for name in there)])
    if not names:
        return text
    missing = sorted(set(names) - set(there))
    return json_hash([text, dict(zip(there, images, strict=True)), missing])


def json_object(path: Path, number: int, line: bytes) -> tuple[int, Mapping[str, Any]]:
    """Return the number of a line and the object that it holds.

    Raises:
        UsageError: it holds none.
    """
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path}, line {number} is no JSON: {error}") from error
    if not isinstance(row, dict):
        raise UsageError(f"{path}, line {number} is no JSON object")
    return number, row


def _id(row: Mapping[str, Any], number: str) -> str:
    return number if is_empty(row.get("id")) else str(row["id"])


def is_empty(value: Any) -> bool:
    """Whether a field holds nothing; 0 is something."""
    return value is None or value in ("", [], {})


def _check_fields(row: Mapping[str, Any], where: str) -> None:
    missing = [name for name in REQUIRED if is_empty(row.get(name))]
    if missing:
        raise PairError(f"{where}: {', '.join(missing)} is missing or empty")
    for name in ("query", "answer"):
        if not isinstance(row[name], str):
            raise PairError(f"{where}: {name} is no text")


def glance(row: Mapping[str, Any], folder: Path, where: str) -> Glance:
    """See that a row makes a pair that can teach something; no image is decoded.

    Two images are alike here where their files hold the same bytes; `check` compares pixels.

    Raises:
        PairError: a field is missing or of a wrong kind, there is no such image, or the two
            contexts or the two answers are identical.
    """
    _check_fields(row, where)
    one, other = (glances(row[name], folder, where) for name in REQUIRED[2:])
    if len(one) == len(other) and all(map(_alike, one, other)):
        raise PairError(f"{where}: its two contexts are identical")
    answer = row.get("answer_negative")
    if answer is not None and str(answer).strip() == row["answer"].strip():
        raise PairError(f"{where}: its two answers are identical ({row['answer']!r})")
    images = any(not isinstance(part, str) for part in (*one, *other))
    return Glance(_id(row, where.rpartition(" ")[2]), _domain(row), images)


def glances(value: Any, folder: Path, where: str) -> list[Any]:
    """Return a context's texts and, undecoded, its images: paths, or a data set's bytes.

    Raises:
        PairError: as of `context`, but for images that begin well and do not decode.
    """
    return [_glanced(_piece(one, folder, where), where) for one in _pieces(value)]


def _glanced(piece: Any, where: str) -> Any:
    if isinstance(piece, Path | bytes):
        _opened(piece, where, decode=False)
    return piece


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, Path) and isinstance(other, Path):
        return filecmp.cmp(one, other, shallow=False)
    return bool(one == other)


def _domain(row: Mapping[str, Any]) -> str:
    return str(row.get("domain") or "unknown")


def from_row(row: Mapping[str, Any], folder: Path, where: str) -> Pair:
    """Return the pair of one row; image paths are relative to ``folder``.

    Raises:
        PairError: a field is missing or of a wrong kind, or an image cannot be read.
    """
    _check_fields(row, where)
    other = row.get("answer_negative")
    return Pair(
        id=_id(row, where.rpartition(" ")[2]),
        domain=_domain(row),
        query=row["query"],
        answer=row["answer"],
        answer_negative=None if other is None else str(other),
        context_positive=context(row["context_positive"], folder, where),
        context_negative=context(row["context_negative"], folder, where),
        source=str(row.get("source") or ""),
    )


def context(value: Any, folder: Path, where: str) -> tuple[Part, ...]:
    """Return a context: a text, or a list of ``{"text": ...}`` and ``{"image": PATH}``.

    An image may also be a decoded one (a Hugging Face data set's).

    Raises:
        PairError: it has another form, or an image cannot be read.
    """
    return tuple(_part(_piece(one, folder, where), where) for one in _pieces(value))


def _pieces(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [{"text": value}]
    return value if isinstance(value, list) else [value]


def _piece(piece: Any, folder: Path, where: str) -> Any:
    """Return a text, or an image as it is given: a path, a data set's bytes, a decoded one."""
    if isinstance(piece, dict) and isinstance(piece.get("text"), str):
        return piece["text"]
    image = _image(piece)
    if isinstance(image, str):
        return folder / image
    if isinstance(image, bytes) or hasattr(image, "convert"):
        return image
    raise PairError(f"{where}: a context is a text, or a list of texts and images, not {piece!r}")


def _image(piece: Any) -> Any:
    """Return what a piece that is no text names as its image.

    A data set's image that is not decoded is a mapping of ``bytes`` and ``path``.
    """
    image: Any = piece.get("image", piece) if isinstance(piece, dict) else piece
    return image.get("bytes") or image.get("path") if isinstance(image, dict) else image


def _part(piece: Any, where: str) -> Part:
    if isinstance(piece, str):
        return TextPart(piece)
    if isinstance(piece, Path | bytes):
        return ImagePart(_opened(piece, where))
    return ImagePart(piece.convert("RGB"))


def _images(value: Any) -> Iterator[str]:
    """Yield the image paths of a field, by the rules of `context`; of a wrong one, none."""
    images = map(_image, () if isinstance(value, str) else _pieces(value))
    yield from (image for image in images if isinstance(image, str))


def _opened(source: Path | bytes, where: str, *, decode: bool = True) -> Any:
    from PIL import Image, UnidentifiedImageError

    name = f"the image {source}" if isinstance(source, Path) else "an image"
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            return image.convert("RGB") if decode else None
    except FileNotFoundError as error:
        raise PairError(f"{where}: there is no image {source!s}") from error
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise PairError(f"{where}: {name} cannot be read: {error}") from error


def check(pair: Pair) -> None:
    """See that a pair can teach something.

    Raises:
        PairError: its two contexts are identical, or its two answers are.
    """
    if _content(pair.context_positive) == _content(pair.context_negative):
        raise PairError(f"pair {pair.id}: its two contexts are identical")
    if pair.answer_negative is not None and pair.answer_negative.strip() == pair.answer.strip():
        raise PairError(f"pair {pair.id}: its two answers are identical ({pair.answer!r})")


def _content(parts: tuple[Part, ...]) -> list[object]:
    return [
        part.text if isinstance(part, TextPart) else (part.image.size, part.image.tobytes())
        for part in parts
    ]
