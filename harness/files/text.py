"""Pieces of long texts."""

from __future__ import annotations


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
