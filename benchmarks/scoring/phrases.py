"""Patterns with an example of what each reads and leaves alone; those of several readers."""

from __future__ import annotations

import re
from typing import NamedTuple

I = re.IGNORECASE  # noqa: E741


class Row(NamedTuple):
    """One form of a pattern: its regular expression, what it reads, what it leaves alone."""

    source: str
    reads: str
    leaves: str


class Pattern:
    """A compiled pattern of one or several forms; ``frame`` stands around all of them."""

    def __init__(self, *rows: Row, flags: int = 0, frame: str = "{}") -> None:
        self.rows, self.flags = rows, flags
        compiled = re.compile(frame.replace("{}", either(rows)), flags)
        self.source = compiled.pattern
        self.search, self.match, self.sub = compiled.search, compiled.match, compiled.sub
        self.fullmatch, self.split = compiled.fullmatch, compiled.split
        self.finditer, self.findall = compiled.finditer, compiled.findall


def pattern(source: str, reads: str, leaves: str, flags: int = 0) -> Pattern:
    """Return a pattern of one form."""
    return Pattern(Row(source, reads, leaves), flags=flags)


def either(rows: tuple[Row, ...]) -> str:
    """Return a regular expression that any of the rows matches."""
    return rows[0].source if len(rows) == 1 else f"(?:{'|'.join(row.source for row in rows)})"


# "option" in the languages in which it stands before a letter.
NOUN = (
    r"(?:option|choice|letter|answer|alternative|alternativa|opci[oó]n|opç[ãa]o|opzione|letra|lettera"
    r"|вариант|选项)"
)
# A letter may touch signs of the languages that put no spaces between words.
WORDLY = r"(?:[A-Za-zÀ-ÿ0-9_]|['-](?=\w))"
CONCLUDES = (
    r"(?:therefore|thus|hence|so|consequently|accordingly|(?:in )?conclusion|finally|as a result"
    r"|on balance)"
)
REFUSAL = pattern(
    r"(?i)\b(?:cannot|can't|can not|unable to|impossible to|not (?:possible|enough|provided)"
    r"|insufficient|none of|n/a|no information|do(?:n't| not) have|does(?:n't| not) provide)\b",
    "It cannot be told.",
    "It can be told.",
)
# What follows names what the answer is compared with, or why it is.
THAN = pattern(
    r",?\s(?:than|compared (?:to|with)|(?<!is )(?<!are )followed by)\b[^,;]*",
    "taller than Bob",
    "it is followed by Bob",
)
REASON = pattern(
    r",?\s(?:because|since|as|whereas|while|unlike|rather than|instead of)\b",
    "B, because it is red",
    "Because of that, B",
)
