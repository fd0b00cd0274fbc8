"""MathVision: competition mathematics with figures (MathLLMs/MathVision).

The split is ``test`` (3040 items), or ``testmini`` (304) where only that is there; lmms-eval's two
tasks ask the same, so that the split is a matter of the data and not of what is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchmarks import data
from benchmarks.data.catalog.sources import Source, Table
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, LmmsBenchmark
from benchmarks.vqa.base.gold import letter
from benchmarks.vqa.base.versions import declare, protocol
from harness.errors import UsageError
from harness.protocols import Declaration

_COLUMNS = ("id", "question", "options", "answer", "level", "subject", "decoded_image")


@dataclass(frozen=True)
class MathVision(LmmsBenchmark):
    """MathVision on whichever of its two splits is there; parts are the official subjects."""

    id = "mathvision"
    source = Source(
        "MathLLMs/MathVision",
        # the hub's own answer of 2026-06-10, as three public manifests quote it
        "2837ddb3f13abaf6b3997c12d80753e5470bd46a",
        (
            Table("", "test", 3040, _COLUMNS, ("decoded_image",)),
            Table("", "testmini", 304, _COLUMNS, ("decoded_image",), "stand-in"),
        ),
    )
    needs = ("decoded_image",)

    @cached_property
    def split(self) -> str:
        """The split that the local data holds; ``test`` where both or neither are there."""
        try:
            return data.tables(self.id, self.data_root, images=self.images)[0].table.split
        except UsageError:
            return "test"

    @cached_property
    def declaration(self) -> Declaration:
        """The declared protocol, the same for both splits: data may come after a run began."""
        full = self.split == "test"
        return declare(
            type(self),
            title="MathVision",
            protocol=protocol(["mathvision_test"], "test", "solution"),
            max_tokens=16384,
            native_max_tokens=16384,
            n_items=3040 if full else 304,
            metric="accuracy",
            clusters="items with the same figure",
            note="" if full else "testmini (304 items) stands in for test (3040)",
        )

    @property
    def forms(self) -> tuple[Form, ...]:
        """The task, on the split that is there."""
        return (Form("mathvision_test", "", self.split, id_column="id"),)

    def native_value(self, metrics: Mapping[str, Any]) -> float:
        """The verdict of the standard rules."""
        return float(metrics["mathvision_standard_eval"]["scores"][0])

    def target(self, doc: Doc) -> Target:
        """A letter where there are options, else a LaTeX expression.

        The official grader compares values after rounding to two decimals.
        """
        options = tuple(doc["options"])
        if options:
            right = letter(doc["answer"], options)
            return Target("choice", right, choices=options, official="mathvision")
        return Target("math", doc["answer"], precision=2, official="mathvision")

    def parts(self, form: Form, doc: Doc) -> tuple[str, ...]:
        """The subject, as on the official leaderboard."""
        return (doc["subject"],)
