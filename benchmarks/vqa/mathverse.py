"""MathVerse: one problem in several versions, from text-heavy to vision-only (testmini).

The prompt is the data set's own ``query_wo``.  Versions of one problem share a cluster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchmarks.data.catalog.sources import Source, Table
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, JudgedLmmsBenchmark
from benchmarks.vqa.base.gold import letter, options_in, parsed_choices
from benchmarks.vqa.judging import mathverse as judging
from harness.protocols import Ask
from harness.records import Score

_SEVERAL_LETTERS = re.compile(r"[A-J](?:\s+[A-J])+")

_COLUMNS = tuple(
    "sample_index problem_index problem_version question image answer question_type "
    "metadata query_wo query_cot question_for_eval".split()
)


@dataclass(frozen=True)
class MathVerse(JudgedLmmsBenchmark):
    """MathVerse testmini; parts are the problem versions."""

    id = "mathverse"
    title = "MathVerse"
    source = Source(
        "CaraJ/MathVerse-lmmseval",
        # the Hub's own pages: the head of main, 19 commits
        "8479d5e87785a3274da612e169d942c3d972b7fe",
        (Table("testmini", "testmini", 3940, _COLUMNS, ("image",)),),
    )
    needs = ("image",)
    tasks = (Form("mathverse_testmini", "testmini", "testmini", id_column="sample_index"),)
    prompt_variant = "format-prompt, query_wo"
    max_tokens = 16384
    native_max_tokens = 16384
    clusters = "versions of the same problem"
    native_metric = ("gpt_eval_score",)
    part_column = "problem_version"

    def target(self, doc: Doc) -> Target:
        """A letter for multiple choice, else a LaTeX expression.

        A few golds of multiple choice are an option's text, and a few are several letters, which
        must all be named.
        """
        gold = doc["answer"].strip()
        if doc["question_type"] != "multi-choice":
            return Target("math", gold)
        # In the vision-only version the options are in the image; this field keeps the text.
        listed = doc["question_for_eval"]
        choices = parsed_choices(listed if options_in(listed) else doc["question"], gold)
        if _SEVERAL_LETTERS.fullmatch(gold):
            return Target("choice", ", ".join(gold.split()), choices=choices)
        return Target("choice", letter(gold, choices), choices=choices)

    async def judge(self, doc: Doc, answer: str, ask: Ask) -> Score:
        """The judge extracts the answer, then compares it; see `judging.mathverse`."""
        return await judging.judged(doc["question_for_eval"], doc["answer"], answer, ask)

    def cluster(self, doc: Doc, item_id: str) -> str:
        """The problem."""
        return f"problem-{doc['problem_index']}"
