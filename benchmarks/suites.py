"""Suites by name, and benchmark objects by id; nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

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

    Without a data root it is the default one (`benchmarks.data.data_root`).  Without ``images``
    none is needed: to score responses that exist already.  ``options`` are words of a user, by
    the option's name (`benchmarks.options`).

    Raises:
        UsageError: there is none of that name (names the nearest), or an option is wrong.
    """
    constructor = cast("Callable[..., Benchmark]", kind(benchmark_id))
    values = parsed(benchmark_id, kind(benchmark_id), options)
    return constructor(data.data_root(data_root), images, **values)


def notes(members: Sequence[str], data_root: Path | None = None) -> dict[str, str]:
    """Return what must stand beside every score on the data of benchmarks that have such a note.

    Raises:
        UsageError: a note is not readable.
    """
    root = data.data_root(data_root)
    found = {name: data.note(name, root) for name in members}
    return {name: note for name, note in found.items() if note}


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
    found: list[str] = []
    for name in [wanted] if isinstance(wanted, str) else wanted:
        if name in SUITES:
            found += SUITES[name]
        elif name in CLASSES:
            found.append(name)
        else:
            raise unknown("suite or benchmark", name, (*SUITES, *names()))
    return tuple(dict.fromkeys(found))


def chosen(members: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return those of a suite's members that are wanted, in the suite's order.

    Raises:
        UsageError: a wanted name is none of the members; names the nearest.
    """
    names_wanted = [name.strip() for name in wanted]
    for name in names_wanted:
        if name not in members:
            raise unknown("benchmark in this suite", name, members)
    return tuple(name for name in members if name in names_wanted)


def verify(benchmark_id: str, root: Path, *, all_images: bool = False) -> Report:
    """Check one benchmark's local data, in whichever of its forms they are.

    Args:
        benchmark_id: as in `names`.
        root: the data root.
        all_images: decode the images of every row, not of a few.

    Raises:
        UsageError: unknown benchmark.
    """
    from benchmarks.data.local.verify import verify as verify_tables
    from benchmarks.longhorizon.swebench.tasks import TaskSet

    tasks = TaskSet(benchmark_id, root)
    if tasks.ours:
        return tasks.verify()
    return verify_tables(benchmark_id, root, all_images=all_images)
