"""Compares a program's answer with the expected one by the official rules.

Source: LiveCodeBench, lcb_runner/evaluation/testing_util.py (``grade_stdio``,
``grade_call_based``).
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

_SHOWN = 60  # characters of an answer that a sentence quotes


def printed(answer: bytes, expected: str) -> str:
    """Return what is wrong with printed lines, or "".

    Lines are compared stripped, each by itself, then as exact numbers.
    """
    mine, theirs = _lines(answer.decode(errors="replace")), _lines(expected)
    if len(mine) != len(theirs):
        return f"wrong answer: {len(mine)} lines where {len(theirs)} are expected"
    for number, (line, other) in enumerate(zip(mine, theirs, strict=True), start=1):
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
        right = value(answer) == expected_value
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


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().split("\n")]


def _same_numbers(line: str, other: str) -> bool:
    try:
        return [Decimal(word) for word in line.split()] == [Decimal(w) for w in other.split()]
    except InvalidOperation:  # no number, or a signalling NaN
        return False
