"""Hand-written YAML files as typed records; errors name the line and the key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from harness.errors import UsageError, nearest
from harness.files.plain import read_given
from harness.files.typed_json import DEEPEST

T = TypeVar("T")
Place = tuple[str | int, ...]
_LONGEST = 1_000_000  # characters: hand-written files have thousands
_BASE_60 = re.compile(r"[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")  # YAML 1.1: 1:30 is 90


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML text.

    Raises `ValueError` if it is not YAML or nested too deeply, a key repeats, or it has a number
    like 1:30 or aliases, a few lines of which can stand for billions of values.
    """
    import yaml

    try:
        if _has_aliases(text):
            raise ValueError("it has an alias (*name): write the value out")
        _lines(text)
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        said = " ".join(str(error).replace('in "<unicode string>", ', "at ").split())
        raise ValueError(said or "it is nested too deeply") from error
    except (AttributeError, LookupError, TypeError) as error:  # of PyYAML: !!bool x, !!timestamp x
        raise ValueError("it has a value that is not of the type of its tag (!!type)") from error


def _has_aliases(text: str) -> bool:
    """Whether a YAML text has aliases; ValueError: too long, too deep, or a base-60 number.

    The parser is slow, and its time grows with the square of the depth.
    """
    import yaml

    if len(text) > _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST} characters")
    depth, aliases = 0, False
    for event in yaml.parse(text, yaml.SafeLoader):
        aliases |= isinstance(event, yaml.AliasEvent)
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
            _refuse_base_60(event)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    return aliases


def _refuse_base_60(event: Any) -> None:
    if _BASE_60.fullmatch(event.value):
        raise ValueError(
            f"line {event.start_mark.line + 1}: YAML reads {event.value[:40]} in base 60, not as a "
            "time or a range: write a decimal number, or a text in quotes"
        )


def read_yaml(path: Path, name: str = "") -> dict[Any, Any]:
    """Return the mapping in a YAML file named by a user; errors call the file ``name``.

    Raises `UsageError` if the file cannot be read, `parse_yaml` rejects it, or it is not a mapping.
    """
    return _mapping(_text(path, name), name or str(path))


def read_typed(path: Path, kind: type[T], name: str = "") -> T:
    """Return a YAML file as a record of a type (a msgspec struct that forbids unknown fields).

    Raises `UsageError` as `read_yaml`, or it does not fit; names line, key and what is allowed.
    """
    where, text = name or str(path), _text(path, name)
    value = _mapping(text, where)
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        place, what = _wrong(kind, value) or ((), str(error))
        key, lines = ".".join(map(str, place)), _lines(text)
        while place and place not in lines:
            place = place[:-1]
        line = lines.get(place, 1)
        raise UsageError(f"{where}, line {line}: {f'{key}: ' if key else ''}{what}") from error


def _text(path: Path, name: str) -> str:
    try:
        return read_given(path).decode()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{name or path} cannot be read: {why}") from error


def _mapping(text: str, where: str) -> dict[Any, Any]:
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise UsageError(f"{where} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"{where} is not a mapping of names to values")
    return value


def _lines(text: str) -> dict[Place, int]:
    """Return the line of every key and entry of a YAML text; ValueError for a repeated key."""
    import yaml

    lines: dict[Place, int] = {}

    def walk(node: Any, place: Place) -> None:
        for number, entry in enumerate(node.value if isinstance(node.value, list) else ()):
            key, value = entry if isinstance(entry, tuple) else (entry, entry)
            name = str(key.value) if isinstance(entry, tuple) else number
            line = key.start_mark.line + 1
            if (*place, name) in lines:
                raise ValueError(f"line {line}: {str(name)[:100]} is given twice")
            lines[*place, name] = line
            walk(value, (*place, name))

    if (root := yaml.compose(text, yaml.SafeLoader)) is not None:
        walk(root, ())
    return lines


def _wrong(kind: Any, value: Any) -> tuple[Place, str] | None:
    """Return where a value does not fit its type and what is expected; None if it fits."""
    try:
        msgspec.convert(value, kind, strict=False)
        return None
    except msgspec.ValidationError as error:
        message = str(error).partition(" - at `")[0]
    if isinstance(value, dict) and (odd := [name for name in value if not isinstance(name, str)]):
        return (str(odd[0]),), f"a name must be text: write it in quotes, as '{odd[0]}'"
    for name, hint, inner in _inside(kind, value):
        if hint is None:
            known = get_type_hints(_record(kind))
            return (name,), f"unknown name: {nearest(str(name), known)}"
        if found := _wrong(hint, inner):
            return (name, *found[0]), found[1]
    missing = re.fullmatch(r"Object missing required field `(.*)`", message)
    return (), f"{missing[1]} is missing" if missing else f"must be {expected(message, kind)}"


def _record(kind: Any) -> Any:
    """Return the struct type, by itself or within a union; None without one."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else [kind]
    records = [one for one in kinds if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    return records[0] if len(records) == 1 else None


def _inside(kind: Any, value: Any) -> Iterator[tuple[str | int, Any, Any]]:
    """Yield name, type (None: no such name) and value of a value's children."""
    origin, of = get_origin(kind), get_args(kind)
    if isinstance(value, dict) and origin is dict:
        yield from ((str(name), of[1], inner) for name, inner in value.items())
    elif isinstance(value, list) and origin in (list, tuple):
        yield from ((number, of[0], inner) for number, inner in enumerate(value))
    elif isinstance(value, dict) and (record := _record(kind)) is not None:
        hints = get_type_hints(record, include_extras=True)
        yield from ((str(name), hints.get(str(name)), inner) for name, inner in value.items())


# Matches "Expected `int` >= 1" and "Expected `int | null`, got `str`"; not "Invalid enum".
_EXPECTED = re.compile(r"Expected `(?P<type>\w+)(?: \| \w+)*`(?: (?P<sign>[<>]=?) (?P<bound>\S+))?")
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "object": "a mapping",
    "array": "a list",
}
_SIGNS = {">=": "at least", ">": "above", "<=": "at most", "<": "below"}


def expected(message: str, kind: Any) -> str:
    """Return what msgspec's message says was expected, as text."""
    kinds = [kind, *get_args(kind)] if get_origin(kind) in (Union, UnionType, Annotated) else [kind]
    for each in kinds:
        if get_origin(each) is Literal:
            return f"one of {', '.join(get_args(each))}"
    match = _EXPECTED.match(message)
    if match is None:  # such as "Number out of range"
        return f"valid ({message[:1].lower()}{message[1:]})"
    if match["sign"]:
        return f"{_SIGNS[match['sign']]} {float(match['bound']):.10g}"
    return _TYPES.get(match["type"], match["type"])
