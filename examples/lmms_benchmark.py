"""A complete VQA benchmark from an lmms-eval task: RealWorldQA.

Prompts, images and native scoring are lmms-eval's; the class says where the data is, which task
reads it, and what the right answer is.  CONTRIBUTING.md explains it.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.data.catalog.sources import Source, Table
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, LmmsBenchmark
from benchmarks.vqa.base.gold import letter, parsed_choices


@dataclass(frozen=True)
class RealWorldQa(LmmsBenchmark):
    """Questions on photographs, most of them multiple-choice."""

    id = "realworldqa"
    title = "RealWorldQA"
    # Without a commit, `harness data pull` takes the head of main and records its commit.
    source = Source(
        "lmms-lab-encoder/RealWorldQA",
        None,
        (Table("", "test", 765, ("image", "question", "answer"), ("image",)),),
    )
    needs = ("image",)  # a row without its image is an error, not a text-only question

    tasks = (Form("realworldqa", "", "test"),)  # the lmms-eval task, with its config and split
    prompt_variant = "default"  # part of the run key, as the tasks are
    max_tokens = 8192  # leaves room to reason
    native_max_tokens = 16  # the task's own limit
    native_metric = ("exact_match",)  # where the task's ``process_results`` has its value

    def target(self, doc: Doc) -> Target:
        """A letter among the options that the question lists, or a word or number."""
        gold = doc["answer"].strip()
        if gold not in ("A", "B", "C", "D"):
            return Target("text", gold)
        choices = parsed_choices(doc["question"], gold)
        return Target("choice", letter(gold, choices), choices=choices)
