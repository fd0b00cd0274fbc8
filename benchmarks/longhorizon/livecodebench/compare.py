"""Compares a program's answer with the expected one by the official rules.

Source: LiveCodeBench, lcb_runner/evaluation/testing_util.py (``grade_stdio``,
``grade_call_based``).

An answer may have millions of tiny parts, which would cost a hundred times its size.  They are
counted before they become objects: never more of these are made than the expected answer has.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from benchmarks.longhorizon.livecodebench.driver import plain

_SHOWN = 60  # characters of an answer that a sentence quotes
_SMALL = 1 << 16  # bytes of an answer that cannot cost much


def printed(answer: bytes, expected: str) -> str:
    """Return what is wrong with lines, compared stripped and then as exact numbers, or ""."""
    text, theirs = answer.decode(errors="replace").strip(), expected.strip().split("\n")
    n = text.count("\n") + 1
    if n != len(theirs):
        return f"wrong answer: {n} lines where {len(theirs)} are expected"
    pairs = zip(map(str.strip, text.split("\n")), map(str.strip, theirs), strict=True)
    for number, (line, other) in enumerate(pairs, start=1):
        if line != other and not _same_numbers(line, other):
            return f"wrong answer in line {number}: {quoted(line)}, expected {quoted(other)}"
    return ""


def returned(answer: bytes, expected: str) -> str:
    """Return what is wrong with the value that a function returned (compared by ``==``), or "".

    ``answer`` is the value as the driver wrote it (see `value`), empty if there is none;
    ``expected`` is JSON (else `ValueError`).
    """
    if not answer:
        return "wrong answer: the function did not return"
    expected_value = json.loads(expected)
    try:
        right = len(answer) <= _SMALL or as_many_parts(answer, expected_value)
        right = right and value(answer) == expected_value
    except (ValueError, RecursionError) as error:
        return f"wrong answer: it does not read ({type(error).__name__})"
    text = answer.decode(errors="replace")
    return "" if right else f"wrong answer: {quoted(text)}, expected {quoted(expected)}"


def value(answer: bytes) -> Any:
    """Return the value that the driver wrote; what JSON has no word for is equal to nothing."""

    def restored(tagged: dict[str, Any]) -> Any:
        if "int" in tagged:
            return int(tagged["int"], 16)
        if "dict" in tagged:
            return dict(tagged["dict"])
        return object()

    try:
        return json.loads(answer, object_hook=restored)
    except (TypeError, AttributeError) as error:  # written by the program, not by the driver
        raise ValueError(str(error)) from error


def quoted(text: str) -> str:
    """Return a text in quotes, its middle left out where it is long."""
    if len(text) > _SHOWN:
        text = f"{text[: _SHOWN // 2]} ... {text[-_SHOWN // 2 :]}"
    return repr(text)


def as_many_parts(answer: bytes, expected: Any) -> bool:
    """Whether an answer has the commas and brackets of the expected value, as it must to be equal.

    A number may be written as an object where the expected one is not.
    """
    theirs = json.dumps(plain(expected)).encode()
    commas, lists, objects = (theirs.count(sign) for sign in (b",", b"[", b"{"))
    if (answer.count(b","), answer.count(b"[")) != (commas, lists):
        return False
    return answer.count(b"{") <= objects + commas + lists + 1


def _same_numbers(line: str, other: str) -> bool:
    theirs = other.split()
    mine = line.split(maxsplit=len(theirs))
    if len(mine) != len(theirs):
        return False
    try:
        return all(Decimal(a) == Decimal(b) for a, b in zip(mine, theirs, strict=True))
    except InvalidOperation:  # no number, or a signalling NaN
        return False
