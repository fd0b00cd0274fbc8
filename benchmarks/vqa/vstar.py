"""V*: small details in large images (lmms-lab-encoder/vstar-bench, test)."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.data.catalog.sources import Source, Table
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, LmmsBenchmark
from benchmarks.vqa.base.gold import letter, parsed_choices

_COLUMNS = ("image", "text", "category", "label", "question_id")


@dataclass(frozen=True)
class VStar(LmmsBenchmark):
    """V* bench; parts are its two categories, which lmms-eval's own subtasks cannot load."""

    id = "vstar"
    title = "V*"
    source = Source(
        "lmms-lab-encoder/vstar-bench",
        # public evaluation code that pins lmms-lab/vstar-bench (renamed; same history assumed)
        "b44023b4dca749ed8a76b85eb576627d05a1c174",
        (Table("", "test", 191, _COLUMNS, ("image",)),),
    )
    needs = ("image",)
    tasks = (Form("vstar_bench", "", "test"),)
    prompt_variant = "direct"
    max_tokens = 8192
    native_max_tokens = 16
    native_metric = ("vstar_overall_acc", "score")
    part_column = "category"

    def target(self, doc: Doc) -> Target:
        """A letter among those that the question lists."""
        gold = doc["label"].upper()
        choices = parsed_choices(doc["text"], gold)
        return Target("choice", letter(gold, choices), choices=choices)
