"""A complete VQA benchmark from an lmms-eval task: RealWorldQA.

Prompts, images and native scoring are lmms-eval's; the class says where the data is, which task
reads it, and what the right answer is.  CONTRIBUTING.md explains it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.data.catalog.sources import Source, Table
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, LmmsBenchmark
from benchmarks.vqa.base.gold import letter, parsed_choices
from benchmarks.vqa.base.versions import declare, protocol
from harness.protocols import Declaration


@dataclass(frozen=True)
class RealWorldQa(LmmsBenchmark):
    """Questions on photographs, most of them multiple-choice."""

    id = "realworldqa"
    # Without a commit, `harness data pull` takes the head of main and records its commit.
    source = Source(
        "lmms-lab-encoder/RealWorldQA",
        None,
        (Table("", "test", 765, ("image", "question", "answer"), ("image",)),),
    )
    needs = ("image",)  # a row without its image is an error, not a text-only question

    @property
    def declaration(self) -> Declaration:
        """What is asked and how it is scored; reading it touches no data."""
        return declare(
            type(self),
            title="RealWorldQA",
            protocol=protocol(["realworldqa"], "test", "default"),  # part of the run key
            max_tokens=8192,  # leaves room to reason
            native_max_tokens=16,  # the task's own limit
            n_items=765,
            metric="accuracy",
            clusters="items with the same image",
        )

    @property
    def forms(self) -> tuple[Form, ...]:
        """The lmms-eval task with its config and split."""
        return (Form("realworldqa", "", "test"),)

    def target(self, doc: Doc) -> Target:
        """A letter among the options that the question lists, or a word or number."""
        gold = doc["answer"].strip()
        if gold not in ("A", "B", "C", "D"):
            return Target("text", gold)
        choices = parsed_choices(doc["question"], gold)
        return Target("choice", letter(gold, choices), choices=choices)

    def native_value(self, metrics: Mapping[str, Any]) -> float:
        """What the task's ``process_results`` says of one response, in [0, 1]."""
        return float(metrics["exact_match"])
