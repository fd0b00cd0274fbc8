"""A small real benchmark for tests of the engine: sums, whose right answers arithmetic tells."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from harness.errors import ItemError, UsageError
from harness.files.hashing import json_hash
from harness.protocols import Declaration, FailedItem, Judge, Model, Tools
from harness.records import Item, Message, Response, Sampling, Score, TextPart


@dataclass(frozen=True)
class Sums:
    """``n`` items "a + b = ?"; those in ``broken`` cannot be built."""

    n: int = 20
    id: str = "sums"
    scoring: str = "1"
    broken: frozenset[int] = frozenset()
    native_rules: str = "1"
    needs_judge: bool = False
    headline: tuple[str, ...] = ()
    image_conversion: str = ""
    seen: list[str] = field(default_factory=list, compare=False)

    @property
    def declaration(self) -> Declaration:
        return Declaration(
            id=self.id,
            title="Sums",
            protocol={"prompt": "a + b = ?"},
            scoring=self.scoring,
            max_tokens=8,
            native_max_tokens=4,
            n_items=self.n,
            metric="accuracy",
            clusters="the item",
            headline=self.headline,
            image_conversion=self.image_conversion,
            native_needs_judge=self.needs_judge,
            native_rules=self.native_rules,
        )

    def fingerprint(self) -> str:
        return json_hash(["sums", self.n])

    def count(self) -> int:
        return self.n

    def ids(self) -> Sequence[str]:
        return [f"s{number}" for number in range(self.n)]

    def build(self, item_id: str) -> Item | FailedItem:
        number = int(item_id.removeprefix("s"))
        self.seen.append(item_id)
        if number in self.broken:
            return FailedItem(item_id, "the picture does not decode")
        part = "even" if number % 2 == 0 else "odd"
        message = Message("user", (TextPart(f"{number} + {number * 7} = ?"),))
        return Item(item_id, (message,), str(number * 8), f"c{number // 2}", (part,))

    async def solve(self, item: Item, model: Model, sampling: Sampling, tools: Tools) -> Response:
        return await model.chat(item.messages, sampling)

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        found = re.search(r"-?\d+", response.answer)
        if not found:
            return Score(0.0, "unparsable", None, "no number")
        return Score(float(found[0] == item.target), "scored", found[0], "first number")

    def native(self, answers: Mapping[str, str], judge: Judge | None) -> Mapping[str, Score]:
        right = {f"s{number}": str(number * 8) for number in range(self.n)}
        return {
            name: Score(float(text == right[name]), "scored", None, "arithmetic says")
            for name, text in answers.items()
        }


@dataclass
class Adder:
    """A model that adds the numbers of the question.

    Questions in ``fails`` (first number) raise ItemError, those in ``wrong`` are answered wrong,
    and after ``dies_after`` answers the server counts as gone.
    """

    fails: frozenset[int] = frozenset()
    wrong: frozenset[int] = frozenset()
    dies_after: int | None = None
    delay: float = 0.0
    name: str = "adder"
    asked: list[str] = field(default_factory=list)
    opened: int = 0
    peak: int = 0
    _in_flight: int = 0

    async def chat(self, messages: Sequence[Message], sampling: Sampling) -> Response:
        text = messages[-1].render()
        self.asked.append(text)
        self._in_flight += 1
        self.peak = max(self.peak, self._in_flight)
        await asyncio.sleep(self.delay)
        self._in_flight -= 1
        if self.dies_after is not None and len(self.asked) > self.dies_after:
            raise UsageError("the server stopped answering")
        first, second = (int(word) for word in re.findall(r"\d+", text))
        if first in self.fails:
            raise ItemError("the request failed for good")
        total = first + second + (first in self.wrong)
        return Response(f"{total}", completion_tokens=1, finish_reason="stop")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Model]:
        self.opened += 1
        yield self


@dataclass
class Quiet:
    """A progress that remembers what it was told."""

    totals: dict[str, tuple[int, int]] = field(default_factory=dict)
    statuses: list[str] = field(default_factory=list)

    def start(self, benchmark: str, total: int, done: int) -> None:
        self.totals[benchmark] = (total, done)

    def advance(self, benchmark: str, score: Score) -> None:
        self.statuses.append(score.status)

    def note(self, text: str) -> None:
        pass
