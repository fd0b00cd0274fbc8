"""A benchmark whose answers exist already: ``harness score`` runs it through the same engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from harness.errors import UsageError
from harness.files.typed_json import parse
from harness.protocols import (
    Ask,
    Benchmark,
    Check,
    Declaration,
    Demanding,
    FailedItem,
    Judge,
    JudgedBenchmark,
    Model,
    Tokenizer,
    Tools,
)
from harness.records import Item, Response, Sampling, Score


def read_responses(path: Path) -> dict[str, str]:
    """Return response texts by item id from JSON lines ``{"id": ..., "response": ...}``.

    Raises:
        UsageError: the file is missing, empty, or a line is not such an object or repeats an id.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not at U+2028 within a text
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    responses: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = parse(line)
            item_id, text = str(row["id"]), row["response"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f'{path} line {number} is not {{"id": ..., "response": ...}}: {_said(error)}'
            ) from error
        if not isinstance(text, str):
            raise UsageError(f"{path} line {number}: the response is not text")
        if item_id in responses:
            raise UsageError(f"{path} line {number}: duplicate response for item {item_id}")
        responses[item_id] = text
    if not responses:
        raise UsageError(f"{path} holds no responses")
    return responses


def _said(error: Exception) -> str:
    """Return in words why a line could not be read."""
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return f"not JSON ({error})" if isinstance(error, ValueError) else "not an object"


@dataclass(frozen=True)
class Replay:
    """A benchmark restricted to the items that have a stored response."""

    benchmark: Benchmark
    responses: Mapping[str, str]

    @property
    def declaration(self) -> Declaration:
        """The benchmark's own."""
        return self.benchmark.declaration

    def fingerprint(self) -> str:
        """The benchmark's own."""
        return self.benchmark.fingerprint()

    def count(self) -> int:
        """Return the number of responses."""
        return len(self.responses)

    def ids(self) -> Sequence[str]:
        """Return the ids of the items that have a response.

        Raises:
            UsageError: a response belongs to no item.
        """
        known = [item_id for item_id in self.benchmark.ids() if item_id in self.responses]
        unknown = set(self.responses).difference(known)
        if unknown:
            raise UsageError(
                f"{len(unknown)} responses match no item of {self.declaration.id} "
                f"in the local data, the first: {min(unknown)}"
            )
        return known

    def build(self, item_id: str) -> Item | FailedItem:
        """Build the item as the benchmark does."""
        return self.benchmark.build(item_id)

    async def solve(self, item: Item, model: Model, sampling: Sampling, tools: Tools) -> Response:
        """Return the stored response; no model is asked."""
        return Response(self.responses[item.id])

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        """Score as the benchmark does."""
        return await self.benchmark.score(item, response, tools)

    def checks(self) -> Iterator[Check]:
        """The benchmark's own, where it has any."""
        if isinstance(self.benchmark, Demanding):
            yield from self.benchmark.checks()

    async def prepare(self, tools: Tools) -> None:
        """Let the benchmark see what it needs to score."""
        if isinstance(self.benchmark, Demanding):
            await self.benchmark.prepare(tools)

    def native(self, answers: Mapping[str, str], judge: Judge | None) -> Mapping[str, Score]:
        """Score as the wrapped library does."""
        return self.benchmark.native(answers, judge)

    async def judged(self, item_id: str, answer: str, ask: Ask) -> Score:
        """Have it judged as the benchmark does."""
        return await cast("JudgedBenchmark", self.benchmark).judged(item_id, answer, ask)


@dataclass(frozen=True)
class NoModel:
    """The model of a replay: it is opened, but never asked."""

    name: str = "responses"

    async def __aenter__(self) -> NoModel:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def chat(self, messages: object, sampling: object) -> Response:
        """Never called: a replay answers from its file."""
        raise AssertionError("a replay asks no model")

    async def logprobs(self, messages: object, tokens: object) -> None:
        """Never called: a replay answers from its file."""
        raise AssertionError("a replay asks no model")

    @property
    def tokenizer(self) -> Tokenizer:
        """Never used: nothing is asked, so nothing is cut."""
        raise AssertionError("a replay asks no model")
