"""Contrastive pairs as a file: JSON lines with texts and image paths, read one at a time.

The probe, the trainer and ``harness pairs check`` come in with a path; a sequence of `Pair`s leaves
that opens a pair's images when the pair is asked for.  docs/pairs.md describes the format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import orjson

from harness.errors import UsageError
from harness.fingerprint import file_hashes, json_hash
from harness.records import ImagePart, Pair, Part, TextPart

REQUIRED = ("query", "answer", "context_positive", "context_negative")


class PairError(UsageError):
    """One pair is wrong; says which and how."""


class PairFile(Sequence[Pair]):
    """The pairs of a JSON-lines file, in its order; image paths are relative to the file.

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
        self._rows = [_row(path, n, line) for n, line in enumerate(lines, 1) if line.strip()]
        if not self._rows:
            raise UsageError(f"{path} holds no pairs")

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Pair: ...

    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...

    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        number, row = self._rows[index]
        return from_row(row, self.path.parent, f"{self.path}, line {number}")

    def __iter__(self) -> Iterator[Pair]:
        return (self[place] for place in range(len(self)))

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
    rows = [_row(path, n, line)[1] for n, line in enumerate(lines, 1) if line.strip()]
    fields = (*REQUIRED[2:], "images")
    names = sorted({name for row in rows for field in fields for name in _images(row.get(field))})
    there = [name for name in names if (path.parent / name).is_file()]
    text, *images = file_hashes([path, *(path.parent / name for name in there)])
    if not names:
        return text
    missing = sorted(set(names) - set(there))
    return json_hash([text, dict(zip(there, images, strict=True)), missing])


def _row(path: Path, number: int, line: bytes) -> tuple[int, Mapping[str, Any]]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path}, line {number} is no JSON: {error}") from error
    if not isinstance(row, dict):
        raise UsageError(f"{path}, line {number} is no JSON object")
    return number, row


def _id(row: Mapping[str, Any], number: str) -> str:
    return str(row.get("id") or number)


def from_row(row: Mapping[str, Any], folder: Path, where: str) -> Pair:
    """Return the pair of one row; image paths are relative to ``folder``.

    Raises:
        PairError: a field is missing or of a wrong kind, or an image cannot be read.
    """
    missing = [name for name in REQUIRED if not row.get(name)]
    if missing:
        raise PairError(f"{where}: {', '.join(missing)} is missing or empty")
    for name in ("query", "answer"):
        if not isinstance(row[name], str):
            raise PairError(f"{where}: {name} is no text")
    other = row.get("answer_negative")
    return Pair(
        id=_id(row, where.rpartition(" ")[2]),
        domain=str(row.get("domain") or "unknown"),
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
    if isinstance(value, str):
        return (TextPart(value),)
    return tuple(
        _part(piece, folder, where) for piece in (value if isinstance(value, list) else [value])
    )


def _part(piece: Any, folder: Path, where: str) -> Part:
    if isinstance(piece, dict) and isinstance(piece.get("text"), str):
        return TextPart(piece["text"])
    image: Any = piece.get("image") if isinstance(piece, dict) else piece
    if isinstance(image, str):
        return ImagePart(_opened(folder / image, where))
    if hasattr(image, "convert"):
        return ImagePart(image.convert("RGB"))
    raise PairError(f"{where}: a context is a text, or a list of texts and images, not {piece!r}")


def _images(value: Any) -> Iterator[str]:
    """Yield the image paths of a field, by the rules of `context`; of a wrong one, none."""
    if isinstance(value, str):
        return
    for piece in value if isinstance(value, list) else [value]:
        image = piece.get("image") if isinstance(piece, dict) else piece
        if isinstance(image, str):
            yield image


def _opened(path: Path, where: str) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError as error:
        raise PairError(f"{where}: there is no image {path}") from error
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise PairError(f"{where}: the image {path} cannot be read: {error}") from error


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
