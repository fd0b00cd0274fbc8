"""Usable tasks: code base, issue, reference patch and trajectories, merged from all sources."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablations.pairs.build import Funnel
from ablations.pairs.trajectories.patches import ReferencePatch, read_patch
from ablations.pairs.trajectories.reading import (
    Rows,
    Task,
    Trajectory,
    messages_of,
    open_rows,
    task_of,
    trajectory_of,
    value_of,
)
from ablations.pairs.trajectories.relating import BM25, BOUNDS
from harness.errors import UsageError
from harness.files.text import counted


@dataclass(frozen=True)
class Settings:
    """What decides which pairs are built.

    ``same``: what the reference patches must share. ``measure`` and its bounds: how similar the
    issues must be, from ``related`` up to below ``duplicate``. ``resolved``: use only trajectories
    that resolved their issue. ``task_patch``: whether a task's patch fixes the fault or introduces
    it; ``auto`` compares with the agents' submissions. ``limit``: the most pairs to mask and judge.
    """

    same: Literal["function", "file"] = "function"
    measure: str = BM25
    related: float = BOUNDS[BM25][0]
    duplicate: float = BOUNDS[BM25][1]
    resolved: bool = False
    both_directions: bool = False
    keep_issue: bool = False
    task_patch: Literal["auto", "fix", "fault"] = "auto"
    limit: int | None = None
    judge_model: str | None = None


@dataclass(frozen=True)
class Instance:
    """A usable task: its code base, issue, reference patch, and trajectories."""

    id: str
    base: tuple[str, str]
    issue: str
    patch: ReferencePatch
    trajectories: tuple[Trajectory, ...]


def read_instances(
    files: Sequence[Rows], tasks: Sequence[Path], settings: Settings, funnel: Funnel
) -> tuple[list[Instance], dict[str, str]]:
    """Return the usable instances, and all issues by instance."""
    known = {
        str(value_of(row, "instance")): task_of(row)
        for path in tasks
        for rows in open_rows(path).values()
        for row in rows
        if value_of(row, "instance") is not None
    }
    trajectories, described, dropped = _trajectories(files, settings)
    funnel.step("read", "trajectories", sum(map(len, trajectories.values())), dropped)
    if not trajectories:
        raise UsageError(
            "no trajectory with messages and an instance_id was found: see docs/pairs.md"
        )
    if tasks and (strange := [name for name in trajectories if name not in known]):
        funnel.notes.append(
            f"{len(strange)} of {counted(len(trajectories), 'instance')} are not in --tasks, as "
            f"{strange[0]}"
        )
    merged = {name: _merged(known.get(name), described[name]) for name in trajectories}
    reverse = _introduce_faults(merged, trajectories, settings, funnel)
    instances, missing = [], Counter[str]()
    for name, task in merged.items():
        patch = read_patch(task.patch, reverse=name in reverse) if task.patch else None
        if reason := _unusable(task, patch):
            missing[reason] += 1
            continue
        base = (str(task.repository), str(task.commit))
        assert patch is not None
        instances.append(Instance(name, base, str(task.issue), patch, tuple(trajectories[name])))
    funnel.step("usable", "instances", len(instances), missing)
    return instances, {name: task.issue for name, task in merged.items() if task.issue}


def _trajectories(
    files: Sequence[Rows], settings: Settings
) -> tuple[dict[str, list[Trajectory]], dict[str, Task], Counter[str]]:
    """Return trajectories by instance, what they reveal about tasks, and what was dropped."""
    by_instance: dict[str, list[Trajectory]] = defaultdict(list)
    tasks: dict[str, Task] = {}
    dropped: Counter[str] = Counter()
    for source, rows in enumerate(files):
        for index, row in enumerate(rows):
            messages = messages_of(row)
            trajectory = trajectory_of(row, messages, source, index)
            if trajectory is None:
                dropped["no messages or no instance_id"] += 1
            elif settings.resolved and not trajectory.resolved:
                dropped["not resolved"] += 1
            else:
                task = task_of(row, messages)
                before = tasks.get(trajectory.instance, task)
                tasks[trajectory.instance] = _merged(before, task)
                by_instance[trajectory.instance].append(trajectory)
    return by_instance, tasks, dropped


def _merged(first: Task | None, second: Task) -> Task:
    """Return the merged task of two sources; the first takes precedence."""
    if first is None:
        return second
    return Task(
        first.repository or second.repository,
        first.commit or second.commit,
        first.issue or second.issue,
        first.patch or second.patch,
        first.smith if first.patch else second.smith,
    )


def _introduce_faults(
    tasks: Mapping[str, Task],
    trajectories: Mapping[str, Sequence[Trajectory]],
    settings: Settings,
    funnel: Funnel,
) -> set[str]:
    """Return the tasks whose patch introduces the fault: SWE-smith's reference reverts it.

    Agents that resolved the issue wrote about what the reference adds: that settles it for all.
    """
    smith = {name for name, task in tasks.items() if task.smith and task.patch}
    if settings.task_patch != "auto" or not smith:
        return smith if settings.task_patch != "fix" else set()
    votes: Counter[bool] = Counter()
    for name in smith:
        for submitted in filter(None, (t.patch for t in trajectories[name] if t.resolved)):
            agent = read_patch(submitted)
            for reverse in (True, False):
                reference = read_patch(str(tasks[name].patch), reverse=reverse)
                if agent and reference:
                    votes[reverse] += len(agent.added & reference.added)
    if votes[False] > votes[True]:
        return set()
    funnel.notes.append(
        f"{len(smith)} patches of SWE-smith tasks introduce the fault: the reference is their "
        "reverse (--task-patch)"
    )
    return smith


def _unusable(task: Task, patch: ReferencePatch | None) -> str | None:
    if not task.repository or not task.commit:
        return "no repository or base commit"
    if not task.issue:
        return "no issue"
    if not task.patch:
        return "no reference patch"
    return "its patch cannot be read" if patch is None else None
