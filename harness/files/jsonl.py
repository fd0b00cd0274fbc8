"""Append-only JSON lines: a kill loses at most the last line, which readers and writers drop."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from harness.errors import UsageError
from harness.files.atomic import write_text


class Line(NamedTuple):
    """A complete line: its number from 1, the offset of its first byte, and its text."""

    number: int
    offset: int
    text: str


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the complete lines of a file (none if it is missing); a torn last line is dropped."""
    if not path.exists():
        return
    offset = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):  # bytes: split at \n alone
            if line.endswith(b"\n"):
                yield Line(number, offset, line.decode("utf-8", "replace"))
            offset += len(line)


def rewrite(path: Path, lines: Iterable[str]) -> None:
    """Replace a file by these lines, atomically."""
    write_text(path, "".join(f"{line}\n" for line in lines))


class Appender:
    """Appends whole lines to a file, after cutting a torn last line."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        _drop_torn_line(path)
        self._stream = path.open("ab", buffering=0)

    def append(self, text: str) -> None:
        """Add all of ``text`` (lines with their newlines) or nothing, before returning.

        Raises:
            UsageError: the disk is full or fails.
        """
        stream, data = self._stream, text.encode()
        before = stream.seek(0, os.SEEK_END)
        written = 0
        try:
            while written < len(data):
                written += stream.write(data[written:])
        except OSError as error:
            stream.truncate(before)
            raise UsageError(
                f"cannot write {stream.name} ({error.strerror}): earlier responses are "
                "stored; free some space and run the same command again"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _drop_torn_line(path: Path) -> None:
    """Cut a last line that a kill left without its newline."""
    if not path.exists() or path.stat().st_size == 0:  # an empty file cannot be mapped
        return
    with path.open("rb+") as stream:
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            whole = content.rfind(b"\n") + 1
        stream.truncate(whole)
