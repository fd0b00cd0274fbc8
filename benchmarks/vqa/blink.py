"""BLINK: fourteen perception tasks on one to four images (BLINK-Benchmark/BLINK, val)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import data
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, LmmsBenchmark
from benchmarks.vqa.base.gold import letter
from benchmarks.vqa.base.versions import declare, protocol
from harness.protocols import Declaration

SUBTASKS = data.SOURCES["blink"].configs


def task_name(subtask: str) -> str:
    """Return lmms-eval's task for a subtask: ``Multi-view_Reasoning`` has its own."""
    return "blink_" + subtask.lower().replace("-", "_")


@dataclass(frozen=True)
class Blink(LmmsBenchmark):
    """BLINK; parts are the subtasks, which take turns."""

    id = "blink"
    needs = ("image_1",)

    @property
    def declaration(self) -> Declaration:
        """The declared protocol."""
        return declare(
            type(self),
            title="BLINK",
            protocol=protocol([task_name(name) for name in SUBTASKS], "val", "direct"),
            max_tokens=8192,
            native_max_tokens=1024,
            n_items=1901,
            metric="accuracy",
            clusters="items with the same images",
        )

    @property
    def forms(self) -> tuple[Form, ...]:
        """The fourteen tasks."""
        return tuple(
            Form(task_name(name), name, "val", id_column="idx", part=name) for name in SUBTASKS
        )

    def messages(self, task: Any, doc: Doc) -> Sequence[Mapping[str, Any]]:
        """Ask lmms-eval's way with the images in the order of their numbers.

        lmms-eval takes them in the order of the columns.
        """
        images = sorted(name for name in doc if name.startswith("image_"))
        others = {name: value for name, value in doc.items() if name not in images}
        return super().messages(task, {**others, **{name: doc[name] for name in images}})

    def target(self, doc: Doc) -> Target:
        """A letter; the data set writes it as ``(B)``."""
        choices = tuple(doc["choices"])
        right = letter(doc["answer"], choices)
        return Target("choice", right, choices=choices, official="blink")
