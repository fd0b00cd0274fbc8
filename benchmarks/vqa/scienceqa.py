"""ScienceQA, the questions with an image (lmms-lab-encoder/ScienceQA, ScienceQA-IMG, test)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from benchmarks.data.catalog.sources import Source, Table
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, LmmsBenchmark
from benchmarks.vqa.base.versions import declare, protocol
from harness.errors import ItemError
from harness.protocols import Declaration

_COLUMNS = ("image", "question", "choices", "answer", "hint")


@dataclass(frozen=True)
class ScienceQa(LmmsBenchmark):
    """ScienceQA with images; parts are the three subjects."""

    id = "scienceqa"
    source = Source(
        "lmms-lab-encoder/ScienceQA",
        # public evaluation code that pins lmms-lab/ScienceQA (renamed; same history assumed)
        "69dd4d6b67373d38f96a5badd5d24d0eb5bcdc50",
        (Table("ScienceQA-IMG", "test", 2017, _COLUMNS, ("image",)),),
    )

    @property
    def declaration(self) -> Declaration:
        """The declared protocol."""
        return declare(
            type(self),
            title="ScienceQA (image)",
            protocol=protocol(["scienceqa_img"], "test", "direct"),
            max_tokens=8192,
            native_max_tokens=16,
            n_items=2017,
            metric="accuracy",
            clusters="items with the same image",
        )

    @property
    def forms(self) -> tuple[Form, ...]:
        """The one task."""
        return (Form("scienceqa_img", "ScienceQA-IMG", "test"),)

    def native_value(self, metrics: Mapping[str, Any]) -> float:
        """The exact match."""
        return float(metrics["exact_match"])

    def target(self, doc: Doc) -> Target:
        """A letter; the data set gives the option's index."""
        choices, gold = tuple(doc["choices"]), int(doc["answer"])
        if gold not in range(len(choices)):
            raise ItemError(f"the data set's answer {gold} is none of its {len(choices)} options")
        return Target("choice", ascii_uppercase[gold], choices=choices)

    def parts(self, form: Form, doc: Doc) -> tuple[str, ...]:
        """The subject, where the data set tells it."""
        return (doc["subject"],) if doc.get("subject") else ()
