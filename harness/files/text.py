"""Helpers for long and untrusted texts."""

from __future__ import annotations

import re

# Interpreted by a terminal or a page instead of shown: control characters except newline and tab,
# bidirectional overrides, and lone surrogates.
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""Return a text whose control characters are shown as ``\u001b``, like in JSON.

    Apply it to texts from models, servers and data before they reach a terminal, page or table.
    """
    return _OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def last_line(text: str) -> str:
    """Return the last non-blank line of ``text``, stripped, or ""."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def abridged(text: str, most: int = 20_000) -> str:
    """Return ``text``, without its middle if longer than ``most`` characters.

    A line in its place says how many characters are left out.
    """
    if len(text) <= most:
        return text
    half = most // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[... {left_out} characters are left out here ...]\n{text[-half:]}"


def is_abridged(text: str) -> bool:
    """Whether a text of `abridged` lacks its middle."""
    return " characters are left out here ...]\n" in text


def counted(number: int, thing: str, form: str = "") -> str:
    """Return a number with what is counted: "1 item", "0 replies", with form "," "2,000 items"."""
    if number != 1 and re.search("[^aeiou]y$", thing):
        thing = f"{thing[:-1]}ies"
    elif number != 1:
        thing += "es" if re.search("(s|x|ch|sh)$", thing) else "s"
    return f"{number:{form}} {thing}"
