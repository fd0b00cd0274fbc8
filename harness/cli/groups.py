"""Groups whose commands are imported only when called, and commands with options under headings."""

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


class PanelCommand(click.Command):
    """A command whose help groups its options.

    ``panels`` maps headings to names of options without dashes, in order; a flag's first name
    stands for it.  What is in none comes last.
    """

    def __init__(self, *args: Any, panels: Mapping[str, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.panels = {heading: names.split() for heading, names in panels.items()}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a section per panel."""
        given = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        helped = {name_of(param): param.get_help_record(ctx) for param in given}
        rows = {name: row for name, row in helped.items() if row is not None}
        for heading, names in self.panels.items():
            with formatter.section(heading):
                formatter.write_dl([rows.pop(name) for name in names])
        with formatter.section("Other"):
            formatter.write_dl(list(rows.values()))


def name_of(param: click.Parameter) -> str:
    """Return an option's first name without dashes."""
    return max(param.opts, key=len).removeprefix("--")
