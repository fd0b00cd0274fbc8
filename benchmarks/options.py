"""Options of a benchmark: fields of its dataclass that ``--set NAME.OPTION=VALUE`` sets.

A benchmark declares them with `option`.  Whatever changes what is asked or how it is graded
belongs in the declared protocol.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from harness.errors import UsageError, nearest

T = TypeVar("T")


def option(default: T, parse: Callable[[str], T], help: str) -> T:
    """Return a dataclass field that a user may set.

    ``parse`` makes the value of the user's word, or says by a ``ValueError`` what is wrong with it;
    ``help`` is one line for ``harness list --options``.
    """
    field: T = dataclasses.field(default=default, metadata={"parse": parse, "help": help})
    return field


def declared(kind: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    """Return the options of a benchmark's class by name."""
    return {field.name: field for field in dataclasses.fields(kind) if "parse" in field.metadata}


def split(
    words: Sequence[str],
    known: Sequence[str],
    before: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> dict[str, dict[str, str]]:
    """Return words ``NAME.OPTION=VALUE`` by known benchmark, over those of ``before``."""
    by_benchmark = {name: dict(values) for name, values in before.items()}
    for word in words:
        name, dot, rest = word.partition(".")
        key, sign, value = rest.partition("=")
        if not (dot and sign and key):
            raise UsageError(f"--set {word}: write BENCHMARK.OPTION=VALUE")
        if name not in known:
            raise UsageError(f"--set {word}: {name!r} is not among {', '.join(known)}")
        by_benchmark.setdefault(name, {})[key] = value
    return by_benchmark


def parsed(benchmark_id: str, kind: type[Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of given options of a benchmark's class; UsageError for a wrong one."""
    known = declared(kind)
    values = {}
    for name, word in given.items():
        if name not in known:
            raise UsageError(f"{benchmark_id} has no option {name!r}: {nearest(name, known)}")
        try:
            values[name] = known[name].metadata["parse"](word)
        except ValueError as error:
            raise UsageError(f"--set {benchmark_id}.{name}={word}: {error}") from error
    return values


def yes_or_no(word: str) -> bool:
    """Return a truth value."""
    values = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if word.lower() not in values:
        raise ValueError("write true or false")
    return values[word.lower()]


def positive(word: str) -> int:
    """Return a whole number above 0."""
    if not word.isdecimal() or int(word) == 0:
        raise ValueError("write a whole number above 0")
    return int(word)


def file(word: str) -> Path:
    """Return the path of a file that exists."""
    if not Path(word).is_file():
        raise ValueError("no such file")
    return Path(word)


def numbers(word: str) -> tuple[int, ...]:
    """Return whole numbers of at least 0, written with commas between."""
    parts = word.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise ValueError("write whole numbers with commas between")
    return tuple(int(part) for part in parts)


def one_of(*names: str) -> Callable[[str], str]:
    """Return a parser of one of some names."""

    def parse(word: str) -> str:
        if word not in names:
            raise ValueError(f"write one of {', '.join(names)}")
        return word

    return parse


def some_of(*names: str) -> Callable[[str], tuple[str, ...]]:
    """Return a parser of some names with commas between."""
    parse = one_of(*names)
    return lambda word: tuple(parse(part.strip()) for part in word.split(","))
