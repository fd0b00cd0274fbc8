"""PhyX: university physics with a picture (Cloudriver/PhyX, testmini).

Multiple choice is the headline; the option ``form`` asks the open-ended questions instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.data.catalog.sources import Source, Table
from benchmarks.options import one_of, option
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, JudgedLmmsBenchmark
from benchmarks.vqa.base.gold import letter, parsed_choices
from benchmarks.vqa.judging import phyx as judging
from harness.protocols import Ask, Declaration
from harness.records import Score

# lmms-eval's task and the data set's split of each form, which have one name, and what it is.
_FORMS = {
    "multiple_choice": ("phyx_mini_mc", "multiple choice"),
    "open_ended": ("phyx_mini_oe", "open-ended"),
}

_COLUMNS = ("index", "question", "answer", "category", "image")


@dataclass(frozen=True)
class PhyX(JudgedLmmsBenchmark):
    """PhyX testmini in one of its forms; parts are the six physics domains."""

    form: str = option(
        "multiple_choice", one_of(*_FORMS), "multiple_choice, or open_ended: best with --judge"
    )

    id = "phyx"
    title = "PhyX"
    source = Source(
        "Cloudriver/PhyX",
        None,  # no published pin was found
        (
            Table("data_for_llms_eval", "phyx_mini_mc", 1000, _COLUMNS, ("image",)),
            Table("data_for_llms_eval", "phyx_mini_oe", 1000, _COLUMNS, ("image",), "optional"),
        ),
    )
    needs = ("image",)
    tasks = tuple(
        Form(split, "data_for_llms_eval", split, id_column="index") for split, _ in _FORMS.values()
    )
    prompt_variant = "the data set's question"
    max_tokens = 16384
    # The task sets none; this is what lmms-eval's vllm model then takes.
    native_max_tokens = 4096
    native_metric = ("eval_results", "true_false")
    part_column = "category"

    @property
    def declaration(self) -> Declaration:
        """The declared protocol, titled by the form."""
        return replace(super().declaration, title=f"PhyX ({_FORMS[self.form][1]})")

    @property
    def split(self) -> str:
        """The form's split."""
        return _FORMS[self.form][0]

    def target(self, doc: Doc) -> Target:
        """A letter among the four that the question lists, or the open answer with its unit."""
        gold = str(doc["answer"])
        if self.form == "open_ended":
            return Target("math", gold)
        choices = parsed_choices(doc["question"], gold)
        return Target("choice", letter(gold, choices), choices=choices)

    async def judge(self, doc: Doc, answer: str, ask: Ask) -> Score:
        """The judge compares answers; see `benchmarks.vqa.judging.phyx`."""
        return await judging.judged(str(doc["answer"]), self.form != "open_ended", answer, ask)
