"""MMMU: college questions from thirty subjects (lmms-lab-encoder/MMMU, validation).

Images stand in the text where the question mentions them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from benchmarks.data.catalog.sources import Source, Table
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, LmmsBenchmark
from benchmarks.vqa.base.gold import letter, literal

_IMAGE = re.compile(r"<image (\d+)>")

# The official disciplines and their subjects.
DISCIPLINES: Mapping[str, tuple[str, ...]] = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        "Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine",
        "Pharmacy", "Public_Health",
    ),
    "Humanities and Social Science": ("History", "Literature", "Sociology", "Psychology"),
    "Tech and Engineering": (
        "Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics",
        "Energy_and_Power", "Materials", "Mechanical_Engineering",
    ),
}  # fmt: skip
_DISCIPLINE = {subject: name for name, subjects in DISCIPLINES.items() for subject in subjects}


def image_columns(*texts: str) -> tuple[str, ...]:
    """Return the columns of the images that texts mention as ``<image 1>``, each once."""
    numbers = (number for text in texts for number in _IMAGE.findall(text))
    return tuple(dict.fromkeys(f"image_{number}" for number in numbers))


_COLUMNS = ("id", "question", "options", "answer", "question_type", "image_1")
_IMAGES = tuple(f"image_{number}" for number in range(1, 8))


@dataclass(frozen=True)
class Mmmu(LmmsBenchmark):
    """MMMU validation; parts are the six disciplines."""

    id = "mmmu"
    title = "MMMU"
    source = Source(
        "lmms-lab-encoder/MMMU",
        # the Hub's own page of lmms-lab/MMMU, of which this is the new name
        "364f2e2eb107b36e07ff4c5a15f5947a759cef47",
        (Table("", "validation", 900, _COLUMNS, _IMAGES),),
    )
    tasks = (Form("mmmu_val", "", "validation", id_column="id"),)
    prompt_variant = "format"
    protocol_extra: ClassVar = {"images": "by their numbers"}
    max_tokens = 16384
    native_max_tokens = 128
    clusters = "items with the same images"

    def needed(self, doc: Doc) -> Sequence[str]:
        """The images that question and options mention."""
        return image_columns(doc["question"], doc["options"])

    def messages(self, task: Any, doc: Doc) -> Sequence[Mapping[str, Any]]:
        """Put each image where the text first mentions it.

        The same as lmms-eval's own interleaving for questions that mention image 1, image 2, ...
        once each in this order; where they mention one again or out of order, that one drops text
        or swaps images.
        """
        content: list[dict[str, Any]] = []
        text, before, shown = task.doc_to_text(doc), 0, set()
        for mention in _IMAGE.finditer(text):
            column = f"image_{mention.group(1)}"
            if column in shown:
                continue
            shown.add(column)
            content += _text(text[before : mention.start()])
            content.append({"type": "image", "url": doc[column].convert("RGB")})
            before = mention.end()
        return [{"role": "user", "content": content + _text(text[before:])}]

    def native_value(self, metrics: Mapping[str, Any]) -> float:
        """By lmms-eval's rules for choices and for open questions."""
        from lmms_eval.tasks.mmmu.utils import evaluate_mmmu

        return float(evaluate_mmmu([metrics["mmmu_acc"]])[1]["acc"])

    def target(self, doc: Doc) -> Target:
        """A letter for multiple choice; else a text or number, with all right answers.

        The official grader compares numbers after rounding to two decimals.
        """
        if doc["question_type"] == "multiple-choice":
            choices = literal(doc["options"])
            right = letter(doc["answer"], choices)
            return Target("choice", right, choices=choices, official="mmmu")
        gold, *others = literal(doc["answer"])
        return Target("text", gold, alternatives=tuple(others), precision=2, answer_type="open")

    def parts(self, form: Form, doc: Doc) -> tuple[str, ...]:
        """The discipline of the subject that the id names (``validation_Art_Theory_1``)."""
        subject = doc["id"].partition("_")[2].rpartition("_")[0]
        return (_DISCIPLINE[subject],) if subject in _DISCIPLINE else ()


def _text(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text.strip()}] if text.strip() else []
