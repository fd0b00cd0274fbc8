"""The judge: a language model that grades answers for benchmarks whose official protocol uses one.

Verdicts and replies are stored, so a killed run never repeats a question.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar, cast

from harness.errors import ItemError, UsageError, first_failure
from harness.files.hashing import json_hash
from harness.files.text import counted
from harness.protocols import Benchmark, Judge, JudgedBenchmark, Model, Progress
from harness.records import Message, Part, Sample, Sampling, Score, TextPart
from harness.runs.store import (
    RunStore,
    SampleKey,
    SecondaryScore,
    answer_hash,
    read_replies,
    read_secondary,
)

TRIES = 3  # unreadable replies before giving up
# Official judges answer in a few tokens; the rest is for judges that reason first.
SAMPLING = Sampling(max_tokens=4096)

T = TypeVar("T")


class NoVerdictError(Exception):
    """None of the judge's replies could be read as a verdict; has the last one."""


class ReplyStore(Protocol):
    """Where a judge's replies are stored: a run, or a build of pairs."""

    path: Path

    def append_reply(self, key: str, reply: str) -> None:
        """Add the judge's reply to the question with this hash."""


class Replies:
    """Ask one judge, at most once per question, counting stored and pending ones."""

    def __init__(self, store: ReplyStore, model: Model) -> None:
        self._store = store
        self._model = model
        self._known = read_replies(store.path)
        self._under_way: dict[str, asyncio.Task[str]] = {}

    async def ask(self, question: str | Message, read: Callable[[str], T | None]) -> T:
        """Return the reply as parsed by ``read``; see `harness.protocols.Ask`.

        A question with images is a message. Raises `NoVerdictError` if several replies could not be
        parsed; `ItemError` if this request failed for good; `UsageError` if the judge is gone.
        """
        reply = ""
        for attempt in range(TRIES):
            reply = await self._reply(question, attempt)
            verdict = read(reply)
            if verdict is not None:
                return verdict
        raise NoVerdictError(
            f"{TRIES} replies of the judge are no verdict, the last: {reply!r:.200}"
        )

    async def _reply(self, question: str | Message, attempt: int) -> str:
        content = question if isinstance(question, str) else list(map(_content, question.content))
        key = json_hash([self._model.name, content, attempt])
        if key in self._known:
            return self._known[key]
        if key not in self._under_way:
            self._under_way[key] = asyncio.create_task(self._fetch(key, question, attempt))
        return await self._under_way[key]

    async def _fetch(self, key: str, question: str | Message, attempt: int) -> str:
        message = question
        if isinstance(message, str):
            message = Message("user", (TextPart(message),))
        response = await self._model.chat([message], replace(SAMPLING, seed=attempt))
        self._known[key] = response.answer
        self._store.append_reply(key, response.answer)
        return response.answer


def _content(part: Part) -> str:
    """Return what identifies a part: its text, or the hash of its image's pixels."""
    if isinstance(part, TextPart):
        return part.text
    return hashlib.sha256(f"{part.image.size}".encode() + part.image.tobytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Case:
    benchmark: JudgedBenchmark
    id: str
    repeat: int
    answer: str


class JudgedScoring:
    """Judge answers concurrently, while others are still being generated.

    `add` stored answers, `close` when there are no more; `run` ends when all are judged, at once
    without a ``judge``. Losing the judge stops only this; ``failure`` then says why.
    """

    def __init__(
        self, store: RunStore, judge: Judge | None, concurrency: int, progress: Progress
    ) -> None:
        self.failure: UsageError | None = None
        self._store, self._judge, self._progress = store, judge, progress
        self._concurrency = concurrency
        self._verdicts: dict[str, dict[SampleKey, SecondaryScore]] = {}
        self._taken: set[tuple[str, str, int, str]] = set()
        self._cases: asyncio.Queue[_Case | None] = asyncio.Queue()
        self._awake = asyncio.Event()
        self._missed: list[str] = []

    def start(self, benchmark: Benchmark, total: int, left: int) -> None:
        """Announce ``total`` requested answers of a benchmark, ``left`` of them unjudged."""
        declared = benchmark.declaration
        if self._judge is not None and declared.judged_rules:
            known = read_secondary(self._store.path, "judged", declared.id, self._judge.model)
            self._verdicts[declared.id] = known
            self._progress.start(f"{declared.id} (judge)", total, max(0, total - left))

    def add(self, benchmark: Benchmark, sample: Sample) -> None:
        """Queue an answer for judging, unless it has its verdict or was added before."""
        declared = benchmark.declaration
        if self._judge is None or not declared.judged_rules or sample.response is None:
            return
        if sample.response.absence == "filtered":  # not an answer by the model
            return
        answer = sample.response.answer
        known = self._verdicts[declared.id].get((sample.id, sample.repeat))
        case = (declared.id, sample.id, sample.repeat, answer_hash(answer))
        if case in self._taken or (known and known.holds(answer, declared.judged_rules)):
            return
        self._taken.add(case)
        judged = cast("JudgedBenchmark", benchmark)
        self._cases.put_nowait(_Case(judged, sample.id, sample.repeat, answer))
        self._awake.set()

    def close(self) -> None:
        """Announce that there are no more answers."""
        for _ in range(self._concurrency):
            self._cases.put_nowait(None)
        self._awake.set()

    async def run(self) -> None:
        """Judge until `close`; no request is sent before there is an answer."""
        judge = self._judge
        if judge is None:
            return
        from harness.backends.http.endpoint import EndpointModel

        await self._awake.wait()
        if not self._taken:
            return
        try:
            async with (
                EndpointModel(judge.url, judge.model, judge.api_key) as model,
                asyncio.TaskGroup() as group,
            ):
                model.on_status = lambda text: self._progress.note(f"the judge: {text}")
                replies = Replies(self._store, model)
                for _ in range(self._concurrency):
                    group.create_task(self._work(replies, judge.model))
        except* UsageError as gone:
            self.failure = UsageError(f"the judge: {first_failure(gone)}")
            self._progress.note(f"{self.failure} (model responses continue)")
        if self._missed:
            self._progress.note(
                f"{counted(len(self._missed), 'response')} could not be judged; the first: "
                f"{self._missed[0]}; the same command asks again"
            )

    async def _work(self, replies: Replies, judge: str) -> None:
        while (case := await self._cases.get()) is not None:
            declared = case.benchmark.declaration
            if (score := await self._score(case, replies)) is not None:
                key = (case.id, case.repeat)
                judged = SecondaryScore.of(score, key, case.answer, judge, declared.judged_rules)
                self._store.append_scores("judged", declared.id, [judged])
                self._progress.advance(f"{declared.id} (judge)", score)

    async def _score(self, case: _Case, replies: Replies) -> Score | None:
        """Return the verdict, with no value if the judge gave none; None to ask again."""
        try:
            return await case.benchmark.judged(case.id, case.answer, replies.ask)
        except NoVerdictError as error:
            return Score(None, "unscored", None, str(error))
        except UsageError:
            raise
        except ItemError as error:
            reason = str(error)
        except Exception as error:  # a bug costs one verdict, not the run
            reason = f"the judged scorer failed: {type(error).__name__}: {error}"
        self._missed.append(f"{case.benchmark.declaration.id}/{case.id}: {reason}")
        return None
