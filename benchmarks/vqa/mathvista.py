"""MathVista: visual mathematics from 28 sources (AI4Math/MathVista, testmini).

The prompt is the official one: question, options as (A) text, and a hint on the form of the
answer at the end (lmms-eval's step-by-step variant).
"""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase

from benchmarks.data.catalog.sources import Source, Table
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, JudgedLmmsBenchmark
from benchmarks.vqa.base.gold import letter
from benchmarks.vqa.judging import mathvista as judging
from harness.protocols import Ask
from harness.records import Score

_COLUMNS = tuple(
    "pid question decoded_image choices unit precision answer question_type answer_type "
    "metadata query".split()
)


@dataclass(frozen=True)
class MathVista(JudgedLmmsBenchmark):
    """MathVista testmini; parts are the five official tasks."""

    id = "mathvista"
    title = "MathVista"
    source = Source(
        "AI4Math/MathVista",
        # allenai/OLMo-core, src/olmo_core/eval/vision_alignment_ssmax_downstream.py
        "2b6ad69445fbb5695c9b165475e8decdbeb97747",
        (Table("", "testmini", 1000, _COLUMNS, ("decoded_image",)),),
    )
    needs = ("decoded_image",)
    tasks = (Form("mathvista_testmini_cot", "", "testmini", id_column="pid"),)
    prompt_variant = "step-by-step"
    max_tokens = 16384
    native_max_tokens = 16384
    native_metric = ("llm_as_judge_eval", "true_false")

    def target(self, doc: Doc) -> Target:
        """A letter for multiple choice (the data set gives the option's text), else a number.

        An option that stands there twice is right under both letters.
        """
        gold, kind = doc["answer"], doc["answer_type"]
        if doc["question_type"] == "multi_choice":
            choices = tuple(doc["choices"])
            right = letter_of_text(gold, choices)
            return Target("choice", right[0], choices=choices, alternatives=right[1:])
        if kind == "list":
            return Target("math", gold, answer_type=kind)
        precision = 0 if kind == "integer" else int(doc["precision"] or 0)
        unit = doc.get("unit") or None
        return Target("number", gold, unit=unit, precision=precision, answer_type=kind)

    async def judge(self, doc: Doc, answer: str, ask: Ask) -> Score:
        """The judge extracts the answer; see `benchmarks.vqa.judging.mathvista`."""
        choices = doc["choices"] if doc["question_type"] == "multi_choice" else ()
        return await judging.judged(doc["question"], choices, self.target(doc), answer, ask)

    def parts(self, form: Form, doc: Doc) -> tuple[str, ...]:
        """The task: figure, geometry, word problem, textbook or visual question answering."""
        return (doc["metadata"]["task"],)


def letter_of_text(gold: str, choices: tuple[str, ...]) -> tuple[str, ...]:
    """Return every letter whose option has the gold's text; ItemError where none has."""
    same = [
        name
        for name, text in zip(ascii_uppercase, choices, strict=False)
        if text.strip() == gold.strip()
    ]
    return tuple(same) or (letter(gold, choices),)
