"""A complete VQA benchmark: questions with one image each, from a JSONL file.

``DATA_ROOT/colours/questions.jsonl`` has one object per line: ``id``, ``question``, ``image`` (a
path relative to the file), ``choices`` and ``answer`` (a letter).  CONTRIBUTING.md explains it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks import scoring
from benchmarks.options import one_of, option
from benchmarks.vqa.base.versions import scoring_version
from harness.errors import UsageError
from harness.files.hashing import tree_hash
from harness.protocols import Declaration, FailedItem, Judge, Model, Tools
from harness.records import ImagePart, Item, Message, Response, Sampling, Score, TextPart

STYLES = {"letter": "Answer with the letter.", "think": "Think, then answer with the letter."}


@dataclass(frozen=True)
class Colours:
    """Multiple-choice questions about one image; ``--set colours.style=think`` asks to reason."""

    data_root: Path
    images: bool = True  # False: `harness score` needs prompts but no images
    style: str = option("letter", one_of(*STYLES), "how to answer: letter or think")

    @property
    def declaration(self) -> Declaration:
        """What is asked and how it is scored; reading it touches no data."""
        return Declaration(
            id="colours",
            title="Colours",
            protocol={"prompt": "question, options, style", "style": self.style},  # in the run key
            scoring=scoring_version(Path(__file__)),  # of this file and the strict scorers
            max_tokens=1024,
            native_max_tokens=16,
            n_items=3,
            metric="accuracy",
            clusters="items with the same image",
        )

    @property
    def folder(self) -> Path:
        """The folder of the data."""
        return self.data_root / "colours"

    @cached_property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The questions by id."""
        path = self.folder / "questions.jsonl"
        if not path.is_file():
            raise UsageError(f"no data at {path}: write it as examples/benchmark.py describes")
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {row["id"]: row for row in rows}

    def fingerprint(self) -> str:
        """The content hash of the data: part of the run key."""
        paths = {self.folder / row["image"] for row in self.rows.values()}
        return tree_hash(self.folder, [self.folder / "questions.jsonl", *paths])

    def count(self) -> int:
        """The number of items."""
        return len(self.rows)

    def ids(self) -> Sequence[str]:
        """The ids in the data's order."""
        return list(self.rows)

    def build(self, item_id: str) -> Item | FailedItem:
        """The item with its prompt and decoded image."""
        row = self.rows[item_id]
        options = [
            f"({letter}) {text}" for letter, text in zip("ABCDEF", row["choices"], strict=False)
        ]
        text = "\n".join([row["question"], *options, STYLES[self.style]])
        content: tuple[ImagePart | TextPart, ...] = (TextPart(text),)
        if self.images:
            from PIL import Image  # here: a declaration must be light to import

            try:
                content = (
                    ImagePart(Image.open(self.folder / row["image"]).convert("RGB")),
                    *content,
                )
            except OSError as error:
                return FailedItem(item_id, f"the image does not decode: {error}")
        return Item(
            id=item_id,
            messages=(Message("user", content),),
            target=scoring.Target("choice", row["answer"], choices=tuple(row["choices"])),
            cluster=row["image"],
            parts=(row["question"].split()[0].lower(),),  # subscores: what, which, ...
        )

    async def solve(self, item: Item, model: Model, sampling: Sampling, tools: Tools) -> Response:
        """One chat call."""
        return await model.chat(item.messages, sampling)

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        """The strict scorers judge; never raises on any text."""
        return scoring.score(response.answer, item.target)

    def native(self, answers: Mapping[str, str], judge: Judge | None) -> Mapping[str, Score]:
        """No scorer of another library here (``native_rules`` is empty)."""
        return {}
