"""Software tasks as rows: SWE-Gym's, or SkyRL's, which hold them under ``instance``.

The loaders come in with a data set; a sequence of `Task`s leaves.  No single turn answers them: an
agent has to play, so they are exported (`ablations/export/skyrl.py`) and not trained on here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, overload

import orjson

from benchmarks.pairs.rl_item import Task
from benchmarks.scoring import Target
from harness.errors import UsageError
from harness.records import Message, TextPart

_NEEDED = ("instance_id", "problem_statement")


def holds_instances(columns: Collection[str]) -> bool:
    """Whether a data set's rows are software tasks, by its columns."""
    return "instance" in columns or set(_NEEDED) <= set(columns)


@dataclass(frozen=True)
class Instances(Sequence[Task]):
    """The software tasks of a data set, as what is asked; `row` has all of one.

    Raises:
        UsageError: on access: a row is no software task.
    """

    name: str
    rows: Any

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Task: ...

    @overload
    def __getitem__(self, index: slice) -> Instances: ...

    def __getitem__(self, index: int | slice) -> Task | Instances:
        if isinstance(index, slice):
            places = range(*index.indices(len(self)))
            return Instances(self.name, self.rows.select(places))
        row = self.row(index)
        asked = Message("user", (TextPart(row["problem_statement"]),))
        return Task(row["instance_id"], "trajectory", (asked,), Target("text", ""))

    def row(self, index: int) -> dict[str, Any]:
        """Return one task as its data set holds it; under ``instance`` it may be JSON."""
        row = self.rows[index]
        found = row.get("instance", row)
        task: dict[str, Any] = orjson.loads(found) if isinstance(found, str) else dict(found)
        missing = [name for name in _NEEDED if not isinstance(task.get(name), str)]
        if missing:
            raise UsageError(f"{self.name}, row {index}: the task has no {', '.join(missing)}")
        return task

    def origin(self, index: int) -> str:
        """Return the data set that a task is of: its ``data_source``, else the data set's name."""
        return str(self.rows[index].get("data_source") or self.name)
