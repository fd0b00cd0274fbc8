"""Append-only JSON lines: a kill or a power cut loses only the file's tail."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from harness.errors import UsageError
from harness.files import plain
from harness.files.atomic import write_text


class Line(NamedTuple):
    """A complete line: its number from 1, the offset of its first byte, and its text."""

    number: int
    offset: int
    text: str


def whole_size(path: Path) -> int:
    """Return the bytes of a file without its torn tail; 0 if there is no file.

    Torn are a last line without its newline (killed while writing), and lines at the end that hold
    a NUL (a power cut before the content was on disk; JSON never holds a NUL).
    """
    try:
        with open(path, "rb", opener=plain.opener) as stream:
            return _whole(stream.fileno())
    except FileNotFoundError:
        return 0


def _whole(descriptor: int) -> int:
    if os.fstat(descriptor).st_size == 0:  # mmap rejects an empty file
        return 0
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as content:
        end = content.rfind(b"\n") + 1
        while end:
            begin = content.rfind(b"\n", 0, end - 1) + 1
            if content.find(b"\0", begin, end) < 0:
                return end
            end = begin
    return 0


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the complete lines of a file (none if it is missing), without its torn tail.

    Raises `UsageError` if it is a link or not a regular file.
    """
    whole, offset = whole_size(path), 0
    if not whole:
        return
    with open(path, "rb", opener=plain.opener) as stream:
        for number, line in enumerate(stream, 1):  # bytes: split at \n alone
            yield Line(number, offset, line.decode("utf-8", "replace"))
            offset += len(line)
            if offset >= whole:
                return


def rewrite(path: Path, lines: Iterable[str]) -> None:
    """Replace a file's content with these lines, atomically."""
    write_text(path, "".join(f"{line}\n" for line in lines))


class Appender:
    """Append whole lines to a file, after cutting its torn tail.

    Raises `UsageError` if the file is a link or not a regular file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(exist_ok=True)
        self._stream = open(path, "ab+", buffering=0, opener=plain.opener)  # noqa: SIM115
        self._stream.truncate(_whole(self._stream.fileno()))

    def append(self, text: str) -> None:
        """Append all of ``text`` (lines with their newlines) or nothing, before returning.

        Raises `UsageError` if the disk is full or fails, or the file is no longer in its place.
        """
        stream, data = self._stream, text.encode()
        self._check_place()
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

    def _check_place(self) -> None:
        """Check that the file is still in its place, where what is written will be found."""
        try:
            found = self._path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            found = None
        if found is None or not os.path.samestat(found, os.fstat(self._stream.fileno())):
            raise UsageError(
                f"{self._path} was moved or removed while this command was writing to it: put it "
                "back if you can, and run the same command again"
            )

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
