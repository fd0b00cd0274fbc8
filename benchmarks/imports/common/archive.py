"""ZIP files of JSON documents, including zstd-compressed members (``.eval`` logs)."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.files import plain
from harness.files.typed_json import parse

_ZSTD = 93  # the compression method's number, known to zipfile since Python 3.14
_LOCAL_HEADER = 30  # bytes, of which the last four are the lengths of name and extra field
LARGEST = 1 << 30  # bytes of one document
_RATIO = 500  # by how much more than `LARGEST` may shrink; logs shrink to a tenth to a thirtieth
MOST = 50_000_000  # values per document: 8 to 80 bytes each in memory, far less in the file


class Archive:
    """The documents of a ZIP file by name; for repeated names, the last.

    Raises `UsageError` if the file is not a ZIP file or expands too much, or a document cannot be
    read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with plain.open_given(path) as stream, zipfile.ZipFile(stream) as archive:
                self._members = {info.filename: info for info in archive.infolist()}
                size = os.fstat(stream.fileno()).st_size
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise UsageError(f"{path} is not a whole ZIP file: {error}") from error
        expanded = sum(info.file_size for info in self._members.values())
        if expanded > max(LARGEST, _RATIO * size):
            raise UsageError(
                f"{path} expands from {size >> 10} KiB to {expanded >> 20} MiB: of a log at most "
                f"{LARGEST >> 20} MiB or {_RATIO} times its size are read"
            )

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def document(self, name: str) -> dict[str, Any]:
        """Return the JSON object of that name."""
        where = f"{self.path}, {name}"
        if name not in self._members:
            raise UsageError(f"{self.path} has no {name}")
        try:
            content = self._content(self._members[name])
            if sum(map(content.count, (b",", b"[", b"{"))) > MOST:
                raise ValueError(f"it holds more than {MOST} values")
            value = parse(content)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UsageError(f"{where} cannot be read: {error}") from error
        if not isinstance(value, dict):
            raise UsageError(f"{where} is not a JSON object")
        return value

    def _content(self, info: zipfile.ZipInfo) -> bytes:
        if info.file_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST >> 20} MiB")
        with plain.open_given(self.path) as stream:
            stream.seek(info.header_offset)
            header = stream.read(_LOCAL_HEADER)
            if len(header) < _LOCAL_HEADER:
                raise ValueError("it lies beyond the end of the file")
            stream.seek(sum(struct.unpack("<HH", header[-4:])), 1)
            data = stream.read(info.compress_size)
        content = _decompressed(data, info)
        if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
            raise ValueError("it is damaged")
        return content


def _decompressed(data: bytes, info: zipfile.ZipInfo) -> bytes:
    """Return a member's content, at most one byte more than it should have."""
    most = info.file_size + 1
    if info.compress_type == zipfile.ZIP_STORED:
        return data[:most]
    if info.compress_type == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most)
    if info.compress_type != _ZSTD:
        raise ValueError(f"it is compressed by method {info.compress_type}, which is not known")
    try:
        import zstandard
    except ImportError as error:
        raise UsageError(
            "this log is compressed by zstd: pip install zstandard, or turn it into JSON with "
            "`inspect log convert --to json`"
        ) from error
    try:
        reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
        return bytes(reader.read(most))
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
