"""The texts that errors share: the first line of another error, the nearest of known names."""

from __future__ import annotations

import pytest

from harness.cli.main import COMMANDS, run_command
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


@pytest.mark.parametrize("name", COMMANDS)
def test_a_mistyped_command_names_the_one_that_was_meant(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    doubled = f"{name[:2]}{name[1:]}"
    assert run_command([doubled]) == 2
    expected = f"harness: no command named '{doubled}': did you mean {name}?\n"
    assert capsys.readouterr().err == expected
