"""MMStar: questions that cannot be answered without the image (Lin-Chen/MMStar, val)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.data.catalog.sources import Source, Table
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, LmmsBenchmark
from benchmarks.vqa.base.gold import letter, parsed_choices
from benchmarks.vqa.base.versions import declare, protocol
from harness.protocols import Declaration

_COLUMNS = ("index", "question", "image", "answer", "category", "l2_category")


@dataclass(frozen=True)
class MmStar(LmmsBenchmark):
    """MMStar; parts are the six core capabilities."""

    id = "mmstar"
    source = Source(
        "Lin-Chen/MMStar",
        # public evaluation code; also the hub viewer's own addresses
        "bc98d668301da7b14f648724866e57302778ab27",
        (Table("", "val", 1500, _COLUMNS, ("image",)),),
    )
    needs = ("image",)

    @property
    def declaration(self) -> Declaration:
        """The declared protocol."""
        return declare(
            type(self),
            title="MMStar",
            protocol=protocol(["mmstar"], "val", "direct"),
            max_tokens=8192,
            # The task sets none; this is what lmms-eval's vllm model then takes.
            native_max_tokens=4096,
            n_items=1500,
            metric="accuracy",
            clusters="items with the same image",
        )

    @property
    def forms(self) -> tuple[Form, ...]:
        """The one task."""
        return (Form("mmstar", "", "val", id_column="index"),)

    def native_value(self, metrics: Mapping[str, Any]) -> float:
        """The accuracy."""
        return float(metrics["average"]["score"])

    def target(self, doc: Doc) -> Target:
        """A letter among the four that the question lists."""
        gold = doc["answer"]
        choices = parsed_choices(doc["question"], gold)
        return Target("choice", letter(gold, choices), choices=choices)

    def parts(self, form: Form, doc: Doc) -> tuple[str, ...]:
        """The core capability."""
        return (doc["category"],)
