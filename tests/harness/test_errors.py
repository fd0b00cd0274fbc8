"""The texts that errors share: the first line of another error, the nearest of known names."""

from __future__ import annotations

import pytest

from harness.errors import first_line, nearest, unknown


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("first\nsecond"), "first"),
        (ValueError("\n  first\n"), "first"),
        (ValueError(), "ValueError"),  # an empty message has no first line
        (OSError(" \n"), "OSError"),
        ("a text\nof two lines", "a text"),
    ],
)
def test_first_line(error: object, line: str) -> None:
    assert first_line(error) == line


def test_the_nearest_name_is_a_hint_else_all_names() -> None:
    assert nearest("VSTR", ["mmstar", "vstar"]) == "did you mean vstar?"
    assert nearest("zebra", iter(["mmstar", "vstar"])) == "choose from mmstar, vstar"
    assert nearest("zebra", []) == "there are none"
    assert str(unknown("arm", "grp", ["grpo"])) == "no arm named 'grp': did you mean grpo?"
