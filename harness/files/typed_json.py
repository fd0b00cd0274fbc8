"""Read untrusted or stored JSON, and check the types of its values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.files.plain import read_given

T = TypeVar("T")
DEEPEST = 100  # levels: our own files have fewer than 20, and readers recurse


def parse(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Stored answers may hold NaN or lone surrogates, which msgspec, the faster parser, rejects.
    Raises `ValueError` if it is not JSON or not UTF-8, or nested deeper than 100 levels.
    """
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        try:
            value = json.loads(text)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
    _check_depth(text, value)
    return value


def read_object(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file named by a user; None if there is none that can be read."""
    try:
        value = parse(read_given(path))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def is_cut(text: bytes) -> bool:
    """Whether a JSON text is cut off: ``{"a": 1`` or an empty text, but not ``{"a" 1}``."""
    cut = ("Input data was truncated", f"JSON is malformed: invalid number (byte {len(text)})")
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        return str(error) in cut
    except RecursionError:  # too deep to tell
        return False
    return False


def _check_depth(text: str | bytes, value: Any) -> None:
    opened = ("[", "{") if isinstance(text, str) else (b"[", b"{")
    if sum(map(text.count, opened)) <= DEEPEST:  # type: ignore[arg-type]
        return
    level = [value]
    for _ in range(DEEPEST + 1):
        nested = [each for each in level if isinstance(each, dict | list)]
        if not nested:
            return
        level = [
            inner
            for each in nested
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    raise ValueError(f"it is nested deeper than {DEEPEST} levels")


def record(kind: type[T], value: Any) -> T:
    """Return a JSON value as an instance of a type: a dataclass, or a collection of them.

    Raises `ValueError` if a field is missing or of another type; names it.
    """
    return msgspec.convert(value, kind)


def fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value has an annotation's type; an int is a float, a bool is not a number."""
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError:
        return False
    return True
