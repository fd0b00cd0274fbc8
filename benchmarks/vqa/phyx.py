"""PhyX: university physics with a picture, multiple choice (Cloudriver/PhyX, testmini)."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.judging import phyx as judging
from benchmarks.scoring import Target
from benchmarks.vqa.gold import letter, parsed_choices
from benchmarks.vqa.lmms import Doc, Form, JudgedLmmsBenchmark, declare, protocol
from harness.protocols import Ask, Declaration
from harness.records import Score


@dataclass(frozen=True)
class PhyX(JudgedLmmsBenchmark):
    """PhyX testmini, multiple choice; parts are the six physics domains."""

    id = "phyx"
    needs = ("image",)

    @property
    def declaration(self) -> Declaration:
        """The declared protocol."""
        return declare(
            type(self),
            title="PhyX (multiple choice)",
            protocol=protocol(["phyx_mini_mc"], "phyx_mini_mc", "the data set's question"),
            max_tokens=16384,
            # The task sets none; this is what lmms-eval's vllm model then takes.
            native_max_tokens=4096,
            n_items=1000,
            metric="accuracy",
            clusters="items with the same image",
            native_needs_judge=True,
        )

    @property
    def forms(self) -> tuple[Form, ...]:
        """The one task."""
        return (Form("phyx_mini_mc", "data_for_llms_eval", "phyx_mini_mc", id_column="index"),)

    def target(self, doc: Doc) -> Target:
        """A letter among the four that the question lists."""
        gold = str(doc["answer"])
        choices = parsed_choices(doc["question"], gold)
        return Target("choice", letter(gold, choices), choices=choices)

    async def judge(self, doc: Doc, answer: str, ask: Ask) -> Score:
        """The judge compares letters; see `benchmarks.judging.phyx`."""
        return await judging.judged(str(doc["answer"]), True, answer, ask)

    def parts(self, form: Form, doc: Doc) -> tuple[str, ...]:
        """The physics domain."""
        return (doc["category"],)
