"""Responses that exist already, from a file: ``harness score`` stores and scores them."""

from __future__ import annotations

from pathlib import Path

from harness.errors import UsageError
from harness.files.typed_json import parse


def read_responses(path: Path) -> dict[str, str]:
    """Return response texts by item id from JSON lines ``{"id": ..., "response": ...}``.

    Raises:
        UsageError: the file is missing, empty, or a line is not such an object or repeats an id.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not at U+2028 within a text
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    responses: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            item_id, text = _row(line)
        except ValueError as error:
            raise UsageError(
                f'{path} line {number} is not {{"id": ..., "response": ...}}: {error}'
            ) from error
        if not isinstance(text, str):
            raise UsageError(f"{path} line {number}: the response is not text")
        if item_id in responses:
            raise UsageError(f"{path} line {number}: duplicate response for item {item_id}")
        responses[item_id] = text
    if not responses:
        raise UsageError(f"{path} holds no responses")
    return responses


def _row(line: str) -> tuple[str, object]:
    """Return the id and the response of a line.

    Raises:
        ValueError: says why there are none.
    """
    try:
        row = parse(line)
    except ValueError as error:
        raise ValueError(f"not JSON ({error})") from error
    if not isinstance(row, dict):
        raise ValueError("not an object")
    if missing := [name for name in ("id", "response") if name not in row]:
        raise ValueError(f"it has no {missing[0]!r}")
    return str(row["id"]), row["response"]
