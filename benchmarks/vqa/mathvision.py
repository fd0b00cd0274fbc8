"""MathVision: competition mathematics with figures (MathLLMs/MathVision).

The split is ``test`` (3040 items), or ``testmini`` (304) where only that is there; lmms-eval's two
tasks ask the same, so that the split is a matter of the data and not of what is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from benchmarks import data
from benchmarks.data.catalog.sources import Source, Table
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, LmmsBenchmark
from benchmarks.vqa.base.gold import letter
from harness.errors import UsageError
from harness.protocols import Declaration

_COLUMNS = ("id", "question", "options", "answer", "level", "subject", "decoded_image")


@dataclass(frozen=True)
class MathVision(LmmsBenchmark):
    """MathVision on whichever of its two splits is there; parts are the official subjects."""

    id = "mathvision"
    title = "MathVision"
    source = Source(
        "MathLLMs/MathVision",
        # the Hub's own answer of 2026-06-10, as three public manifests quote it
        "2837ddb3f13abaf6b3997c12d80753e5470bd46a",
        (
            Table("", "test", 3040, _COLUMNS, ("decoded_image",)),
            Table("", "testmini", 304, _COLUMNS, ("decoded_image",), "stand-in"),
        ),
        # one public manifest
        {
            "data/test-00000-of-00001-3532b8d3f1b4047a.parquet": (
                "bcb3078a77bd6ee0e4e22135d53b9a48604fcd1b62dec69e279e812ba4dd7d37"
            )
        },
    )
    needs = ("decoded_image",)
    # lmms-eval asks the same of both splits.
    tasks = tuple(
        Form("mathvision_test", "", split, id_column="id") for split in ("test", "testmini")
    )
    prompt_variant = "solution"
    # The same for both splits: data may come after a run began.
    protocol_extra: ClassVar = {"split": "test"}
    max_tokens = 16384
    native_max_tokens = 16384
    clusters = "items with the same figure"
    native_metric = ("mathvision_standard_eval", "scores", 0)
    part_column = "subject"

    @property
    def declaration(self) -> Declaration:
        """The declared protocol; says so where testmini stands in."""
        full = self.split == "test"
        note = "" if full else "testmini (304 items) stands in for test (3040)"
        return replace(super().declaration, note=note)

    @cached_property
    def split(self) -> str:
        """The split that the local data holds; ``test`` where both or neither are there."""
        try:
            return data.tables(self.id, self.data_root, images=self.images)[0].table.split
        except UsageError:
            return "test"

    def target(self, doc: Doc) -> Target:
        """A letter where there are options, else a LaTeX expression.

        The official grader compares values after rounding to two decimals.
        """
        options = tuple(doc["options"])
        if options:
            right = letter(doc["answer"], options)
            return Target("choice", right, choices=options, official="mathvision")
        return Target("math", doc["answer"], precision=2, official="mathvision")
