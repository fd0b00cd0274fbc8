"""Content of a foreign log, for any tool; missing values are empty or None."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.records import Response


@dataclass(frozen=True, slots=True)
class LoggedSample:
    """One answer to one item.

    ``id`` is the tool's name of the item, unique in its task; answers that share it are repeats, in
    their order. ``official`` are names that may be the item's official id, likeliest first;
    ``numbered``: the tool may have made them by counting. ``row`` is its row number in the data.
    ``prompt``: the messages as text; ``question``: the question alone; ``image``: `digest` of the
    images' bytes. ``scores``: the tool's scores of the answer by metric, in its own form.
    ``shares_score``: the log has one score for all answers to the item, stored with the first.
    ``document``: a hash of the item's data that is the same in every log. ``error``: why
    infrastructure failed; there is no response then.
    """

    id: str
    response: Response | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)
    shares_score: bool = False
    official: Sequence[str] = ()
    numbered: bool = False
    row: int | None = None
    prompt: Sequence[str] = ()
    question: str = ""
    image: str = ""
    target: Any = None
    prediction: str | None = None
    parts: Sequence[str] = ()
    cluster: str = ""
    document: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as the tool declares it; bounds None if undeclared."""

    higher_is_better: bool = True
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class LoggedTask:
    """One task of a log.

    ``metrics`` are those of single answers, the main one first. ``settings`` affect answers, by the
    names of `Sampling` (``temperature``, ``max_tokens``, ...), as far as known; ``asked`` is what
    else decides prompts (shots, system prompt, version of the task). ``clusters`` says what a
    sample's cluster is.
    """

    name: str
    samples: Callable[[], Iterator[LoggedSample]]
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    asked: Mapping[str, Any] = field(default_factory=dict)
    clusters: str = ""
    n_data: int | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """One evaluation of a model, as logged by a tool.

    ``model`` is the model's name; ``identity`` is everything the log says to identify it. ``seed``
    is that of sampling or training, ``files`` are those that were read, ``config`` is the tool's
    own configuration. ``started`` is a time in ISO format.
    """

    tool: str
    version: str
    model: str
    tasks: Sequence[LoggedTask]
    files: Sequence[Path]
    identity: Any = None
    seed: int | None = None
    started: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


def together(logs: Iterable[tuple[str, Log]]) -> Iterator[Log]:
    """Merge logs of one model's tasks; two with a task of the same name stay separate."""
    kept: dict[tuple[object, ...], list[Log]] = {}
    for key, log in logs:
        who = (key, log.tool, log.version, log.model, str(log.identity), log.seed)
        same = kept.setdefault(who, [])
        names = {task.name for task in log.tasks}
        for at, other in enumerate(same):
            if names.isdisjoint(task.name for task in other.tasks):
                same[at] = _joined(other, log)
                break
        else:
            same.append(log)
    for same in kept.values():
        yield from same


def _joined(first: Log, second: Log) -> Log:
    return replace(
        first,
        tasks=[*first.tasks, *second.tasks],
        files=[*first.files, *second.files],
        notes=[*first.notes, *second.notes],
        started=min(filter(None, (first.started, second.started)), default=None),
        config={**first.config, **second.config},
    )


@dataclass(frozen=True, slots=True)
class Format:
    """A log format: title, detection and reader."""

    title: str
    detect: Callable[[Path], bool]
    read: Callable[[Sequence[Path]], Iterable[Log]]
