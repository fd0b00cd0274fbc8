"""Rows of a file or data set as a lazy sequence of items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar, overload

from benchmarks.data.local.json_rows import JsonLines
from harness.errors import UsageError

T = TypeVar("T")
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


class RowSource(Protocol):
    """Rows by number."""

    def folder(self, index: int) -> Path:
        """Return the folder that the row's image paths are relative to."""
        ...

    def row(self, index: int) -> Row:
        """Return a row, its images decoded if the source holds images."""
        ...

    def undecoded(self, index: int) -> Row:
        """Return a row, its images as bytes or paths."""
        ...

    def where(self, index: int) -> str:
        """Return the row's name in messages."""
        ...


@dataclass(frozen=True)
class LazyRows(Sequence[T]):
    """The rows ``indices`` of a source; a slice is another such sequence, and opens nothing.

    ``make`` builds an item from a row, its folder and its name in messages; ``peek`` checks the
    same row without decoding an image.

    Raises:
        UsageError: on access: the row is wrong, or one of its images cannot be read.
    """

    source: RowSource
    indices: Sequence[int]
    make: Callable[[Row, Path, str], T]
    peek: Callable[[Row, Path, str], Preview]

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> LazyRows[T]: ...

    def __getitem__(self, index: int | slice) -> T | LazyRows[T]:
        if isinstance(index, slice):
            return replace(self, indices=self.indices[index])
        number = self.indices[index]
        return self.make(
            self.source.row(number), self.source.folder(number), self.source.where(number)
        )

    def preview(self, index: int) -> Preview:
        """Check an item without decoding its images."""
        row, where = self.undecoded(index)
        return self.peek(row, self.source.folder(self.indices[index]), where)

    def undecoded(self, index: int) -> tuple[Row, str]:
        """Return an item's row as stored, and its name in messages."""
        number = self.indices[index]
        return self.source.undecoded(number), self.source.where(number)


class JsonRows:
    """The objects of a JSON-lines file, all read at once; blank lines are skipped.

    Raises:
        UsageError: the file cannot be read, a line is not a JSON object, or there is no object;
            ``content`` says what they should be.
    """

    def __init__(self, path: Path, content: str = "") -> None:
        self._folder = path.parent
        lines = JsonLines(path, remedy="")
        self.where = lines.where
        self._rows = list(lines)
        if content and not self._rows:
            raise UsageError(f"{path} contains no {content}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all fields."""
        return tuple(sorted(set().union(*self._rows)))

    def __len__(self) -> int:
        return len(self._rows)

    def folder(self, index: int) -> Path:
        """Return the file's folder."""
        return self._folder

    def row(self, index: int) -> Row:
        """Return one object."""
        return self._rows[index]

    undecoded = row


def is_empty(value: Any) -> bool:
    """Whether a field is empty; 0 is not."""
    return value is None or value in ("", [], {})
