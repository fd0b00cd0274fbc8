"""OlympiadBench, English physics with images (Hothan/OlympiadBench, OE_MM_physics_en_COMP).

Questions that continue others come with a ``context`` that they cannot be answered without.
lmms-eval leaves it out; here it stands before the question, as in the official evaluation
(github.com/OpenBMB/OlympiadBench, inference/code/evaluators/evaluator.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from benchmarks.data.catalog.sources import Source, Table
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, JudgedLmmsBenchmark, digest
from benchmarks.vqa.judging import olympiadbench_physics as judging
from harness.errors import ItemError
from harness.protocols import Ask
from harness.records import Score

_COLUMNS = tuple(
    "id question final_answer is_multiple_answer answer_type subfield unit error image_1".split()
)
_IMAGES = tuple(f"image_{number}" for number in range(1, 6))


@dataclass(frozen=True)
class OlympiadBenchPhysics(JudgedLmmsBenchmark):
    """OlympiadBench physics: free-form answers with official tolerances."""

    id = "olympiadbench_physics"
    title = "OlympiadBench (physics, English, images)"
    source = Source(
        "Hothan/OlympiadBench",
        None,  # no published pin was found
        (Table("OE_MM_physics_en_COMP", "train", 456, _COLUMNS, _IMAGES),),
    )
    tasks = (
        Form(
            "olympiadbench_OE_MM_physics_en_COMP", "OE_MM_physics_en_COMP", "train", id_column="id"
        ),
    )
    prompt_variant = "official instruction"
    protocol_extra: ClassVar = {"context": "before the question"}
    max_tokens = 16384
    native_max_tokens = 16384
    clusters = "items with the same context, else the same images"
    native_metric = ("llm_as_judge_eval",)

    def prompt(self, task: Any, doc: Doc) -> str:
        """lmms-eval's prompt, with the context before the question."""
        return super().prompt(task, _with_context(doc))

    def messages(self, task: Any, doc: Doc) -> Sequence[Mapping[str, Any]]:
        """lmms-eval's conversation, with the context before the question."""
        return super().messages(task, _with_context(doc))

    def cluster(self, doc: Doc, item_id: str) -> str:
        """The problem that the question belongs to: its context, else its images."""
        context = doc.get("context")
        return f"context-{digest([context])}" if context else super().cluster(doc, item_id)

    def target(self, doc: Doc) -> Target:
        """All right answers joined by commas, with unit and tolerance."""
        answers = doc["final_answer"]
        if not answers:
            raise ItemError("the data set has no final answer for this question")
        kind = doc["answer_type"]
        return Target(
            "math",
            ",".join(answers),
            unit=doc["unit"] or None,
            tolerance=min(_tolerances(doc), default=None),
            answer_type=kind,
        )

    async def judge(self, doc: Doc, answer: str, ask: Ask) -> Score:
        """The judge compares answers; see `benchmarks.vqa.judging.olympiadbench_physics`."""
        return await judging.judged(
            _with_context(doc)["question"],
            doc["final_answer"],
            doc["unit"] or None,
            _tolerances(doc),
            answer,
            ask,
        )


def _with_context(doc: Doc) -> Doc:
    if not doc.get("context"):
        return doc
    return {**doc, "question": f"{doc['context']}\n{doc['question']}"}


def _tolerances(doc: Doc) -> tuple[float, ...]:
    """Return the absolute tolerances of an ``error`` field such as "1e-1" or "1e-1,1".

    Several answers may each have their own; the strict scorer takes the smallest for all.  The
    official evaluation compares tuples without one.
    """
    error = doc["error"] or ""
    if "Tuple" in (doc["answer_type"] or ""):
        return ()
    try:
        return tuple(float(entry) for entry in error.split(",") if entry.strip())
    except ValueError as bad:
        raise ItemError(f"the data set's tolerance {error!r} is no number") from bad
