"""Read the files of foreign logs: JSON documents, JSON Lines, folders; redact what is kept."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.files import plain
from harness.files.hashing import json_hash
from harness.files.text import abridged
from harness.files.typed_json import parse

# Matches "api_key", "hf_token", "Authorization"; not "max_tokens", "keys", "tokenizer".
_SECRET = re.compile(
    r"(^|[_-])(api_?key|key|token|secret|password|passwd|authorization|credentials?|bearer)$", re.I
)
# Matches "api_key=x", "token=hf_x", as in command-line arguments.
_GIVEN = re.compile(r"((?:key|token|secret|password|authorization)=)[^,\s]+", re.I)
_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
_LONGEST = 4000  # characters of a text of a tool's configuration
_HIDDEN = "[redacted]"
HEAD = 4096  # bytes, enough to detect a file's format
_DEEPEST = 6  # folder levels below the given one


def json_document(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; UsageError if there is none."""
    try:
        value = parse(plain.read_given(path))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"{path} is not a JSON object")
    return value


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a file's JSON objects, each with "FILE, line 3"; UsageError for any other line."""
    try:
        with plain.open_given(path) as stream:
            for number, line in enumerate(stream, 1):
                if not line.isspace():
                    yield (where := f"{path}, line {number}"), _object(line, where)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def line_count(path: Path) -> int:
    """Return the number of non-empty lines; UsageError if the file cannot be read."""
    try:
        with plain.open_given(path) as stream:
            return sum(not line.isspace() for line in stream)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        value = parse(line)
    except ValueError as error:
        torn = "" if line.endswith(b"\n") else ": the file lacks its end"
        raise UsageError(f"{where} is not JSON ({error}){torn}") from error
    if not isinstance(value, dict):
        raise UsageError(f"{where} is not a JSON object")
    return value


def first_object(path: Path) -> dict[str, Any]:
    """Return the first JSON object of a file of lines; an empty one for other files."""
    try:
        return next((row for _, row in json_lines(path)), {}) if path.is_file() else {}
    except UsageError:
        return {}


def head(path: Path) -> bytes:
    """Return the beginning of a regular file, empty for anything else."""
    if not path.is_file():
        return b""
    try:
        with plain.open_given(path) as stream:
            return stream.read(HEAD)
    except OSError:
        return b""


def files_below(path: Path) -> list[Path]:
    """Return the files below a folder, sorted, or the file itself.

    Hidden names, links to folders, and what lies more than six levels below are left out.
    """
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    for parent, folders, names in os.walk(path):
        depth = len(Path(parent).relative_to(path).parts)
        folders[:] = [name for name in folders if depth < _DEEPEST and not name.startswith(".")]
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    return sorted(found)


def field(row: Mapping[str, Any], name: str, kind: type | tuple[type, ...], where: str) -> Any:
    """Return a field of a row; UsageError if it is missing or of another type.

    Booleans are accepted as numbers only if ``kind`` includes ``bool``.
    """
    if name not in row:
        raise UsageError(f"{where} has no {name!r}")
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(row[name], kinds) or (isinstance(row[name], bool) and bool not in kinds):
        raise UsageError(f"{where}: {name!r} is {type(row[name]).__name__}, which it never is")
    return row[name]


def mapping(value: Any) -> dict[str, Any]:
    """Return a value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """Return a value if it is a JSON list, else an empty one."""
    return value if isinstance(value, list) else []


def text_hash(value: Any) -> str:
    """Return a short hash of a JSON value."""
    return json_hash(value)[:16]


def redacted(value: Any, name: str = "") -> Any:
    """Return a tool's configuration without secrets, known by their field's name, or long texts."""
    if isinstance(value, dict):
        return {key: redacted(each, str(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [redacted(each, name) for each in value]
    if isinstance(value, str):
        if value and _SECRET.search(name):
            return _HIDDEN
        text = _PASSWORD.sub(rf"\1{_HIDDEN}@", _GIVEN.sub(rf"\1{_HIDDEN}", value))
        return abridged(text, _LONGEST)
    return value
