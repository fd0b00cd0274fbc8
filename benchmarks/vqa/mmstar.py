"""MMStar: questions that cannot be answered without the image (Lin-Chen/MMStar, val)."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.data.catalog.sources import Source, Table
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, LmmsBenchmark
from benchmarks.vqa.base.gold import letter, parsed_choices

_COLUMNS = ("index", "question", "image", "answer", "category", "l2_category")


@dataclass(frozen=True)
class MmStar(LmmsBenchmark):
    """MMStar; parts are the six core capabilities."""

    id = "mmstar"
    title = "MMStar"
    source = Source(
        "Lin-Chen/MMStar",
        # public evaluation code; also the hub viewer's own addresses
        "bc98d668301da7b14f648724866e57302778ab27",
        (Table("", "val", 1500, _COLUMNS, ("image",)),),
    )
    needs = ("image",)
    tasks = (Form("mmstar", "", "val", id_column="index"),)
    prompt_variant = "direct"
    max_tokens = 8192
    # The task sets none; this is what lmms-eval's vllm model then takes.
    native_max_tokens = 4096
    native_metric = ("average", "score")
    part_column = "category"

    def target(self, doc: Doc) -> Target:
        """A letter among the four that the question lists."""
        gold = doc["answer"]
        choices = parsed_choices(doc["question"], gold)
        return Target("choice", letter(gold, choices), choices=choices)
