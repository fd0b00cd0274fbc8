"""The last line of a program's output, and texts without their middle."""

from __future__ import annotations

import pytest

from harness.files.text import abridged, counted, last_line


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


def test_one_thing_is_counted_in_the_singular() -> None:
    assert [counted(n, "item") for n in (0, 1, 2)] == ["0 items", "1 item", "2 items"]
    assert [counted(2, "reply"), counted(2, "day")] == ["2 replies", "2 days"]
