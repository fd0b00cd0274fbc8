"""Contrastive pairs as rows: JSON lines (or a data set's rows) with texts and images.

docs/pairs.md describes the format.
"""

from __future__ import annotations

import filecmp
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.data.local.images import as_seen, inside, opened, undecodable, upright
from benchmarks.pairs.rows import JsonRows, Preview, Row, is_empty
from benchmarks.pairs.tables import CONTEXTS, REQUIRED, ours_of_json
from benchmarks.pairs.turns import turns_of
from harness.errors import UsageError
from harness.files.hashing import file_hashes, json_hash
from harness.files.names import is_file
from harness.records import ImagePart, Pair, Part, TextPart

_NO_COLUMNS: Mapping[str, str] = MappingProxyType({})


class PairError(UsageError):
    """One pair is wrong; says which and how."""


def pair_of(row: Row, folder: Path, where: str) -> Pair:
    """Return the pair of one row; image paths are relative to ``folder``.

    Raises `PairError` if a field is missing or of a wrong type, or an image cannot be read.
    """
    _check_fields(row, where)
    other = row.get("answer_negative")
    return Pair(
        id=pair_id(row, where),
        domain=domain_of(row),
        query=row["query"],
        answer=row["answer"],
        answer_negative=None if other is None else str(other),
        context_positive=decode(parse_context(row["context_positive"], folder, where), where),
        context_negative=decode(parse_context(row["context_negative"], folder, where), where),
        source=str(row.get("source") or ""),
    )


def preview_pair(row: Row, folder: Path, where: str) -> Preview:
    """Check that a row makes a usable pair; no image is decoded.

    Two images count as identical here if their files hold the same bytes; `check` compares pixels.
    Raises `PairError` if a field is missing or of a wrong type, there is no such image, or the two
    contexts or the two answers are identical.
    """
    _check_fields(row, where)
    positive, negative = (parse_context(row[name], folder, where) for name in CONTEXTS)
    for piece in (*positive, *negative):
        check_image(piece, where)
    _check_distinct(where, (positive, negative), (row["answer"], row.get("answer_negative")))
    images = any(not isinstance(piece, str) for piece in (*positive, *negative))
    return Preview(pair_id(row, where), domain_of(row), images)


def check(pair: Pair) -> None:
    """Check that a pair is usable.

    Raises `PairError` if its two contexts are identical, or its two answers are.
    """
    contexts = [
        [
            part.text if isinstance(part, TextPart) else (part.image.size, part.image.tobytes())
            for part in context
        ]
        for context in (pair.context_positive, pair.context_negative)
    ]
    _check_distinct(f"pair {pair.id}", contexts, (pair.answer, pair.answer_negative))


def _check_distinct(
    where: str, contexts: Sequence[Sequence[object]], answers: tuple[str, object]
) -> None:
    positive, negative = contexts
    if len(positive) == len(negative) and all(map(_alike, positive, negative)):
        raise PairError(f"{where}: its two contexts are identical")
    answer, other = answers
    if other is not None and str(other).strip() == answer.strip():
        raise PairError(f"{where}: its two answers are identical ({answer!r})")


def _alike(piece: object, other: object) -> bool:
    if isinstance(piece, Path) and isinstance(other, Path):
        return filecmp.cmp(piece, other, shallow=False)
    return bool(piece == other)


def _check_fields(row: Row, where: str) -> None:
    missing = [name for name in REQUIRED if is_empty(row.get(name))]
    if missing:
        raise PairError(f"{where}: missing or empty: {', '.join(missing)}")
    for name in ("query", "answer"):
        if not isinstance(row[name], str):
            raise PairError(f"{where}: {name} must be text")


def pair_id(row: Row, where: str) -> str:
    """Return a row's id, or else its number; the rest of the row may be wrong."""
    return where.rpartition(" ")[2] if is_empty(row.get("id")) else str(row["id"])


def check_ids(names: Iterable[str]) -> None:
    """Raise `PairError` if two pairs have the same id."""
    for name, times in Counter(names).items():
        if times > 1:
            raise PairError(f"two pairs have the id {name}")


def domain_of(row: Row) -> str:
    """Return a row's domain."""
    return str(row.get("domain") or "unknown")


def parse_context(value: Any, folder: Path, where: str) -> list[Any]:
    """Return the pieces of a context: texts, and images as given; nothing is opened.

    A context is a text, or a list of ``{"text": ...}`` and ``{"image": PATH}``. An image is a path,
    the bytes in a Hugging Face data set, or a decoded image. Raises `PairError` if it has another
    form.
    """
    pieces: list[Any] = []
    for piece in _pieces(value):
        text = piece.get("text") if isinstance(piece, dict) else None
        image = _image(piece)
        if isinstance(text, str):
            pieces.append(text)
        elif isinstance(image, str):
            pieces.append(_path(folder, image, where))
        elif isinstance(image, bytes) or hasattr(image, "convert"):
            pieces.append(image)
        else:
            raise PairError(
                f"{where}: a context is a text, or a list of texts and images, not {piece!r}"
            )
    return pieces


def _path(folder: Path, name: str, where: str) -> Path:
    try:
        return inside(folder, name)
    except OSError as error:
        raise PairError(f"{where}: the image {name[:60]!r}: {error.strerror}") from error
    except ValueError as error:
        raise PairError(f"{where}: {error}") from error


def _pieces(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [{"text": value}]
    return value if isinstance(value, list) else [value]


def _image(piece: Any) -> Any:
    """Return the image that a non-text piece names.

    A data set's undecoded image is a mapping of ``bytes`` and ``path``.
    """
    image: Any = piece.get("image", piece) if isinstance(piece, dict) else piece
    return image.get("bytes") or image.get("path") if isinstance(image, dict) else image


def decode(pieces: Sequence[Any], where: str) -> tuple[Part, ...]:
    """Return a context's parts with decoded images; PairError if an image cannot be read."""
    return tuple(
        TextPart(piece) if isinstance(piece, str) else ImagePart(_open(piece, where))
        for piece in pieces
    )


def check_image(piece: Any, where: str) -> None:
    """Check that an image exists and its header is readable; a text passes.

    Raises `PairError` if it is missing, or its format is unknown.
    """
    if isinstance(piece, Path | bytes):
        _open(piece, where, header_only=True)


def _open(image: Any, where: str, *, header_only: bool = False) -> Any:
    if not isinstance(image, Path | bytes):
        return as_seen(upright(image))
    name = f"the image {image}" if isinstance(image, Path) else "an image"
    try:
        with opened(image) as found:
            return None if header_only else as_seen(upright(found))
    except FileNotFoundError as error:
        raise PairError(f"{where}: there is no image {image!s}") from error
    except undecodable() as error:
        raise PairError(f"{where}: {name} cannot be read: {error}") from error


def content_hash(
    path: Path, columns: Mapping[str, str] = _NO_COLUMNS, image_root: Path | None = None
) -> str:
    """Return the hash of a JSON-lines file and of every image that it names; nothing is decoded.

    The file holds pairs or RL items. A missing image is hashed as missing. Raises `UsageError` if a
    line is not a JSON object.
    """
    rows, folder = JsonRows(path), image_root or path.parent
    named = (_image_names(ours_of_json(row, columns, rows.names)) for row in rows)
    names = sorted({name for found in named for name in found})
    there = [name for name in names if is_file(folder / name)]
    text, *images = file_hashes([path, *(folder / name for name in there)])
    if not names:
        return text
    missing = sorted(set(names) - set(there))
    return json_hash([text, dict(zip(there, images, strict=True)), missing])


def _image_names(row: Row) -> list[str]:
    """Return the image paths of a row, by its readers' rules; none for an invalid row."""
    values = [value for name in CONTEXTS if not isinstance(value := row.get(name), str)]
    images = row.get("images")
    values += [[images] if isinstance(images, str) else images, turns_of(row)[1]]
    names = (_image(piece) for value in values if value is not None for piece in _pieces(value))
    return [name for name in names if isinstance(name, str)]
