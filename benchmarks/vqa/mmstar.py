"""MMStar: questions that cannot be answered without the image (Lin-Chen/MMStar, val)."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, LmmsBenchmark
from benchmarks.vqa.base.gold import letter, parsed_choices
from benchmarks.vqa.base.versions import declare, protocol
from harness.protocols import Declaration


@dataclass(frozen=True)
class MmStar(LmmsBenchmark):
    """MMStar; parts are the six core capabilities."""

    id = "mmstar"
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

    def target(self, doc: Doc) -> Target:
        """A letter among the four that the question lists."""
        gold = doc["answer"]
        choices = parsed_choices(doc["question"], gold)
        return Target("choice", letter(gold, choices), choices=choices)

    def parts(self, form: Form, doc: Doc) -> tuple[str, ...]:
        """The core capability."""
        return (doc["category"],)
