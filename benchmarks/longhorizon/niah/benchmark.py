"""Needle in a haystack: seeded, generated items on a grid of lengths and depths.

Question form and score are RULER's; it is not known which generator the paper used.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.longhorizon.niah.haystack import (
    ANSWER_ROOM,
    TASKS,
    TEMPLATE,
    Count,
    Question,
    estimate,
    question,
    split_sentences,
    vocabulary,
)
from benchmarks.options import file, numbers, option, positive, some_of
from harness.errors import UsageError
from harness.files.hashing import file_hash, json_hash, tree_hash
from harness.protocols import Benchmark, Declaration, Tools
from harness.reasoning import reasoning_version
from harness.records import Item, Message, Response, Score, TextPart

GENERATOR = 1  # counts up where the same settings would give other questions
_TOKENIZER_FILES = ("tokenizer*", "*.tiktoken", "*.model", "vocab.*", "merges.txt", "tekken.json")


def _folder(word: str) -> Path:
    if not any(Path(word).glob("tokenizer*")):
        raise ValueError("no folder that holds a tokenizer")
    return Path(word)


def _whole(word: str) -> int:
    if not word.isdecimal():
        raise ValueError("write a whole number of at least 0")
    return int(word)


@dataclass(frozen=True)
class Slot:
    """Where a question belongs: its cell of the grid, its task, and its number in the cell."""

    length: int
    depth: int
    task: str
    number: int

    @property
    def id(self) -> str:
        """The item's id."""
        return f"{self.length}-{self.depth}-{self.number}-{self.task}"


@dataclass(frozen=True)
class Niah(Benchmark):
    """Needle in a haystack; parts are the cells (``4096/50``), the lengths and the tasks."""

    root: Path
    images: bool = True
    lengths: tuple[int, ...] = option(
        (4096, 8192, 16384, 32768), numbers, "tokens of prompt and answer, comma-separated"
    )
    depths: tuple[int, ...] = option(
        (0, 25, 50, 75, 100), numbers, "percent of the text before the needle"
    )
    per_cell: int = option(30, positive, "questions per length and depth")
    tasks: tuple[str, ...] = option(
        ("single_1", "multikey_2", "multikey_3"), some_of(*TASKS), "RULER tasks, used in rotation"
    )
    essay: Path | None = option(
        None, file, "text file for the haystacks of single_2, single_3 and multikey_1"
    )
    tokenizer: Path | None = option(
        None, _folder, "tokenizer folder for counting lengths (else estimated)"
    )
    seed: int = option(0, _whole, "seed of the questions")

    def __post_init__(self) -> None:
        """Raise `UsageError` on a depth beyond 100, repeated values or a missing essay."""
        if max(self.depths) > 100:
            raise UsageError(f"niah.depths are percent: {max(self.depths)} is more than 100")
        for name in ("lengths", "depths", "tasks"):
            given = getattr(self, name)
            if len(set(given)) < len(given):
                raise UsageError(f"niah.{name} names something twice: {given}")
        lacking = [task for task in self.tasks if TASKS[task].haystack == "essay"]
        if lacking and self.essay is None:
            raise UsageError(
                f"niah.tasks={','.join(lacking)} needs a text: give --set niah.essay=FILE"
            )

    @property
    def _grid(self) -> dict[str, Any]:
        names = ("lengths", "depths", "per_cell", "tasks", "seed")
        grid = {name: getattr(self, name) for name in names}
        lists = {name: list(value) for name, value in grid.items() if isinstance(value, tuple)}
        return {"generator": GENERATOR, **grid, **lists}

    @property
    def declaration(self) -> Declaration:
        """The declared protocol."""
        return Declaration(
            id="niah",
            title="Needle in a haystack",
            protocol={
                **self._grid,
                "form": "RULER",
                "template": TEMPLATE,
                "answer_prefix": None,  # RULER begins the answer; not every chat server can
                "counted_by": "estimate" if self.tokenizer is None else "tokenizer",
                "answer_room": ANSWER_ROOM,
            },
            scoring=f"niah-1-{reasoning_version()}",
            max_tokens=8192,
            native_max_tokens=ANSWER_ROOM,
            n_items=self.count(),
            metric="share of answers that hold the value",
            clusters="the item",
        )

    def fingerprint(self) -> str:
        """Return the hash of all that decides the questions; UsageError if they do not fit."""
        for task in self.tasks:  # fail before a model is started
            self._question(Slot(min(self.lengths), 0, task, 0), estimate)
        decisive = {
            **self._grid,
            "words": vocabulary(),
            "essay": self.essay and file_hash(self.essay),
            "tokenizer": self.tokenizer and _tokenizer_hash(self.tokenizer),
        }
        return json_hash(decisive)

    def count(self) -> int:
        """Return the number of questions."""
        return len(self.lengths) * len(self.depths) * self.per_cell

    @cached_property
    def _slots(self) -> Mapping[str, Slot]:
        """The slots by id; even the first few are spread over grid and tasks."""
        cells = list(product(self.lengths, self.depths))
        slots = (
            Slot(length, depth, self.tasks[turn % len(self.tasks)], number)
            for number in range(self.per_cell)
            for turn, (length, depth) in enumerate(cells, number)
        )
        return {slot.id: slot for slot in slots}

    def ids(self) -> Sequence[str]:
        """Return the ids of the questions."""
        return list(self._slots)

    @cached_property
    def _sentences(self) -> tuple[str, ...]:
        if self.essay is None:
            return ()
        try:
            text = self.essay.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"niah.essay: {self.essay} is not readable text ({error})") from error
        if not text.strip():
            raise UsageError(f"niah.essay: {self.essay} is empty")
        return split_sentences(text)

    @cached_property
    def _count(self) -> Count:
        if self.tokenizer is None:
            return estimate
        from harness.backends.tokenizer import LocalTokenizer

        return LocalTokenizer(self.tokenizer).count

    def _question(self, slot: Slot, count: Count) -> Question:
        rng, task = random.Random(f"{self.seed}/{slot.id}"), TASKS[slot.task]
        return question(rng, task, slot.length, slot.depth, count=count, essay=self._sentences)

    def build(self, item_id: str) -> Item:
        """Return one question; raises `UsageError` as `fingerprint` does."""
        slot = self._slots[item_id]
        asked = self._question(slot, self._count)
        return Item(
            id=slot.id,
            messages=(Message("user", (TextPart(asked.prompt),)),),
            target={"key": asked.key, "value": asked.value},
            cluster=slot.id,
            parts=(f"{slot.length}/{slot.depth}", str(slot.length), slot.task),
        )

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        """Score as RULER does (``string_match_all``): the value occurs, in capitals or not."""
        answer, value = response.answer, item.target["value"]
        if not answer:
            return Score(0.0, "unparsable", None, "the answer is empty")
        if value.lower() in answer.lower():
            return Score(1.0, "scored", value, "the value occurs in the answer")
        other = re.search(r"\b\d{7}\b|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", answer, re.I)
        return Score(0.0, "scored", other and other[0], "the value does not occur in the answer")


def _tokenizer_hash(folder: Path) -> str:
    return tree_hash(folder, {path for form in _TOKENIZER_FILES for path in folder.glob(form)})
