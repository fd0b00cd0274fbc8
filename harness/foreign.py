"""JSON that lay on disk or came from elsewhere, and the types that its values must have.

Readers of stored runs and of foreign data come in with a text or with a record made of one; what
leaves has the types that its class declares.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_Fits = Callable[[Any], bool]


def parse(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Not orjson: it takes neither NaN nor half of a surrogate pair, which stored answers may hold.

    Raises:
        ValueError: it is no JSON, no UTF-8, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def typed(record: T) -> T:
    """Return a dataclass instance whose fields, and those of its records, have their types.

    Raises:
        TypeError: one has another type; it is named.
    """
    kind: Any = type(record)
    for name, fits_field in _fields(kind):
        if not fits_field(getattr(record, name)):
            raise TypeError(f"its {name} is of another type")
    return record


def fits(value: Any, hint: Any) -> bool:
    """Whether a value has the type of an annotation: a class, a union, a literal, a collection.

    As in an annotation, an int is a float; as not in Python, true and false are no numbers.
    """
    return _check(hint)(value)


@cache
def _fields(kind: type) -> tuple[tuple[str, _Fits], ...]:
    hints = get_type_hints(kind)
    return tuple((one.name, _check(hints[one.name])) for one in dataclasses.fields(kind))


@cache
def _check(hint: Any) -> _Fits:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda value: True
    if origin is Literal:
        return lambda value: value in inner
    if origin in (Union, UnionType):
        checks = tuple(_check(part) for part in inner)
        return lambda value: any(check(value) for check in checks)
    if origin is not None:
        return _collection(origin, inner)
    if hint in (int, float):
        numbers = (int, float) if hint is float else int
        return lambda value: isinstance(value, numbers) and not isinstance(value, bool)
    if dataclasses.is_dataclass(hint):
        return _record(hint)
    return lambda value: isinstance(value, hint)


def _record(kind: Any) -> _Fits:
    fields = _fields(kind)
    return lambda value: (
        isinstance(value, kind) and all(check(getattr(value, name)) for name, check in fields)
    )


def _collection(origin: Any, inner: tuple[Any, ...]) -> _Fits:
    if issubclass(origin, Mapping):
        key, one = (_check(part) for part in inner)
        return lambda value: (
            isinstance(value, origin) and all(key(k) and one(v) for k, v in value.items())
        )
    if origin is tuple and inner[-1] is not Ellipsis:
        checks = tuple(_check(part) for part in inner)
        return lambda value: (
            isinstance(value, tuple)
            and len(value) == len(checks)
            and all(check(part) for check, part in zip(checks, value, strict=True))
        )
    each = _check(inner[0])
    return lambda value: (
        isinstance(value, origin)
        and not isinstance(value, str)
        and all(each(part) for part in value)
    )
