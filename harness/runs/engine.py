"""The engine: items -> solve -> score -> store, as one stream without barriers.

Every answer is stored the moment it is scored, and what is stored is never asked again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass, field, replace

from harness.errors import ContextOverflowError, ItemError, UsageError, first_failure
from harness.files.hashing import json_hash
from harness.files.text import abridged
from harness.protocols import Benchmark, Demanding, FailedItem, Judge, Model, Progress, Tools
from harness.records import Item, Response, Sample, Sampling, Score
from harness.runs.judge import JudgedScoring
from harness.runs.store import RunStore, SampleKey, Verdict, read_samples
from harness.runs.summary import native_verdicts
from harness.runs.todo import Todo, what_is_left

JUDGED_AT_ONCE = 32  # answers between two writes of a judge's verdicts

OpenModel = Callable[[], AbstractAsyncContextManager[Model]]


@dataclass(frozen=True, slots=True)
class Settings:
    """How much of a run to fill, and how.

    ``max_tokens`` is a limit for all benchmarks, "native" for each task's own, or None for what
    each benchmark declares.  Every answer is drawn with a seed of its own, made of ``seed``, the
    item and the repeat, so that no two runs or items share their noise.  Without ``native`` no
    native scores are computed; the same command with it computes them later.
    """

    limit: int | None = None
    repeats: int = 1
    seed: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int | str | None = None
    concurrency: int = 64
    judge: Judge | None = None
    tools: Tools = field(default_factory=Tools)
    native: bool = True

    def sampling(self, benchmark: Benchmark) -> Sampling:
        """Return the sampling of a benchmark, with the run's seed."""
        declared = benchmark.declaration
        limit = declared.max_tokens if self.max_tokens is None else self.max_tokens
        if limit == "native":
            limit = declared.native_max_tokens
        return Sampling(int(limit), self.temperature, self.top_p, self.seed)

    def draw(self, benchmark: Benchmark, item: Item, repeat: int) -> Sampling:
        """Return the sampling of one answer, with its own seed."""
        name = json_hash([self.seed, benchmark.declaration.id, item.id, repeat])
        return replace(self.sampling(benchmark), seed=int(name[:7], 16))

    def wanted(self, benchmark: Benchmark) -> int:
        """Return how many items of a benchmark are asked for."""
        total = benchmark.count()
        return total if self.limit is None else min(self.limit, total)


@dataclass(frozen=True, slots=True)
class _Job:
    benchmark: Benchmark
    item: Item | FailedItem
    repeat: int
    response: Response | None = None  # stored already: only the score is stale


@dataclass(slots=True)
class _Tally:
    """What is still to come of one benchmark."""

    benchmark: Benchmark
    stored: dict[SampleKey, Sample]
    pending: int = 0
    all_queued: bool = False
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    def check(self) -> None:
        if self.all_queued and self.pending == 0:
            self.finished.set()


class _LateModel:
    """A model that is opened when it is first asked for, and closed by the stack."""

    def __init__(self, open_model: OpenModel, stack: AsyncExitStack) -> None:
        self._open, self._stack = open_model, stack
        self._model: Model | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> Model:
        async with self._lock:
            if self._model is None:
                self._model = await self._stack.enter_async_context(self._open())
        return self._model


class Engine:
    """Fills one run.  Build it, then `run` it once."""

    def __init__(
        self,
        store: RunStore,
        benchmarks: Sequence[Benchmark],
        settings: Settings,
        progress: Progress,
    ) -> None:
        self.store = store
        self.settings = settings
        self.progress = progress
        self._tallies = {
            benchmark.declaration.id: _Tally(
                benchmark, read_samples(store.path, benchmark.declaration.id)
            )
            for benchmark in benchmarks
        }
        self._queue: asyncio.Queue[_Job | None] = asyncio.Queue(settings.concurrency)
        self._native_lock = asyncio.Lock()
        judge = settings.judge
        self._judged = (
            JudgedScoring(store, judge, settings.concurrency, progress) if judge else None
        )

    def samples(self, benchmark_id: str) -> Mapping[SampleKey, Sample]:
        """Return what is stored of a benchmark."""
        return self._tallies[benchmark_id].stored

    async def run(self, open_model: OpenModel) -> None:
        """Fill the run.

        The model is opened first where answers were never tried, so that one that cannot start
        says so at once; a run that only lacks scores never opens it.

        Raises:
            UsageError: the data is not readable, the model cannot be opened or is gone, every
                answer is an error, or the judge is gone (the model's answers are complete then);
                everything answered and judged is stored.
        """
        async with AsyncExitStack() as stack:
            model = _LateModel(open_model, stack)
            todos = {
                name: await asyncio.to_thread(self._what_is_left, tally)
                for name, tally in self._tallies.items()
            }
            await self._prepare(todos)
            if any(todo.untried for todo in todos.values()):
                await model.get()
            self._load_native(todos)
            await self._stream(model, todos)
        self._refuse_nothing_but_errors()
        if self._judged is not None and self._judged.failure is not None:
            raise self._judged.failure

    def _refuse_nothing_but_errors(self) -> None:
        """Raise where the benchmarks asked for hold no answer that is not an error."""
        samples = (tally.stored.values() for tally in self._tallies.values())
        scores = [sample.score for stored in samples for sample in stored]
        if scores and all(score.status == "error" for score in scores):
            why = " ".join(scores[0].why.split())
            raise UsageError(
                f"all {len(scores)} responses are errors; the first: {why} "
                "(stored as errors: rerun the command to retry them)"
            )

    def _what_is_left(self, tally: _Tally) -> Todo:
        wanted = (self.settings.limit, self.settings.repeats)
        judge = self.settings.judge.model if self.settings.judge else None
        return what_is_left(self.store.path, tally.benchmark, tally.stored, wanted, judge)

    async def _prepare(self, todos: Mapping[str, Todo]) -> None:
        """Let benchmarks check what they need of the machine, where answers are left.

        Raises:
            UsageError: something is missing.
        """
        for name, tally in self._tallies.items():
            if isinstance(tally.benchmark, Demanding) and todos[name].to_score:
                await tally.benchmark.prepare(self.settings.tools)

    async def _stream(self, model: _LateModel, todos: Mapping[str, Todo]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for tally in self._tallies.values():
                    group.create_task(self._score_natively(tally))
                if self._judged is not None:
                    group.create_task(self._judged.run())
                async with asyncio.TaskGroup() as answering:
                    answering.create_task(self._produce(todos))
                    for _ in range(self.settings.concurrency):
                        answering.create_task(self._work(model))
                if self._judged is not None:
                    self._judged.close()
        except BaseExceptionGroup as failures:
            raise first_failure(failures) from None

    async def _produce(self, todos: Mapping[str, Todo]) -> None:
        for name, tally in self._tallies.items():
            self._announce(tally.benchmark, todos[name])
        for name, tally in self._tallies.items():
            before = list(tally.stored.values())
            for item_id, repeats in todos[name].repeats().items():
                item = await asyncio.to_thread(tally.benchmark.build, item_id)
                for repeat in repeats:
                    sample = tally.stored.get((item_id, repeat))
                    tally.pending += 1
                    await self._queue.put(
                        _Job(tally.benchmark, item, repeat, sample.response if sample else None)
                    )
            if self._judged is not None:
                for sample in before:
                    self._judged.add(tally.benchmark, sample)
            tally.all_queued = True
            tally.check()
        for _ in range(self.settings.concurrency):
            await self._queue.put(None)

    def _announce(self, benchmark: Benchmark, todo: Todo) -> None:
        total = max(todo.to_score, self.settings.wanted(benchmark) * self.settings.repeats)
        self.progress.start(benchmark.declaration.id, total, total - todo.to_score)
        if self._judged is not None:
            self._judged.start(benchmark, total, todo.to_ask + len(todo.judged_missing))

    async def _work(self, model: _LateModel) -> None:
        while (job := await self._queue.get()) is not None:
            sample = await self._sample(job, model)
            name = job.benchmark.declaration.id
            tally = self._tallies[name]
            self.store.append(name, sample)
            tally.stored[sample.id, sample.repeat] = sample
            if self._judged is not None:
                self._judged.add(job.benchmark, sample)
            tally.pending -= 1
            tally.check()
            self.progress.advance(name, sample.score)

    async def _sample(self, job: _Job, model: _LateModel) -> Sample:
        item, benchmark, response = job.item, job.benchmark, job.response
        if isinstance(item, FailedItem):
            return _keep(job, response, Score(None, "error", why=item.reason))
        if response is None:
            opened = await model.get()
            sampling = self.settings.draw(benchmark, item, job.repeat)
            began = time.perf_counter()
            try:
                response = await benchmark.solve(item, opened, sampling, self.settings.tools)
            except UsageError:  # nothing can be asked any more
                raise
            except ContextOverflowError as error:
                cut = Response("", finish_reason="length")
                return _keep(job, cut, Score(0.0, "unparsable", why=str(error)))
            except Exception as error:
                return _keep(job, None, _failure(error, "the question"))
            response = replace(response, seconds=time.perf_counter() - began)
        return _keep(job, response, await _score(benchmark, item, response, self.settings.tools))

    def _load_native(self, todos: Mapping[str, Todo]) -> None:
        """Let the native scorer load while the model answers: it takes seconds."""
        for name, tally in self._tallies.items():
            if todos[name].to_ask and self._scores_natively(tally.benchmark):
                with suppress(UsageError):  # said again where answers are scored
                    tally.benchmark.native({}, self.settings.judge)
                return

    def _scores_natively(self, benchmark: Benchmark) -> bool:
        declared = benchmark.declaration
        judged = self.settings.judge is not None or not declared.native_needs_judge
        return self.settings.native and bool(declared.native_rules) and judged

    async def _score_natively(self, tally: _Tally) -> None:
        await tally.finished.wait()
        async with self._native_lock:  # one child process serves all benchmarks
            try:
                await asyncio.to_thread(self._write_native, tally)
            except UsageError as error:  # the strict scores stand without it
                name = tally.benchmark.declaration.id
                self.progress.note(f"{name}: no native scores: {error}")

    def _write_native(self, tally: _Tally) -> None:
        """Score answers natively where a verdict on this answer by these rules is missing."""
        declared, judge = tally.benchmark.declaration, self.settings.judge
        if not self._scores_natively(tally.benchmark):
            return
        known = native_verdicts(
            self.store.path, declared, judge.model if judge else None, tally.stored
        )
        if not declared.native_needs_judge:
            judge = None
        missing = [key for key, verdict in known.items() if verdict is None]
        for repeat in sorted({repeat for _, repeat in missing}):
            ids = [item_id for item_id, other in missing if other == repeat]
            self.progress.note(f"{declared.id}: native scoring of {len(ids)} answers")
            if judge is None:  # it is quick, and lmms-eval's random letters hang on the whole order
                ids = [item_id for item_id, other in known if other == repeat]
            size = JUDGED_AT_ONCE if judge else len(ids)
            for start in range(0, len(ids), size):
                self._score_portion(tally, ids[start : start + size], repeat, judge)

    def _score_portion(
        self, tally: _Tally, ids: Sequence[str], repeat: int, judge: Judge | None
    ) -> None:
        """Score some answers of one repeat natively and store the verdicts."""
        name, rules = tally.benchmark.declaration.id, tally.benchmark.declaration.native_rules
        responses = {item_id: tally.stored[item_id, repeat].response for item_id in ids}
        answers = {item_id: each.answer for item_id, each in responses.items() if each is not None}
        scores = tally.benchmark.native(answers, judge)
        judge_name = judge.model if judge else None
        rows = [
            Verdict.of(score, (item_id, repeat), answers[item_id], judge_name, rules)
            for item_id, score in scores.items()
            if score.value is not None or judge is None  # else it is asked again
        ]
        self.store.append_verdicts("native", name, rows)
        if left := len(ids) - len(scores):
            self.progress.note(
                f"{name}: native scoring stopped before {left} answers: the same command scores "
                "them"
            )


def _keep(job: _Job, response: Response | None, score: Score) -> Sample:
    """Return the line to store."""
    item, scoring = job.item, job.benchmark.declaration.scoring
    if isinstance(item, FailedItem):
        return Sample(item.id, job.repeat, item.id, (), (), None, response, score, scoring)
    # A document of a million characters is in the data: a line keeps its beginning and its end.
    prompt = tuple(abridged(message.render()) for message in item.messages)
    return Sample(
        item.id, job.repeat, item.cluster, item.parts, prompt, item.target, response, score, scoring
    )


async def _score(benchmark: Benchmark, item: Item, response: Response, tools: Tools) -> Score:
    match response.absence:
        case "filtered":
            return Score(None, "unscored", why="the server's content filter withheld the answer")
        case "reasoning_only" | "empty" | "cut" as absence:
            return Score(0.0, "unparsable", why=f"no answer: {absence.replace('_', ' ')}")
    try:
        return await benchmark.score(item, response, tools)
    except UsageError:  # nothing can be scored any more
        raise
    except Exception as error:
        return _failure(error, "the scorer")


def _failure(error: Exception, what: str) -> Score:
    """Return the score of an item that failed: a bug too costs one item, and not the run."""
    bug = "" if isinstance(error, ItemError) else f"{what} failed: {type(error).__name__}: "
    return Score(None, "error", why=f"{bug}{error}")
