"""ScienceQA, the questions with an image (lmms-lab-encoder/ScienceQA, ScienceQA-IMG, test)."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase

from benchmarks.data.catalog.sources import Source, Table
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, LmmsBenchmark
from harness.errors import ItemError

_COLUMNS = ("image", "question", "choices", "answer", "hint")


@dataclass(frozen=True)
class ScienceQa(LmmsBenchmark):
    """ScienceQA with images; parts are the three subjects."""

    id = "scienceqa"
    title = "ScienceQA (image)"
    source = Source(
        "lmms-lab-encoder/ScienceQA",
        # public evaluation code that pins lmms-lab/ScienceQA (renamed; same history assumed)
        "69dd4d6b67373d38f96a5badd5d24d0eb5bcdc50",
        (Table("ScienceQA-IMG", "test", 2017, _COLUMNS, ("image",)),),
    )
    tasks = (Form("scienceqa_img", "ScienceQA-IMG", "test"),)
    prompt_variant = "direct"
    max_tokens = 8192
    native_max_tokens = 16
    native_metric = ("exact_match",)
    part_column = "subject"

    def target(self, doc: Doc) -> Target:
        """A letter; the data set gives the option's index."""
        choices, gold = tuple(doc["choices"]), int(doc["answer"])
        if gold not in range(len(choices)):
            raise ItemError(f"the data set's answer {gold} is none of its {len(choices)} options")
        return Target("choice", ascii_uppercase[gold], choices=choices)
