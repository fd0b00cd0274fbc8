"""A row of a file or data set, what is known of it without an image, and rows of JSON lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.data.local.json_rows import JsonLines
from harness.errors import UsageError

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a row reveals without decoding an image: its id, domain, and whether it has images.

    ``letters``: the right answers to its selection prompts; for a ``written`` pair, the written one
    first, and alone if its contexts are unknown.
    """

    id: str
    domain: str
    images: bool
    letters: tuple[str, ...] = ("A", "B")
    written: bool = False

    @property
    def orders(self) -> int:
        """The number of selection prompts it gives."""
        return len(self.letters)


class JsonRows(list[Row]):
    """The objects of a JSON-lines file, all read at once; blank lines are skipped.

    Raises `UsageError` if the file cannot be read, a line is not a JSON object, or there is no
    object; ``content`` says what they should be.
    """

    def __init__(self, path: Path, content: str = "") -> None:
        lines = JsonLines(path, remedy="")
        super().__init__(lines)
        self.where = lines.where
        if content and not self:
            raise UsageError(f"{path} contains no {content}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all fields."""
        return tuple(sorted(set().union(*self)))


def is_empty(value: Any) -> bool:
    """Whether a field is empty; 0 is not."""
    return value is None or value in ("", [], {})
