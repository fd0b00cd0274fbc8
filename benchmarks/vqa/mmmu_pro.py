"""MMMU-Pro: harder MMMU, once with ten options and once all in a picture (MMMU/MMMU_Pro, test).

Both forms of a question share a cluster.  The headline is the mean of the two forms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.data.catalog.sources import Source, Table
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, LmmsBenchmark
from benchmarks.vqa.base.gold import letter, literal
from benchmarks.vqa.mmmu import image_columns

_COLUMNS = ("id", "question", "options", "answer", "subject", "image_1")
_IMAGES = tuple(f"image_{number}" for number in range(1, 8))
_VISION_COLUMNS = ("id", "image", "options", "answer", "subject")


@dataclass(frozen=True)
class MmmuPro(LmmsBenchmark):
    """MMMU-Pro, standard (10 options) and vision, which are its parts."""

    id = "mmmu_pro"
    title = "MMMU-Pro"
    source = Source(
        "MMMU/MMMU_Pro",
        # jmagly/matric-eval, src/matric_eval/tasks/mmmu_pro.py
        "563f3e84bb3b90893083a1f039cfa13077f2302b",
        (
            Table("standard (10 options)", "test", 1730, _COLUMNS, _IMAGES),
            Table("vision", "test", 1730, _VISION_COLUMNS, ("image",)),
        ),
    )
    tasks = (
        Form("mmmu_pro_standard", "standard (10 options)", "test", "id", "standard:", "standard"),
        Form("mmmu_pro_vision", "vision", "test", "id", "vision:", "vision"),
    )
    prompt_variant = "direct"
    max_tokens = 16384
    native_max_tokens = 256
    metric = "accuracy, mean of standard and vision"
    clusters = "forms of the same question"
    headline = ("standard", "vision")

    def needed(self, doc: Doc) -> Sequence[str]:
        """The images that question and options mention; in the vision form the one picture."""
        if "question" not in doc:
            return ("image",)
        return image_columns(doc["question"], doc["options"])

    def native_value(self, metrics: Mapping[str, Any]) -> float:
        """Whether the letter that is read is the right one."""
        return float(metrics["mmmu_acc"]["parsed_pred"] == metrics["mmmu_acc"]["answer"])

    def target(self, doc: Doc) -> Target:
        """A letter among up to ten."""
        choices = literal(doc["options"])
        right = letter(doc["answer"], choices)
        return Target("choice", right, choices=choices, official="mmmu_pro")

    def cluster(self, doc: Doc, item_id: str) -> str:
        """The question."""
        return str(doc["id"])
