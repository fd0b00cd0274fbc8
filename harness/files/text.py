"""Pieces of long texts."""

from __future__ import annotations

import re

# What a terminal or a page obeys instead of showing it: control characters but for newline and
# tab, marks that reverse the direction of text, and halves of characters.
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""Return a text whose control characters are shown as ``\u001b``, as JSON writes them.

    Texts of models, servers and data reach a terminal, a page or a table through this.
    """
    return _OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def last_line(text: str) -> str:
    """Return the last line of ``text`` that is not blank, stripped, or the empty string."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def abridged(text: str, most: int = 20_000) -> str:
    """Return ``text``, where it is longer than ``most`` characters without its middle.

    A line in its place says how many characters are left out.
    """
    if len(text) <= most:
        return text
    half = most // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[... {left_out} characters are left out here ...]\n{text[-half:]}"


def counted(number: int, thing: str) -> str:
    """Return a number with what is counted: "1 item", "2 items", "0 replies"."""
    if number != 1:
        thing = f"{thing[:-1]}ies" if re.search("[^aeiou]y$", thing) else f"{thing}s"
    return f"{number} {thing}"
