"""The engine: items -> solve -> score -> store, as one stream without barriers.

Every answer is stored as soon as it is scored; stored answers are never requested again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass, field, replace

from harness.errors import ContextOverflowError, ItemError, UnfinishedError, UsageError, one_failure
from harness.files.text import abridged, counted
from harness.protocols import Benchmark, Demanding, FailedItem, Judge, Model, Progress, Tools
from harness.records import Item, Response, Sample, Score
from harness.runs.judge import JudgedScoring
from harness.runs.store import RunStore, SampleKey, SecondaryScore, read_samples
from harness.runs.summary import stored_scores
from harness.runs.todo import Settings, Todo, what_is_left
from harness.sandbox import native_state

JUDGED_AT_ONCE = 32  # answers per write of judged native scores

OpenModel = Callable[[], AbstractAsyncContextManager[Model]]


@dataclass(frozen=True, slots=True)
class _Job:
    benchmark: Benchmark
    item: Item | FailedItem
    repeat: int
    stored: Sample | None  # with a response: only the score is stale


@dataclass(slots=True)
class _Tally:
    """A benchmark's stored samples, and the number of its unfinished jobs."""

    benchmark: Benchmark
    stored: dict[SampleKey, Sample]
    pending: int = 1  # the producer of its jobs counts as one
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    def done(self) -> None:
        self.pending -= 1
        if self.pending == 0:
            self.finished.set()


class Engine:
    """Fill one run: construct, then `run` once.

    ``source`` is the number of the responding model or server, stored with every answer; set by the
    caller that opens the model.
    """

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
        self.source: int | None = None
        self._tallies = {
            benchmark.declaration.id: _Tally(
                benchmark, read_samples(store.path, benchmark.declaration.id)
            )
            for benchmark in benchmarks
        }
        self._queue: asyncio.Queue[_Job | None] = asyncio.Queue(settings.concurrency)
        self._native_lock, self._model_lock = asyncio.Lock(), asyncio.Lock()
        self._model: Model | None = None
        self._opening: Callable[[], Awaitable[Model]]
        self._judged = JudgedScoring(store, settings.judge, settings.concurrency, progress)

    def samples(self, benchmark_id: str) -> Mapping[SampleKey, Sample]:
        """Return a benchmark's stored samples."""
        return self._tallies[benchmark_id].stored

    async def run(self, open_model: OpenModel) -> None:
        """Fill the run.

        If the model may be needed, it is opened before any item is prepared, so that it fails
        early; a run that only lacks scores never opens it. Raises `UsageError` if the data is not
        readable, the model cannot be opened or is gone, every answer is an error, or the judge is
        gone (the model's answers are complete then); everything answered and judged is stored.
        """
        tallies = self._tallies.values()
        async with AsyncExitStack() as stack:
            self._opening = lambda: stack.enter_async_context(open_model())
            asked = [t for t in tallies if self.settings.may_ask(t.benchmark, t.stored)]
            if asked:
                await self._get_model()
            self._load_native(asked)
            for tally in tallies:
                self._announce(tally)
            await self._stream()
        self._refuse_nothing_but_errors()
        if self._judged.failure is not None:
            raise self._judged.failure

    async def _get_model(self) -> Model:
        async with self._model_lock:
            if self._model is None:
                self._model = await self._opening()
        return self._model

    def _refuse_nothing_but_errors(self) -> None:
        samples = (tally.stored.values() for tally in self._tallies.values())
        scores = [sample.score for stored in samples for sample in stored]
        if scores and all(score.status == "error" for score in scores):
            why = " ".join(scores[0].why.split())
            raise UsageError(
                f"every response is an error ({len(scores)} in all); the first: {why} "
                "(stored as errors: rerun the command to retry them)"
            )

    def _announce(self, tally: _Tally, todo: Todo | None = None) -> int:
        """Report a benchmark's progress, by counts, then exactly; return its number of answers."""
        settings, scoring = self.settings, tally.benchmark.declaration.scoring
        total = settings.wanted(tally.benchmark) * settings.repeats
        settled = sum(
            sample.score.status != "error" and sample.scoring == scoring
            for (_, repeat), sample in tally.stored.items()
            if repeat < settings.repeats
        )
        counted = max(0, total - settled)
        left = counted if todo is None else todo.to_score
        total = max(left, total)
        if todo is None or left != counted:
            self.progress.start(tally.benchmark.declaration.id, total, total - left)
        return total

    async def _stream(self) -> None:
        todos: asyncio.Queue[Todo] = asyncio.Queue()
        with one_failure():
            async with asyncio.TaskGroup() as group:
                for tally in self._tallies.values():
                    group.create_task(self._score_natively(tally))
                group.create_task(self._judged.run())
                async with asyncio.TaskGroup() as answering:
                    answering.create_task(self._prepare(todos))
                    answering.create_task(self._produce(todos))
                    for _ in range(self.settings.concurrency):
                        answering.create_task(self._work())
                self._judged.close()

    async def _prepare(self, todos: asyncio.Queue[Todo]) -> None:
        """Find out what is left of each benchmark while earlier ones run."""
        for tally in self._tallies.values():
            benchmark = tally.benchmark
            todo = await asyncio.to_thread(
                what_is_left, self.store.path, benchmark, tally.stored, self.settings
            )
            if isinstance(benchmark, Demanding) and todo.to_score:
                await benchmark.prepare(self.settings.tools)
            todos.put_nowait(todo)

    async def _produce(self, todos: asyncio.Queue[Todo]) -> None:
        for tally in self._tallies.values():
            todo = await todos.get()
            total, before = self._announce(tally, todo), list(tally.stored.values())
            self._judged.start(tally.benchmark, total, todo.to_ask + todo.unjudged)
            for item_id, repeats in todo.repeats().items():
                item = await asyncio.to_thread(tally.benchmark.build, item_id)
                for repeat in repeats:
                    stored = tally.stored.get((item_id, repeat))
                    tally.pending += 1
                    await self._queue.put(_Job(tally.benchmark, item, repeat, stored))
            for sample in before:
                self._judged.add(tally.benchmark, sample)
            tally.done()
        for _ in range(self.settings.concurrency):
            await self._queue.put(None)

    async def _work(self) -> None:
        while (job := await self._queue.get()) is not None:
            sample = await self._sample(job)
            name = job.benchmark.declaration.id
            tally = self._tallies[name]
            self.store.append(name, sample)
            tally.stored[sample.id, sample.repeat] = sample
            self._judged.add(job.benchmark, sample)
            tally.done()
            self.progress.advance(name, sample.score)

    async def _sample(self, job: _Job) -> Sample:
        item, stored, tools = job.item, job.stored, self.settings.tools
        response = stored.response if stored else None
        if isinstance(item, FailedItem):
            return self._line(job, response, Score(None, "error", why=item.reason))
        if response is None:
            try:
                response = await self._ask(job.benchmark, item, job.repeat)
            except UsageError:  # no request can succeed any more
                raise
            except ContextOverflowError as error:
                cut = Response("", finish_reason="length")
                return self._line(job, cut, Score(0.0, "unparsable", why=str(error)))
            except Exception as error:
                return self._line(job, None, _failure(error, "the question"))
        return self._line(job, response, await scored(job.benchmark, item, response, tools))

    async def _ask(self, benchmark: Benchmark, item: Item, repeat: int) -> Response:
        if self.settings.responses is not None:
            return Response(self.settings.responses[item.id])
        model = await self._get_model()
        sampling = self.settings.draw(benchmark, item, repeat)
        began = time.perf_counter()
        response = await benchmark.solve(item, model, sampling, self.settings.tools)
        return replace(response, seconds=time.perf_counter() - began)

    def _line(self, job: _Job, response: Response | None, score: Score) -> Sample:
        """Return the line to store; a stored answer keeps its source and time."""
        item, old = job.item, job.stored if job.stored and job.stored.response else None
        sample = Sample(
            item.id, job.repeat, item.id, (), (), None, response, score,
            scoring=job.benchmark.declaration.scoring,
            source=old.source if old else self.source,
            time=old.time if old else int(time.time()),
        )  # fmt: skip
        if isinstance(item, FailedItem):
            return sample
        # A document of a million characters is in the data: store its beginning and end.
        prompt = tuple(abridged(message.render()) for message in item.messages)
        return replace(
            sample, cluster=item.cluster, parts=item.parts, prompt=prompt, target=item.target
        )

    def _load_native(self, asked: Sequence[_Tally]) -> None:
        """Load the native scorer while the model answers, as it takes seconds."""
        for tally in asked:
            if self._scores_natively(tally.benchmark):
                with suppress(UsageError):  # raised again when scoring
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
            except UsageError as error:  # the strict scores do not need it
                name = tally.benchmark.declaration.id
                self.progress.note(f"{name}: no native scores: {error}")

    def _write_native(self, tally: _Tally) -> None:
        declared, judge = tally.benchmark.declaration, self.settings.judge
        if not self._scores_natively(tally.benchmark):
            return
        known = stored_scores(
            self.store.path, "native", declared, self.settings.judge_name, tally.stored
        )
        if not declared.native_needs_judge:
            judge = None
        missing = [key for key, score in known.items() if score is None]
        repeats = sorted({repeat for _, repeat in missing})
        for repeat in repeats:
            ids = [item_id for item_id, other in missing if other == repeat]
            works, why = native_state()
            where = f" of repeat {repeat + 1}" if len(repeats) > 1 else ""
            where += "" if works else f", without a sandbox ({why})"
            self.progress.note(
                f"{declared.id}: native scoring of {counted(len(ids), 'answer')}{where}"
            )
            if judge is None:
                # All again: it is quick, and lmms-eval's random letters depend on the order.
                # Answers that crashed it are left out, and take no letter from the others.
                ids = [
                    item_id
                    for (item_id, other), score in known.items()
                    if other == repeat and (score is None or score.value is not None)
                ]
            size = JUDGED_AT_ONCE if judge else len(ids)
            for start in range(0, len(ids), size):
                self._score_portion(tally, ids[start : start + size], repeat, judge)

    def _score_portion(
        self, tally: _Tally, ids: Sequence[str], repeat: int, judge: Judge | None
    ) -> None:
        """Score some answers of one repeat natively and store the scores."""
        name, rules = tally.benchmark.declaration.id, tally.benchmark.declaration.native_rules
        responses = ((item_id, tally.stored[item_id, repeat].response) for item_id in ids)
        answers = {item_id: each.answer for item_id, each in responses if each is not None}
        reason = "native scoring stopped"
        try:
            scores = tally.benchmark.native(answers, judge)
        except UnfinishedError as error:
            scores, reason = error.scores, str(error)
        judge_name = judge.model if judge else None
        rows = [
            SecondaryScore.of(score, (item_id, repeat), answers[item_id], judge_name, rules)
            for item_id, score in scores.items()
            if score.value is not None or judge is None  # else it is asked again
        ]
        self.store.append_scores("native", name, rows)
        if left := len(ids) - len(scores):
            self.progress.note(
                f"{name}: {reason} before {counted(left, 'answer')}: the same command scores them"
            )


async def scored(benchmark: Benchmark, item: Item, response: Response, tools: Tools) -> Score:
    """Score a response strictly; a failing scorer costs one item, not the run.

    Raises `UsageError` if scoring is impossible from now on.
    """
    try:
        return _without_answer(response) or await benchmark.score(item, response, tools)
    except UsageError:
        raise
    except Exception as error:
        return _failure(error, "the scorer")


def _without_answer(response: Response) -> Score | None:
    """Return the score of a response without an answer; None: the benchmark scores it."""
    match response.absence:
        case None:
            return None
        case "filtered":
            return Score(None, "unscored", why="the server's content filter withheld the answer")
        case absence:
            return Score(0.0, "unparsable", why=f"no answer: {absence.replace('_', ' ')}")


def _failure(error: Exception, what: str) -> Score:
    """Return the score of a failed item: even a bug costs one item, not the run."""
    bug = "" if isinstance(error, ItemError) else f"{what} failed: {type(error).__name__}: "
    return Score(None, "error", why=f"{bug}{error}")
