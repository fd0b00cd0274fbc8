"""Commands with many options: ``--help`` lists them under headings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click


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
