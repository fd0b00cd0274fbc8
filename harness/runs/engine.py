"""The engine: items -> solve -> score -> store, as one stream without barriers.

The command line comes in with a store, benchmarks and a way to open a model; what leaves is on
disk.  Every answer is stored the moment it is scored, and what is stored is never asked again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace

from harness.errors import ItemError, UsageError, first_failure
from harness.files.hashing import json_hash
from harness.files.text import abridged
from harness.protocols import Benchmark, Demanding, FailedItem, Judge, Model, Progress, Tools
from harness.records import Item, Response, Sample, Sampling, Score
from harness.runs.judge import JudgedScoring
from harness.runs.store import RunStore, SampleKey, Verdict, read_samples, read_verdicts

JUDGED_AT_ONCE = 32  # answers between two writes of a judge's verdicts

OpenModel = Callable[[], AbstractAsyncContextManager[Model]]


@dataclass(frozen=True, slots=True)
class Settings:
    """How much of a run to fill, and how.

    ``max_tokens`` is a limit for all benchmarks, "native" for each task's own, or None for what
    each benchmark declares.  Every answer is drawn with a seed of its own, made of ``seed``, the
    item and the repeat, so that no two runs or items share their noise.
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

    def untried(self, benchmark: Benchmark, tried: Iterable[SampleKey]) -> int:
        """Return how many of the wanted answers were never tried, where these were.

        Ids are not known before items are built: those with most answers count as the wanted.
        """
        answers = Counter(item_id for item_id, repeat in tried if repeat < self.repeats)
        wanted = self.wanted(benchmark)
        return wanted * self.repeats - sum(n for _, n in answers.most_common(wanted))

    def left(self, benchmark: Benchmark, tried: Mapping[SampleKey, bool]) -> int:
        """Return how many answers are left to try, never tried or in vain (those that are False).

        Those in vain are not counted where more items were tried than are wanted now: they may be
        of the others.
        """
        beyond = len({item_id for item_id, _ in tried}) > self.wanted(benchmark)
        vain = 0 if beyond else sum(not done for done in tried.values())
        return self.untried(benchmark, tried) + vain


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


def settled(sample: Sample, scoring: str) -> bool:
    """Whether a stored sample needs neither an answer nor a new score."""
    return sample.score.status != "error" and sample.scoring == scoring


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
        self.tallies = [
            _Tally(benchmark, read_samples(store.path, benchmark.declaration.id))
            for benchmark in benchmarks
        ]
        self._queue: asyncio.Queue[_Job | None] = asyncio.Queue(settings.concurrency)
        self._native_lock = asyncio.Lock()
        judge = settings.judge
        self._judged = (
            JudgedScoring(store, judge, settings.concurrency, progress) if judge else None
        )

    def _has_untried(self, tally: _Tally) -> bool:
        """Whether some wanted answer was never tried: then a model is needed for certain."""
        return self.settings.untried(tally.benchmark, tally.stored) > 0

    async def run(self, open_model: OpenModel) -> None:
        """Fill the run.

        The model is opened first where answers are missing for certain, so that one that cannot
        start says so at once; a run that only lacks scores never opens it.

        Raises:
            UsageError: the model cannot be opened or is gone, or every answer is an error, or the
                judge is gone, without whom all was answered nevertheless; everything answered and
                judged is stored.
        """
        async with AsyncExitStack() as stack:
            model = _LateModel(open_model, stack)
            await self._prepare()
            if any(map(self._has_untried, self.tallies)):
                await model.get()
            await self._stream(model)
        self._refuse_nothing_but_errors()
        if self._judged is not None and self._judged.failure is not None:
            raise self._judged.failure

    def _refuse_nothing_but_errors(self) -> None:
        """Raise where the benchmarks asked for hold no answer that is not an error."""
        scores = [sample.score for tally in self.tallies for sample in tally.stored.values()]
        if scores and all(score.status == "error" for score in scores):
            why = " ".join(scores[0].why.split())
            raise UsageError(
                f"all {len(scores)} answers are errors, the first: {why} "
                "(stored as errors: the same command tries them again)"
            )

    async def _prepare(self) -> None:
        """Let benchmarks that need more of the machine see that it is there, where work is left.

        Raises:
            UsageError: it is not.
        """
        for tally in self.tallies:
            scoring = tally.benchmark.declaration.scoring
            left = self._has_untried(tally) or not all(
                settled(sample, scoring) for sample in tally.stored.values()
            )
            if isinstance(tally.benchmark, Demanding) and left:
                await tally.benchmark.prepare(self.settings.tools)

    async def _stream(self, model: _LateModel) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for tally in self.tallies:
                    group.create_task(self._score_natively(tally))
                if self._judged is not None:
                    group.create_task(self._judged.run())
                async with asyncio.TaskGroup() as answering:
                    answering.create_task(self._produce())
                    for _ in range(self.settings.concurrency):
                        answering.create_task(self._work(model))
                if self._judged is not None:
                    self._judged.close()
        except BaseExceptionGroup as failures:
            raise first_failure(failures) from None

    async def _produce(self) -> None:
        for tally in self.tallies:
            self._announce(tally)
        for tally in self.tallies:
            before = list(tally.stored.values())
            jobs = self._jobs(tally)
            while (job := await asyncio.to_thread(next, jobs, None)) is not None:
                tally.pending += 1
                await self._queue.put(job)
            if self._judged is not None:
                for sample in before:
                    self._judged.add(tally.benchmark, sample)
            tally.all_queued = True
            tally.check()
        for _ in range(self.settings.concurrency):
            await self._queue.put(None)

    def _announce(self, tally: _Tally) -> None:
        scoring = tally.benchmark.declaration.scoring
        tried = {key: settled(sample, scoring) for key, sample in tally.stored.items()}
        left = self.settings.left(tally.benchmark, tried)
        total = max(left, self.settings.wanted(tally.benchmark) * self.settings.repeats)
        self.progress.start(tally.benchmark.declaration.id, total, total - left)
        if self._judged is not None:
            self._judged.start(tally.benchmark, total)

    def _jobs(self, tally: _Tally) -> Iterator[_Job]:
        """Yield what is left to do of one benchmark, in the data's order.

        Items beyond the limit are only scored again, where the scoring of their answers is stale:
        a run never holds the scores of two scorers.

        Raises:
            UsageError: two items have one id: one of them would be lost.
        """
        benchmark, repeats = tally.benchmark, range(self.settings.repeats)
        scoring = benchmark.declaration.scoring
        # By item, as it is now: this runs in a thread, beside the loop that stores answers.
        stored: dict[str, dict[int, Sample]] = {}
        for (item_id, repeat), sample in list(tally.stored.items()):
            stored.setdefault(item_id, {})[repeat] = sample
        ids = benchmark.ids()
        refuse_repeated(benchmark.declaration.id, ids)
        wanted = set(ids[: self.settings.limit])
        for item_id in ids:
            samples = stored.get(item_id, {})
            left = {
                repeat: sample.response
                for repeat, sample in samples.items()
                if not settled(sample, scoring)
                and (item_id in wanted or sample.response is not None)
            }
            if item_id in wanted:
                left |= {repeat: None for repeat in repeats if repeat not in samples}
            if left:
                item = benchmark.build(item_id)
                for repeat, response in sorted(left.items()):
                    yield _Job(benchmark, item, repeat, response)

    async def _work(self, model: _LateModel) -> None:
        by_id = {tally.benchmark.declaration.id: tally for tally in self.tallies}
        while (job := await self._queue.get()) is not None:
            sample = await self._sample(job, model)
            name = job.benchmark.declaration.id
            tally = by_id[name]
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
            except Exception as error:
                return _keep(job, None, _failure(error, "the question"))
            response = replace(response, seconds=time.perf_counter() - began)
        return _keep(job, response, await _score(benchmark, item, response, self.settings.tools))

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
        if not declared.native_rules or (declared.native_needs_judge and judge is None):
            return
        if not declared.native_needs_judge:
            judge = None
        name, rules = judge.model if judge else None, declared.native_rules
        known = read_verdicts(self.store.path, "native", declared.id, name)
        for repeat in sorted({repeat for _, repeat in tally.stored}):
            answers = {
                item_id: sample.response.answer
                for (item_id, other), sample in tally.stored.items()
                if other == repeat and sample.response is not None
            }
            missing = [
                item_id
                for item_id, answer in answers.items()
                if not (row := known.get((item_id, repeat))) or not row.holds(answer, rules)
            ]
            if not missing:
                continue
            self.progress.note(f"{declared.id}: native scoring of {len(missing)} answers")
            # Without a judge it is quick, and lmms-eval's random letters hang on the whole order.
            portions = [list(answers)] if judge is None else _portions(missing, JUDGED_AT_ONCE)
            for portion in portions:
                scores = tally.benchmark.native({i: answers[i] for i in portion}, judge)
                rows = [
                    Verdict.of(score, (item_id, repeat), answers[item_id], name, rules)
                    for item_id, score in scores.items()
                    if score.value is not None or judge is None  # else it is asked again
                ]
                self.store.append_verdicts("native", declared.id, rows)
                if left := len(portion) - len(scores):
                    self.progress.note(
                        f"{declared.id}: native scoring died before {left} answers: the same "
                        "command scores them"
                    )


def _portions(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def refuse_repeated(benchmark_id: str, ids: Sequence[str]) -> None:
    """Refuse items that share an id.

    Raises:
        UsageError: two items have one id: one of them would be lost.
    """
    if len(set(ids)) < len(ids):
        item_id = Counter(ids).most_common(1)[0][0]
        raise UsageError(
            f"{benchmark_id} has two items with the id {item_id}: make them differ in the data"
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
