"""BLINK: fourteen perception tasks on one to four images (BLINK-Benchmark/BLINK, val)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.data.catalog.sources import Source, Table
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, LmmsBenchmark
from benchmarks.vqa.base.gold import letter

_COLUMNS = ("idx", "sub_task", "question", "prompt", "choices", "answer", "image_1")
_IMAGES = tuple(f"image_{number}" for number in range(1, 5))
# Rows of the validation split of each subtask; they add up to 1901.
COUNTS = {
    "Art_Style": 117, "Counting": 120, "Forensic_Detection": 132, "Functional_Correspondence": 130,
    "IQ_Test": 150, "Jigsaw": 150, "Multi-view_Reasoning": 133, "Object_Localization": 122,
    "Relative_Depth": 124, "Relative_Reflectance": 134, "Semantic_Correspondence": 139,
    "Spatial_Relation": 143, "Visual_Correspondence": 172, "Visual_Similarity": 135,
}  # fmt: skip
SUBTASKS = tuple(COUNTS)


def task_name(subtask: str) -> str:
    """Return lmms-eval's task for a subtask: ``Multi-view_Reasoning`` has its own."""
    return "blink_" + subtask.lower().replace("-", "_")


@dataclass(frozen=True)
class Blink(LmmsBenchmark):
    """BLINK; parts are the subtasks, which take turns."""

    id = "blink"
    title = "BLINK"
    source = Source(
        "BLINK-Benchmark/BLINK",
        # allenai/OLMo-core, src/olmo_core/eval/vision_alignment_ssmax_downstream.py
        "a3666eb249237ba3d5eca8db21176cc47967e040",
        tuple(Table(config, "val", count, _COLUMNS, _IMAGES) for config, count in COUNTS.items()),
    )
    needs = ("image_1",)
    tasks = tuple(
        Form(task_name(name), name, "val", id_column="idx", part=name) for name in SUBTASKS
    )
    prompt_variant = "direct"
    max_tokens = 8192
    native_max_tokens = 1024
    clusters = "items with the same images"
    native_metric = ("blink_acc", "is_correct")

    def messages(self, task: Any, doc: Doc) -> Sequence[Mapping[str, Any]]:
        """Ask lmms-eval's way, with the images in the order of their numbers."""
        images = sorted(name for name in doc if name.startswith("image_"))
        others = {name: value for name, value in doc.items() if name not in images}
        return super().messages(task, {**others, **{name: doc[name] for name in images}})

    def target(self, doc: Doc) -> Target:
        """A letter; the data set writes it as ``(B)``."""
        choices = tuple(doc["choices"])
        right = letter(doc["answer"], choices)
        return Target("choice", right, choices=choices, official="blink")
