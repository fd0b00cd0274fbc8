"""V*: small details in large images (lmms-lab-encoder/vstar-bench, test)."""

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

_COLUMNS = ("image", "text", "category", "label", "question_id")


@dataclass(frozen=True)
class VStar(LmmsBenchmark):
    """V* bench; parts are its two categories, which lmms-eval's own subtasks cannot load."""

    id = "vstar"
    source = Source(
        "lmms-lab-encoder/vstar-bench",
        # public evaluation code that pins lmms-lab/vstar-bench (renamed; same history assumed)
        "b44023b4dca749ed8a76b85eb576627d05a1c174",
        (Table("", "test", 191, _COLUMNS, ("image",)),),
    )
    needs = ("image",)

    @property
    def declaration(self) -> Declaration:
        """The declared protocol."""
        return declare(
            type(self),
            title="V*",
            protocol=protocol(["vstar_bench"], "test", "direct"),
            max_tokens=8192,
            native_max_tokens=16,
            n_items=191,
            metric="accuracy",
            clusters="items with the same image",
        )

    @property
    def forms(self) -> tuple[Form, ...]:
        """The one task."""
        return (Form("vstar_bench", "", "test"),)

    def native_value(self, metrics: Mapping[str, Any]) -> float:
        """The accuracy."""
        return float(metrics["vstar_overall_acc"]["score"])

    def target(self, doc: Doc) -> Target:
        """A letter among those that the question lists."""
        gold = doc["label"].upper()
        choices = parsed_choices(doc["text"], gold)
        return Target("choice", letter(gold, choices), choices=choices)

    def parts(self, form: Form, doc: Doc) -> tuple[str, ...]:
        """The category: direct attributes or relative position."""
        return (doc["category"],)
