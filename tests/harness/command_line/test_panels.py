"""The help of commands with many options: each stands under one heading."""

from __future__ import annotations

import click
import pytest

from harness.cli.groups import PanelCommand, name_of
from harness.cli.main import cli
from tests.commands import harness


@pytest.mark.parametrize("name", ["run", "train", "ablate"])
def test_every_option_stands_under_one_heading(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert isinstance(command, PanelCommand)
    listed = [option for names in command.panels.values() for option in names]
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert sorted(listed) == sorted(name_of(each) for each in options if not each.hidden)
    shown = harness(name, "--help").stdout
    assert [line[:-1] for line in shown.splitlines() if line.endswith(":") and line[0] != " "] == [
        *command.panels,
        "Other",
    ]
    assert f"Show this message and exit.\n\n  Example: harness {name}" in shown
