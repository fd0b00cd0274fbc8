"""Suites by name, and benchmark objects by id; nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from benchmarks import data
from benchmarks.options import declared, parsed
from benchmarks.registry import CLASSES, SUITES, kind, names
from harness.errors import unknown

if TYPE_CHECKING:
    from benchmarks.data.local.verify import Report
    from harness.protocols import Benchmark, Declaration

__all__ = [
    "SUITES",
    "benchmark",
    "chosen",
    "declarations",
    "kind",
    "names",
    "notes",
    "options",
    "resolve",
    "revisions",
    "verify",
]


def benchmark(
    benchmark_id: str,
    data_root: Path | None = None,
    *,
    images: bool = True,
    options: Mapping[str, str] = MappingProxyType({}),
) -> Benchmark:
    """Return a benchmark that reads its data under ``data_root``; no data is touched yet.

    The default root is that of `benchmarks.data.data_root`.  Without ``images`` none is needed: to
    score responses that exist already.  ``options`` are a user's words by the option's name.

    Raises:
        UsageError: there is none of that name (names the nearest), or an option is wrong.
    """
    constructor = kind(benchmark_id)
    values = parsed(benchmark_id, constructor, options)
    built: Benchmark = constructor(data.data_root(data_root), images, **values)
    return built


def notes(members: Sequence[str], data_root: Path | None = None) -> dict[str, str]:
    """Return the notes that are shown with scores, of the benchmarks whose data have one.

    Raises:
        UsageError: a note is not readable.
    """
    root = data.data_root(data_root)
    return {name: note for name in members if (note := data.note(name, root))}


def revisions(members: Sequence[str], data_root: Path | None = None) -> dict[str, str | None]:
    """Return the commit that each benchmark's local data is of, None where that is not known."""
    from benchmarks.data.local.receipt import known_revision

    root = data.data_root(data_root)
    return {name: known_revision(name, root) for name in members}


def options(benchmark_id: str) -> dict[str, tuple[Any, str]]:
    """Return a benchmark's options: name -> (default, what it is).

    Raises:
        UsageError: there is no benchmark of that name; names the nearest.
    """
    fields = declared(kind(benchmark_id)).values()
    return {field.name: (field.default, field.metadata["help"]) for field in fields}


def declarations() -> tuple[Declaration, ...]:
    """Return what every benchmark declares, in the order of the suites."""
    return tuple(benchmark(name).declaration for name in names())


def resolve(wanted: str | Sequence[str]) -> tuple[str, ...]:
    """Return the benchmark ids that suite names and benchmark ids stand for, each once, in order.

    Raises:
        UsageError: a name is neither; names the nearest.
    """
    ids: list[str] = []
    for name in [wanted] if isinstance(wanted, str) else wanted:
        if name in SUITES:
            ids += SUITES[name]
        elif name in CLASSES:
            ids.append(name)
        else:
            raise unknown("suite or benchmark", name, (*SUITES, *names()))
    return tuple(dict.fromkeys(ids))


def chosen(members: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return those of a suite's members that are wanted, in the suite's order.

    Raises:
        UsageError: a wanted name is none of the members; names the nearest.
    """
    stripped = [name.strip() for name in wanted]
    for name in stripped:
        if name not in members:
            raise unknown("benchmark in this suite", name, members)
    return tuple(name for name in members if name in stripped)


def verify(benchmark_id: str, root: Path, *, all_images: bool = False) -> Report:
    """Check one benchmark's local data; ``all_images`` decodes those of every row, not of a few.

    Raises:
        UsageError: unknown benchmark.
    """
    from benchmarks.data.local.verify import verify as verify_tables
    from benchmarks.longhorizon.swebench.tasks import TaskSet

    tasks = TaskSet(benchmark_id, root)
    if tasks.ours:
        return tasks.verify()
    return verify_tables(benchmark_id, root, all_images=all_images)
