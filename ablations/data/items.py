"""RL items as rows: a question and its correct answer (format: docs/pairs.md)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast, get_args

from benchmarks.pairs.file import check_image, decode, parse_context
from benchmarks.pairs.rows import JsonRows, LazyRows, Preview, Row, is_empty
from benchmarks.scoring import Target
from benchmarks.scoring.target import Kind
from harness.errors import UsageError
from harness.records import Item, Message, TextPart

COLUMNS = ("query", "answer")
KINDS = get_args(Kind)


def read_items(path: Path) -> LazyRows[Item]:
    """Return the RL items of a JSON-lines file; images are opened on access.

    Raises:
        UsageError: the file cannot be read or is empty, or a line is not a JSON object; on access:
            an item is wrong.
    """
    rows = JsonRows(path, "RL items")
    return LazyRows(rows, range(len(rows)), item_of, preview_item)


def item_of(row: Row, folder: Path, where: str) -> Item:
    """Return the RL item of one row; image paths are relative to ``folder``.

    Raises:
        UsageError: a field is missing or of a wrong type, or an image cannot be read.
    """
    target, name = _target(row, where), _id(row, where)
    images = decode(parse_context(_images(row), folder, where), where)
    text = str(row["query"])
    if images:  # EasyR1's data mark the images' positions; ours precede the question.
        text = text.replace("<image>", "").lstrip()
    return Item(name, (Message("user", (*images, TextPart(text))),), target, name)


def preview_item(row: Row, folder: Path, where: str) -> Preview:
    """Check that a row makes an RL item; no image is decoded.

    Raises:
        UsageError: a field is missing or of a wrong type, or there is no such image.
    """
    _target(row, where)
    images = parse_context(_images(row), folder, where)
    for image in images:
        check_image(image, where)
    return Preview(_id(row, where), "image" if images else "trajectory", bool(images))


def _id(row: Row, where: str) -> str:
    return where if is_empty(row.get("id")) else str(row["id"])


def _images(row: Row) -> list[Any]:
    images = row.get("images") or []
    images = images if isinstance(images, list) else [images]
    return [image if isinstance(image, dict) else {"image": image} for image in images]


def _target(row: Row, where: str) -> Target:
    missing = [name for name in COLUMNS if is_empty(row.get(name))]
    if missing:
        raise UsageError(f"{where}: missing or empty: {', '.join(missing)}")
    answer, choices = row["answer"], row.get("choices") or []
    if not isinstance(answer, str | int | float):
        raise UsageError(f"{where}: answer must be text or a number, not {answer!r}")
    if not isinstance(choices, list):
        raise UsageError(f"{where}: choices must be a list of texts, not {choices!r}")
    kind = row.get("kind") or ("choice" if choices else "text")
    if kind not in KINDS:
        raise UsageError(f"{where}: kind must be one of {', '.join(KINDS)}, not {kind!r}")
    if kind == "choice":
        last = chr(ord("A") + len(choices) - 1) if choices else "Z"
        # As the scorer reads it: no completion could match a letter that it does not read.
        letters = re.findall(r"\b[A-Z]\b", str(answer))
        if not letters or max(letters) > last:
            raise UsageError(
                f"{where}: answer must be a choice's letter, A to {last}, not {answer!r}"
            )
    return Target(cast("Kind", kind), str(answer), choices=tuple(map(str, choices)))
