"""Groups of commands whose modules are imported only when a command is called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from harness.errors import unknown

CommandTable = Mapping[str, tuple[str, str]]
"""Command -> (module:attribute, one line of help)."""


class LateGroup(click.Group):
    """A group that imports a command only when it is called."""

    def __init__(self, *args: Any, commands_by_name: CommandTable, **options: Any) -> None:
        super().__init__(*args, **options)
        self._table = commands_by_name

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of the table."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; an unknown one fails with the nearest name."""
        if cmd_name not in self._table and ctx.resilient_parsing:  # the shell completes a name
            return None
        if cmd_name not in self._table:
            raise unknown("command", cmd_name, self._table)
        module, _, attribute = self._table[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._table.items()])
