"""LiveCodeBench's problems and tests, as its release files have them.

The private tests are a pickle that is never executed.  Source of the fields: LiveCodeBench,
lcb_runner/benchmarks/code_generation.py.
"""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import ItemError

# The private tests of one problem, unpacked; the largest of the release take a few tens of MiB.
LARGEST = 1 << 29

# The opcodes of a pickled string: its frame, the string, a note of it, the end.
_STRING = {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_AROUND = {"PROTO", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "STOP"}


@dataclass(frozen=True, slots=True)
class Case:
    """One test: what the program is given and the expected answer, both as text."""

    given: str
    expected: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem.  ``function`` is the name of the function to write, None for a program."""

    content: str
    starter: str
    platform: str
    difficulty: str
    contest: str
    date: str
    function: str | None


def problem(row: Mapping[str, Any]) -> Problem:
    """Return the problem of a row, without its tests; raises `ItemError` if it cannot be read."""
    try:
        metadata = json.loads(row["metadata"] or "{}")
        return Problem(
            content=str(row["question_content"]),
            starter=str(row["starter_code"] or ""),
            platform=str(row["platform"]),
            difficulty=str(row["difficulty"]),
            contest=str(row["contest_id"]),
            date=str(row["contest_date"])[:10],
            function=metadata.get("func_name"),
        )
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ItemError(f"the row cannot be read: {type(error).__name__}: {error}") from error


def tests(row: Mapping[str, Any]) -> tuple[Case, ...]:
    """Return the public and then the private tests of a row; raises `ItemError` if they are bad."""
    public = _tests(str(row.get("public_test_cases")), "public")
    hidden = str(row.get("private_test_cases"))
    private = _tests(hidden if hidden.lstrip().startswith("[") else unpacked(hidden), "private")
    if not public + private:
        raise ItemError("the problem has no tests")
    return public + private


def unpacked(text: str, largest: int = LARGEST) -> str:
    """Return the text in base64 of a zlib stream of a pickled string.

    The pickle is read, not run: its opcodes must be those of a single string.  Raises `ItemError`
    if it is anything else, or has more than ``largest`` bytes.
    """
    try:
        stream = zlib.decompressobj()
        data = stream.decompress(base64.b64decode(text, validate=True), largest)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise ItemError(f"the private tests do not unpack: {error}") from error
    if stream.unconsumed_tail:
        raise ItemError(f"the private tests are larger than {largest} bytes")
    if not stream.eof:
        raise ItemError("the private tests are cut off")
    return _string(data)


def _string(data: bytes) -> str:
    strings: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in _STRING:
                strings.append(str(argument))
            elif opcode.name not in _AROUND:
                raise ItemError(
                    f"the private tests are a pickle with the opcode {opcode.name}, "
                    "not of a string alone: nothing of it was run"
                )
    except (ValueError, IndexError) as error:
        raise ItemError(f"the private tests are no pickle: {error}") from error
    if len(strings) != 1:
        raise ItemError(f"the private tests are a pickle of {len(strings)} strings, not of one")
    return strings[0]


def _tests(text: str, kind: str) -> tuple[Case, ...]:
    try:
        cases = tuple(Case(entry["input"], entry["output"]) for entry in json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ItemError(
            f"the {kind} tests cannot be read: {type(error).__name__}: {error}"
        ) from error
    if not all(isinstance(text, str) for case in cases for text in (case.given, case.expected)):
        raise ItemError(f"the {kind} tests hold something other than text")
    return cases
