"""The last line of a program's output, and texts without their middle."""

from __future__ import annotations

import pytest

from harness.files.text import abridged, last_line


@pytest.mark.parametrize(
    ("text", "line"), [("", ""), ("\n \n", ""), ("one", "one"), ("one\n  two \n\n", "two")]
)
def test_last_line(text: str, line: str) -> None:
    assert last_line(text) == line


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("", ""),
        ("abcdef", "abcdef"),
        ("abcdefg", "abc\n[... 1 characters are left out here ...]\nefg"),
        ("abc" + "x" * 994 + "efg", "abc\n[... 994 characters are left out here ...]\nefg"),
    ],
)
def test_abridged(text: str, short: str) -> None:
    assert abridged(text, most=6) == short
