"""Pairs given as finished selection prompts, as in the paper's published sets.

Images: both orders come from exchanging the two images and the letter. Text: one order, or two if a
template identifies the contexts (`benchmarks.pairs.template`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from benchmarks.pairs.file import PairError, check_image, decode, domain_of, pair_id, parse_context
from benchmarks.pairs.rows import Preview, Row
from benchmarks.pairs.selection import Letter, WrittenPair, other
from benchmarks.pairs.tables import right_letter
from benchmarks.pairs.template import PairTemplate
from benchmarks.pairs.turns import MARK, Turn, turns_of
from harness.files.text import counted
from harness.records import Message, Part, Role, TextPart


@dataclass(frozen=True)
class WrittenRows:
    """Make written pairs from rows; ``template`` splits those of text."""

    template: PairTemplate | None = None

    def pair(self, row: Row, folder: Path, where: str) -> WrittenPair:
        """Return the pair of one row; image paths are relative to ``folder``.

        Raises `PairError` if marks and images do not match, the two images are identical, or one
        cannot be read.
        """
        turns, pieces, letter = _checked(row, folder, where)
        images = list(decode(pieces, where))
        exchanged = None
        if _exchangeable(turns, pieces):
            first, second = images
            if first == second:
                raise PairError(f"{where}: its two images are identical")
            exchanged = _messages(turns, [second, first])
        elif not pieces and (texts := self._exchanged_texts(turns)) is not None:
            exchanged = _messages(texts, [])
        messages = _messages(turns, images)
        name = pair_id(row, where)
        source = str(row.get("source") or "")
        return WrittenPair(name, domain_of(row), messages, letter, exchanged, source)

    def preview(self, row: Row, folder: Path, where: str) -> Preview:
        """Check a row; no image is decoded.

        Raises `PairError` if marks and images do not match, or an image is missing.
        """
        turns, pieces, letter = _checked(row, folder, where)
        for piece in pieces:
            check_image(piece, where)
        both = _exchangeable(turns, pieces)
        if not pieces:
            both = self._exchanged_texts(turns) is not None
        return Preview(
            pair_id(row, where),
            domain_of(row),
            images=bool(pieces),
            letters=(letter, other(letter)) if both else (letter,),
            written=True,
        )

    def _exchanged_texts(self, turns: Sequence[Turn]) -> list[Turn] | None:
        """Return the turns with the last one's contexts exchanged, if a template fits."""
        if self.template is None:
            return None
        *before, (role, text) = turns
        made = self.template.exchanged(text)
        return None if made is None else [*before, (role, made)]


def _exchangeable(turns: Sequence[Turn], pieces: Sequence[Any]) -> bool:
    return len(pieces) == sum(text.count(MARK) for _, text in turns) == 2


def _checked(row: Row, folder: Path, where: str) -> tuple[list[Turn], list[Any], Letter]:
    """Return a row's turns, the pieces that are its images, and the right letter."""
    turns, images = turns_of(row)
    letter = right_letter(row)
    assert letter is not None  # or the row would be no selection prompt
    unknown = [role for role, _ in turns if role not in get_args(Role)]
    if unknown or not any(text.strip() for _, text in turns):
        raise PairError(f"{where}: {f'unknown role {unknown[0]!r}' if unknown else 'no prompt'}")
    if any(image is None for image in images):
        raise PairError(
            f"{where}: its prompt has an image that cannot be read: a file is needed, no web "
            "address or data URL"
        )
    marks = sum(text.count(MARK) for _, text in turns)
    if images and marks not in (0, len(images)):
        raise PairError(f"{where}: {marks} {MARK} and {counted(len(images), 'image')}")
    named = [image if isinstance(image, dict) else {"image": image} for image in images]
    return turns, parse_context(named, folder, where), letter


def _messages(turns: Sequence[Turn], images: Sequence[Part]) -> tuple[Message, ...]:
    """Return the conversation; images replace marks in order, or precede the last turn."""
    left = list(images)
    marked = any(MARK in text for _, text in turns)
    made = []
    for number, (role, text) in enumerate(turns):
        parts: list[Part] = []
        if images and not marked and number == len(turns) - 1:
            parts, left = left, []
        for index, piece in enumerate(text.split(MARK) if images else [text]):
            if index:
                parts.append(left.pop(0))
            if piece:
                parts.append(TextPart(piece))
        made.append(Message(cast("Role", role), tuple(parts)))
    return tuple(made)


# "the first image", "left picture", "image B shows"; not the labels "Image A: <image>", "image 1".
_TIED = re.compile(
    r"\b(?:first|second|left|right|former|latter|top|bottom|upper|lower)(?:-hand)?\s+"
    r"(?:image|picture|photo|figure|context|trajectory|diagram|chart|one)\b"
    r"|\b(?:image|picture|photo|figure|context|trajectory|diagram|chart)\s+(?:A|B|1|2|one|two)\b"
    r"(?=\s+(?!or\b|and\b)[a-z])",
    re.IGNORECASE,
)


def tied_rows(rows: Sequence[tuple[str, Row]]) -> list[str]:
    """Return the names of the rows whose text ties content to a position ("the left image").

    Exchanging the contexts may make such a text wrong. Lines shared with other rows are wording,
    which stays true after the exchange.
    """
    lines = [[line for _, text in turns_of(row)[0] for line in text.split("\n")] for _, row in rows]
    common = Counter(line for text in lines for line in set(text))
    return [
        name
        for (name, _), text in zip(rows, lines, strict=True)
        if any(common[line] == 1 and _TIED.search(line) for line in text)
    ]
