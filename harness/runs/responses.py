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
        if line.strip():
            _add(responses, line, f"{path}, line {number}")
    if not responses:
        raise UsageError(f"{path} holds no responses")
    return responses


def _add(responses: dict[str, str], line: str, where: str) -> None:
    form = f'{where} is not {{"id": ..., "response": ...}}'
    try:
        row = parse(line)
    except ValueError as error:
        raise UsageError(f"{form}: not JSON ({error})") from error
    if not isinstance(row, dict):
        raise UsageError(f"{form}: not an object")
    for name in ("id", "response"):
        if name not in row:
            raise UsageError(f"{form}: it has no {name!r}")
    item_id, text = str(row["id"]), row["response"]
    if not isinstance(text, str):
        raise UsageError(f"{where}: the response is not text")
    if item_id in responses:
        raise UsageError(f"{where}: duplicate response for item {item_id}")
    responses[item_id] = text
