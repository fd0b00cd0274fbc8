"""Software tasks as rows: SWE-Gym's, or SkyRL's, which hold them under ``instance``.

They need an agent, so they are exported (`ablations.export.skyrl`) and not trained on here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import orjson

from benchmarks.pairs.rows import LazyRows, Preview, Row
from benchmarks.scoring import Target
from harness.errors import UsageError
from harness.records import Item, Message, TextPart

_NEEDED = ("instance_id", "problem_statement")


def holds_software(columns: Collection[str]) -> bool:
    """Whether a data set's rows are software tasks, by its columns."""
    return "instance" in columns or set(_NEEDED) <= set(columns)


def is_software(items: Sequence[Item]) -> bool:
    """Whether RL items are software tasks."""
    return isinstance(items, LazyRows) and items.make is software_item


def software_item(row: Row, folder: Path, where: str) -> Item:
    """Return a software task as an item with its prompt only."""
    task = software_task(row, where)
    prompt = Message("user", (TextPart(task["problem_statement"]),))
    return Item(task["instance_id"], (prompt,), Target("text", ""), task["instance_id"])


def preview_software(row: Row, folder: Path, where: str) -> Preview:
    """Check that a row is a software task."""
    return Preview(software_task(row, where)["instance_id"], "trajectory", images=False)


def software_task(row: Row, where: str) -> dict[str, Any]:
    """Return a task as in its data set; under ``instance`` it may be JSON.

    Raises:
        UsageError: it lacks a field.
    """
    value = row.get("instance", row)
    task: dict[str, Any] = orjson.loads(value) if isinstance(value, str) else dict(value)
    missing = [name for name in _NEEDED if not isinstance(task.get(name), str)]
    if missing:
        raise UsageError(f"{where}: the task has no {', '.join(missing)}")
    return task
