"""JSON that lay on disk or came from elsewhere, and the types that its values must have."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def parse(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Stored answers may hold NaN or half of a surrogate pair, which msgspec, the faster one, refuses.

    Raises:
        ValueError: it is not JSON or not UTF-8, or nested too deeply.
    """
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def record(kind: type[T], value: Any) -> T:
    """Return a JSON value as an instance of a type: a dataclass, or a collection of them.

    Raises:
        ValueError: a field is missing or of another type; it is named.
    """
    return msgspec.convert(value, kind)


def fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value has the type of an annotation; an int is a float, a bool no number."""
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError:
        return False
    return True
