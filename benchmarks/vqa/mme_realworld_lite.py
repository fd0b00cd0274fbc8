"""MME-RealWorld-Lite: high-resolution real scenes (MME-RealWorld-lite-lmms-eval, train)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.data.catalog.sources import Source, Table
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, LmmsBenchmark
from benchmarks.vqa.base.gold import letter, unlabelled, wide_enough

_COLUMNS = tuple("index|question|multi-choice options|answer|category|l2-category|bytes".split("|"))


@dataclass(frozen=True)
class MmeRealWorldLite(LmmsBenchmark):
    """MME-RealWorld-Lite; parts are perception and reasoning, whole and by domain."""

    id = "mme_realworld_lite"
    title = "MME-RealWorld-Lite"
    source = Source(
        "yifanzhang114/MME-RealWorld-lite-lmms-eval",
        # public evaluation code that checks its 1919 rows
        "f6b0dc81ba4d3c39bd9b4e544578198d365ac084",
        (Table("", "train", 1919, _COLUMNS, ("bytes",)),),
    )
    needs = ("bytes",)
    tasks = (Form("mmerealworld_lite", "", "train", id_column="index"),)
    prompt_variant = "direct"
    max_tokens = 8192
    native_max_tokens = 16

    def native_value(self, metrics: Mapping[str, Any]) -> float:
        """The count rule of ``mme_realworld_aggregate_results``."""
        sample = metrics["mme_realworld_score"]
        return float(sample["answer"].lower() in sample["pred_answer"].lower())

    def target(self, doc: Doc) -> Target:
        """A letter among five; the last option says that none fits."""
        gold = doc["answer"]
        choices = wide_enough(unlabelled(doc["multi-choice options"]), gold, width=5)
        return Target("choice", letter(gold, choices), choices=choices)

    def parts(self, form: Form, doc: Doc) -> tuple[str, ...]:
        """Perception or reasoning (read as lmms-eval does), alone and with the domain."""
        kind = "Perception" if "perception" in doc["category"].lower() else "Reasoning"
        domain = doc["category"].rpartition("/")[2]
        return (kind, f"{kind}/{domain}")
