"""Merge logs of single tasks that belong to one evaluation of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from benchmarks.imports.log import Log


def together(logs: Iterable[tuple[str, Log]]) -> Iterator[Log]:
    """Yield logs, merging those with the same key, tool, model and seed.

    Two with a task of the same name are two evaluations: they stay separate.
    """
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
    starts = [each.started for each in (first, second) if each.started]
    return replace(
        first,
        tasks=[*first.tasks, *second.tasks],
        files=[*first.files, *second.files],
        notes=[*first.notes, *second.notes],
        started=min(starts, default=None),
        config={**first.config, **second.config},
    )
