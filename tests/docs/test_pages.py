"""What the documentation names is there: linked files and headings, commands and their options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from harness.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def command_lines(page: Path) -> Iterator[list[str]]:
    """Yield the words of every ``harness`` command of a page, continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", page.read_text())
    for code in re.findall(r"```\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text):
        for line in code.splitlines():
            for part in line.partition("#")[0].split(";"):
                if part.strip().startswith("harness "):
                    yield re.sub(r"\"[^\"]*\"", "WORDS", part).split()[1:]


def options_of(words: list[str]) -> set[str] | None:
    """Return the options of the command that the words call; None: the words name none."""
    command: click.Command = cli
    context = click.Context(command)
    for word in words:
        if isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                return None
            command = found
    return {name for param in command.params for name in (*param.opts, *param.secondary_opts)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    for words in command_lines(page):
        if words[0].startswith(("-", "[")):
            continue
        assert words[0] in COMMANDS, words
        known = options_of(words)
        assert known is not None, words
        used = re.findall(r"--[a-z][a-z-]*", " ".join(words))
        assert set(used) <= {*known, "--help", "--debug"}, words
