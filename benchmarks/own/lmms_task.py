"""Any task of lmms-eval by its name, ``lmms:TASK``: its own metric is the score.

Prompts, images and the metric are lmms-eval's, run in the process of native scoring; no strict
scorer reads the answers.  What has no score per answer in [0, 1] is refused in one line.
"""

from __future__ import annotations

import asyncio
import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.data.catalog.sources import Source, Table
from benchmarks.options import option
from benchmarks.registry import LMMS
from benchmarks.scoring import Target
from benchmarks.vqa.base.benchmark import Doc, Form, LmmsBenchmark
from benchmarks.vqa.base.native import shared_scorer
from benchmarks.vqa.base.tasks import library_version, task_files
from harness import reasoning
from harness.errors import ItemError, UnfinishedError, UsageError, first_line
from harness.files.hashing import source_hash
from harness.protocols import Declaration, Tools
from harness.records import Item, Response, Score

_WORKER = Path(__file__).parents[1] / "vqa" / "base" / "native_worker.py"
# Where a task's metric is a mapping for its aggregation, one of these is the answer's value.
_VALUES = ("score", "acc", "accuracy", "correct", "exact_match")
_NO_SCORE = "no score for one answer"
_NO_JUDGE = "these rules ask a judge"


def _positive(word: str) -> float:
    number = float(word)
    if not (math.isfinite(number) and number > 0):
        raise ValueError("write a number above 0")
    return number


@dataclass(frozen=True)
class LmmsTask(LmmsBenchmark):
    """One task of lmms-eval; `task_benchmark` makes its class."""

    metric_name: str = option("", str, "the task's metric to score by  [default: its first]")
    scale: float = option(1.0, _positive, "what the metric is divided by: 100 for percent")

    prompt_variant = "default"
    max_tokens = 8192  # leaves room to reason
    native_metric = ()
    metrics: ClassVar[tuple[str, ...]]

    @property
    def wanted(self) -> str:
        """The metric that is the score."""
        if self.metric_name and self.metric_name not in self.metrics:
            raise UsageError(
                f"{self.id} has no metric {self.metric_name!r}: choose from "
                f"{', '.join(self.metrics)}"
            )
        return self.metric_name or self.metrics[0]

    @property
    def declaration(self) -> Declaration:
        """The declared protocol: native only."""
        version = f"native {library_version()}-{source_hash(_WORKER, Path(__file__), _REASONING)}"
        return replace(
            super().declaration,
            metric=f"{self.wanted}, by lmms-eval alone",
            scoring=f"{version} {self.wanted}/{self.scale:g}{reasoning.tags_version()}",
            native_rules="",
            note=f"native only: the score is lmms-eval's own {self.wanted}, not a strict one",
        )

    def target(self, doc: Doc) -> Target:
        """Return what the task calls the target, to show it."""
        try:
            gold = self.tables[0].task.doc_to_target(doc)
        except Exception:  # not every task has one
            gold = ""
        return Target("text", gold if isinstance(gold, str) else repr(gold)[:1000])

    @property
    def _image_columns(self) -> tuple[str, ...]:
        return self.tables[0].images

    def native_value(self, metrics: Mapping[str, Any]) -> float:
        """Return the metric's value of one answer, in [0, 1]; ItemError if it has none."""
        name = self.wanted
        if name not in metrics:
            raise ItemError(f"{_NO_SCORE}: the task gives {', '.join(map(str, metrics))}: --set "
                            f"{self.id}.metric_name=...")  # fmt: skip
        value = metrics[name]
        if isinstance(value, Mapping):
            value = next((value[key] for key in _VALUES if key in value), None)
        try:
            number = float(value) / self.scale
        except (TypeError, ValueError):
            raise ItemError(
                f"{_NO_SCORE}: {name} is made of all answers at once, of one it gives "
                f"{metrics[name]!r:.80}; write an adapter (CONTRIBUTING.md)"
            ) from None
        if not 0 <= number <= 1:
            raise ItemError(f"{_NO_SCORE} in [0, 1]: {name} is {value}: --set {self.id}.scale=...")
        return number

    @cached_property
    def _batches(self) -> _Batches:
        return _Batches(self)

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        """Score a response by the task's metric, in the native scorer's child.

        Raises `ItemError` if its time is spent (the next call of the run goes on), `UsageError` if
        the metric says nothing of a single answer, or needs a judge.
        """
        score = await self._batches.score(item.id, response.answer)
        if score.value is None and score.why.startswith((_NO_SCORE, _NO_JUDGE)):
            raise UsageError(f"{self.id}: {score.why}")
        return score

    def scored(self, answers: Mapping[str, str]) -> Mapping[str, Score]:
        """Return the scores of some answers that the child came to."""
        try:
            return shared_scorer().score(
                self.id, self.data_root, answers, None, images=self.images,
                options=self.given_options,
            )  # fmt: skip
        except UnfinishedError as error:
            return error.scores


class _Batches:
    """Scores all answers together that came while others were scored."""

    def __init__(self, task: LmmsTask) -> None:
        self._task = task
        self._waiting: list[tuple[str, str, asyncio.Future[Score]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def score(self, item_id: str, answer: str) -> Score:
        """Return the score of one answer; errors of `LmmsTask.score`."""
        future: asyncio.Future[Score] = asyncio.get_running_loop().create_future()
        self._waiting.append((item_id, answer, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            batch: dict[str, tuple[str, asyncio.Future[Score]]] = {}
            later = []
            for waiting in self._waiting:
                if waiting[0] in batch:  # another repeat
                    later.append(waiting)
                else:
                    batch[waiting[0]] = waiting[1:]
            self._waiting = later
            await self._run(batch)

    async def _run(self, batch: Mapping[str, tuple[str, asyncio.Future[Score]]]) -> None:
        answers = {item_id: answer for item_id, (answer, _) in batch.items()}
        scores: Mapping[str, Score] = {}
        failure: Exception = ItemError("native scoring ran out of time: rerun to go on")
        try:
            scores = await asyncio.to_thread(self._task.scored, answers)
        except UsageError as error:
            failure = error
        for item_id, (_, future) in batch.items():
            if not future.done():
                if item_id in scores:
                    future.set_result(scores[item_id])
                else:
                    future.set_exception(failure)


_REASONING = Path(str(reasoning.__file__))


def task_benchmark(benchmark_id: str) -> type[LmmsTask]:
    """Return the class of ``lmms:TASK`` without lmms-eval's import; UsageError if unusable."""
    name = benchmark_id.removeprefix(LMMS)
    if name not in task_files():
        near = difflib.get_close_matches(name, task_files(), n=1)
        hint = f": did you mean {LMMS}{near[0]}?" if near else ""
        raise UsageError(f"lmms-eval {library_version()} has no task named {name!r}{hint}")
    config = read_config(task_files()[name])
    _refuse(benchmark_id, config)
    split = config.get("test_split") or config["validation_split"]
    drawn = config.get("generation_kwargs")
    limit = drawn.get("max_new_tokens") if isinstance(drawn, dict) else None
    is_limit = isinstance(limit, int) and limit > 0
    table = Table(str(config.get("dataset_name") or ""), str(split), 0, (), ())
    return type(
        "LmmsTask_" + re.sub(r"\W", "_", name),
        (LmmsTask,),
        {
            "id": benchmark_id,
            "title": f"lmms-eval task {name}",
            "source": Source(str(config["dataset_path"]), None, (table,)),
            "tasks": (Form(name, table.config, table.split),),
            "metrics": tuple(str(each["metric"]) for each in config["metric_list"]),
            "native_max_tokens": limit if is_limit else 16,  # lmms-eval's default
            "__module__": __name__,
        },
    )


def _refuse(benchmark_id: str, config: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a task that cannot be run here."""
    kind = config.get("output_type", "generate_until")
    metrics = config.get("metric_list")
    reason = ""
    if isinstance(config.get("task"), list):
        members = ", ".join(f"{LMMS}{each}" for each in config["task"] if isinstance(each, str))
        reason = f"it is a group of tasks: give some of {members}"
    elif kind != "generate_until":
        reason = f"its output type is {kind}: only generate_until is asked"
    elif config.get("process_docs"):
        reason = "it changes its documents before it asks (process_docs)"
    elif not metrics or not all(isinstance(m, dict) and "metric" in m for m in metrics):
        reason = "it has no list of metrics"
    elif metrics[0].get("higher_is_better") is False:
        reason = f"less of {metrics[0]['metric']} is better: it is no score"
    elif not config.get("dataset_path") or not (
        config.get("test_split") or config.get("validation_split")
    ):
        reason = "its file names no data set with a split to test"
    if reason:
        raise UsageError(f"{benchmark_id} cannot be run: {reason}")


def read_config(path: Path) -> dict[str, Any]:
    """Return a task's yaml file with what it includes; functions are their names.

    Source: ``lmms_eval.utils.load_yaml_config``, whose "simple" mode does the same. Raises
    `UsageError` if it does not read.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Knows lmms-eval's tag for functions."""

    Loader.add_constructor("!function", lambda loader, node: str(node.value))
    try:
        read = yaml.load(path.read_bytes(), Loader)
    except (OSError, yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {first_line(error)}") from error
    own: dict[str, Any] = read if isinstance(read, dict) else {}
    included = own.pop("include", None) or []
    merged: dict[str, Any] = {}
    for name in reversed([included] if isinstance(included, str) else included):
        merged |= read_config(path.parent / str(name))
    return merged | own
