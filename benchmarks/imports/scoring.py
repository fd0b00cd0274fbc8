"""Turn the answers of logged tasks into a run's lines: scored by us, or by the tool."""

from __future__ import annotations

import asyncio
import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from typing import Any

from benchmarks.imports.log import LoggedSample, LoggedTask
from benchmarks.imports.matching import Items, folded, prompt_of, reasons
from benchmarks.imports.scales import Scale, complete, number_of
from harness.errors import UsageError
from harness.files.text import abridged
from harness.protocols import Declaration, FailedItem, Tools
from harness.records import Item, Response, Sample, Score
from harness.runs.engine import scored
from harness.runs.store import UNKNOWN, SecondaryScore

NOT_STRICT = "not scored strictly: the benchmark's items were not at hand"
ONE_SCORE = "left out, since the log has one score for all answers to an item"
_RANGE = "its range with --scale"
_METRICS_RANGE = (
    "the metric's range with --scale LOW,HIGH (and --lower-is-better where it is), or choose "
    "another with --metric"
)
Line = tuple[Sample, SecondaryScore | None]


@dataclass(slots=True)
class Content:
    """An order-independent hash of the content of all items of a benchmark."""

    total: int = 0
    known: bool = True

    def add(self, item_id: str, value: Any) -> None:
        """Add an item's content; an empty one (None, "", ()) makes the whole unknown."""
        if value in (None, "", (), []):
            self.known = False
            return
        said = json.dumps([item_id, value], sort_keys=True).encode()
        digest = hashlib.blake2b(said, digest_size=16).digest()
        self.total = (self.total + int.from_bytes(digest)) % (1 << 128)

    def __str__(self) -> str:
        return f"{self.total:032x}" if self.known and self.total else UNKNOWN


@dataclass(kw_only=True)
class Scored(ABC):
    """The lines of one benchmark of a log, and facts known after iterating over them.

    ``as_ours``: every answer was to exactly our prompt. ``unmatched``: samples without an item, and
    why.
    """

    declaration: Declaration
    tool: str
    tasks: Sequence[LoggedTask]
    prompts: Content = field(default_factory=Content)
    documents: Content = field(default_factory=Content)
    as_ours: bool = True
    unmatched: list[tuple[str, str]] = field(default_factory=list)
    answers: int = 0
    without: Counter[str] = field(default_factory=Counter)

    @abstractmethod
    def lines(self) -> Iterator[Line]:
        """Yield every line, with the tool's verdict if that is not the score."""

    @property
    def settings(self) -> dict[str, Any]:
        """Sampling settings, where all tasks agree."""
        first, *others = (task.settings for task in self.tasks)
        agreed = first.items()
        return {name: v for name, v in agreed if all(other.get(name) == v for other in others)}

    @property
    def asked(self) -> dict[str, Any]:
        """What decides prompts by task, as far as logged."""
        return {task.name: dict(task.asked) for task in self.tasks}

    def notes(self) -> list[str]:
        """Return the caveats on the answers."""
        return [
            *reasons(self.unmatched),
            *(f"{count} of its answers: {why}" for why, count in self.without.items()),
        ]


class _Repeats:
    """Number the answers to an item, and reject a second sample of it under another name."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, int]] = {}

    def number(self, item_id: str, name: str) -> int | None:
        """Return the repeat of an item's next answer; None if it belongs to another sample."""
        first, count = self._seen.get(item_id, (name, 0))
        if first != name:
            return None
        self._seen[item_id] = (name, count + 1)
        return count


@dataclass(kw_only=True)
class StrictlyScored(Scored):
    """Answers to tasks that are a benchmark of ours; ``metrics``: the tool's verdicts by task."""

    items: Items
    metrics: Mapping[str, str | None]

    def lines(self) -> Iterator[Line]:
        """Yield the lines; each answer is scored by our scorer."""
        repeats, rules = _Repeats(), self.declaration.native_rules
        with asyncio.Runner() as runner:
            for task in self.tasks:
                for sample in task.samples():
                    if (found := self._item(task, sample, repeats)) is None:
                        continue
                    line = runner.run(self._sample(*found, sample))
                    self.answers += 1
                    yield line, verdict(line, sample, self.metrics.get(task.name), rules)

    def _item(
        self, task: LoggedTask, sample: LoggedSample, repeats: _Repeats
    ) -> tuple[Item | FailedItem, int] | None:
        """Return a sample's item and the repeat; None, with the reason noted, if it has none."""
        name = f"{task.name}/{sample.id}"
        item_id, why = self.items.find(task.name, sample)
        repeat = None if item_id is None else repeats.number(item_id, name)
        if item_id is None or repeat is None:
            self.unmatched.append((name, why or "another answer is of the same item"))
            return None
        item = self.items.all[item_id]
        prompt = folded("".join(sample.prompt))
        self.as_ours &= bool(prompt) and prompt == folded(prompt_of(item))
        if repeat == 0:
            self.prompts.add(item_id, list(sample.prompt))
        return item, repeat

    async def _sample(self, item: Item | FailedItem, repeat: int, sample: LoggedSample) -> Sample:
        line = Sample(
            item.id, repeat, item.id, (), tuple(map(abridged, sample.prompt)), None,
            sample.response, Score(None, "error"), self.declaration.scoring, source=0,
        )  # fmt: skip
        if isinstance(item, FailedItem):
            return replace(line, score=Score(None, "error", why=item.reason))
        line = replace(line, cluster=item.cluster, parts=item.parts, target=item.target)
        if sample.response is None:
            why = sample.error or "the log holds no response"
            self.without[why] += 1
            return replace(line, score=Score(None, "error", why=why))
        score = await scored(self.items.benchmark, item, sample.response, Tools())
        return replace(line, score=score)


def verdict(
    line: Sample, sample: LoggedSample, metric: str | None, rules: str
) -> SecondaryScore | None:
    """Return a tool's own verdict on an answer, None if it gave none in [0, 1]."""
    value = None if metric is None else number_of(sample.scores.get(metric))
    if line.response is None or value is None or not 0 <= value <= 1:
        return None
    score = Score(value, "scored", sample.prediction, why=f"{metric} in the log")
    return SecondaryScore.of(score, (line.id, line.repeat), line.response.answer, None, rules)


@dataclass(kw_only=True)
class SourceScored(Scored):
    """Answers to a task that is not a benchmark of ours: the tool's score is the score.

    ``as_score`` is false for one of ours without its items: the tool's score is kept as native.
    """

    metric: str | None
    scale: Scale
    as_score: bool

    def lines(self) -> Iterator[Line]:
        """Yield the lines; UsageError if a score is out of its range."""
        repeats = _Repeats()
        for sample in self.tasks[0].samples():
            if self.as_score and sample.shares_score:
                self.without[ONE_SCORE] += 1
                continue
            repeat = repeats.number(sample.id, sample.id) or 0
            score, value = self._score(sample)
            line = Sample(
                sample.id, repeat, sample.cluster or sample.id, tuple(sample.parts),
                tuple(map(abridged, sample.prompt)), sample.target, sample.response, score,
                self.declaration.scoring, source=0, source_value=value,
            )  # fmt: skip
            self.answers += 1
            if repeat == 0:
                self.prompts.add(sample.id, list(sample.prompt))
                self.documents.add(sample.id, sample.document or sample.target)
            if self.as_score:
                yield line, None
            else:
                native = verdict(line, sample, self.metric, self.declaration.native_rules)
                unscored = Score(None, "unscored", line.score.prediction, why=NOT_STRICT)
                yield replace(line, score=unscored, source_value=None), native

    def _score(self, sample: LoggedSample) -> tuple[Score, float | None]:
        """Return the score, and its value in the tool's units."""
        if sample.error:
            self.without[sample.error] += 1
            return Score(None, "error", sample.prediction, why=sample.error), None
        value = None if self.metric is None else number_of(sample.scores.get(self.metric))
        if value is None:
            why = f"the log gives no {self.metric or 'score'}"
            self.without[why] += 1
            return Score(None, "unscored", sample.prediction, why=why), None
        try:
            mapped = self.scale.mapped(value)
        except ValueError as error:
            raise UsageError(
                f"{self.tasks[0].name}: the {self.metric} of sample {sample.id}: {error}: declare "
                f"{_RANGE if self.scale.declared else _METRICS_RANGE}"
            ) from error
        why = f"{self.metric} in the log of {self.tool}"
        return Score(mapped, "scored", sample.prediction, why=why), value


def native_metric(kind: Any, task: LoggedTask) -> str | None:
    """Return the tool's metric that judges a benchmark of ours, None if it has none."""
    wanted = [*getattr(kind, "native_metric", ())[:1], *task.metrics]
    several = list(islice(task.samples(), 50))
    names = dict.fromkeys([*wanted, *(name for sample in several for name in sample.scores)])
    return next(iter(complete(map(str, names), several)), None)


def light(sample: Sample) -> Sample:
    """Return a line without its texts, as needed for a summary of the tool's scores."""
    response = sample.response
    if response is not None:
        shown = "x" if response.text.strip() else ""
        response = _response(
            shown, response.reasoning and "x", finish_reason=response.finish_reason
        )
    return replace(sample, prompt=(), target=None, response=response)


_response = cache(Response)
