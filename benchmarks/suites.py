"""Suites by name, benchmark objects by id, and the user's own; nothing heavy is imported."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from benchmarks import data, registry, user_code
from benchmarks.options import declared, parsed
from benchmarks.registry import SUITES as SUITES
from benchmarks.registry import kind as kind
from benchmarks.registry import names as names
from harness.errors import UsageError, unknown
from harness.own_code import is_code

if TYPE_CHECKING:
    from benchmarks.data.local.verify import Report
    from harness.protocols import Benchmark, Declaration

_LONGEST = 60  # characters of a suite's name, which is part of a folder's
_SUITE_FILES = (".yaml", ".yml")


@dataclass(frozen=True)
class Suite:
    """A named list of benchmarks, and the options (words by name) that its file gives them."""

    name: str
    members: tuple[str, ...]
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def suite(wanted: str) -> Suite:
    """Return the suite that a word stands for.

    It is a suite's or benchmark's name, ``lmms:TASK``, a file (a table of questions, Python code,
    or a suite in YAML), or several of these with commas between. Raises `UsageError` if a part is
    none of these (names the nearest), or a file does not read.
    """
    words = [wanted] if Path(wanted).exists() else [word.strip() for word in wanted.split(",")]
    joined = _joined([word for word in words if word])
    label = joined.name
    if len(label) > _LONGEST:
        label = f"{label[:_LONGEST]}-{hashlib.sha256(label.encode()).hexdigest()[:6]}"
    return replace(joined, name=re.sub(r"[^A-Za-z0-9_.+-]", "_", label))


def _joined(words: Sequence[str]) -> Suite:
    """Return the suite of several words; UsageError if two files have benchmarks of one id."""
    origins: dict[str, Path] = {}
    options: dict[str, Mapping[str, str]] = {}
    labels: dict[str, None] = {}
    for word in words:
        part, path = _part(word), Path(word).resolve()
        labels[part.name] = None
        options |= part.options
        for name in part.members:
            other = origins.setdefault(name, path)
            if other != path and other.exists() and path.exists():
                raise UsageError(f"{other} and {path} both have a benchmark {name}: rename one")
    if not origins:
        raise UsageError("the suite names no benchmark")
    return Suite("+".join(labels), tuple(origins), options)


def _part(word: str) -> Suite:
    if word in SUITES:
        return Suite(word, SUITES[word])
    if registry.is_known(word):
        kind(word)  # raises where lmms-eval has no such task
        return Suite(word, (word,))
    path = Path(word)
    if path.suffix in _SUITE_FILES:
        from benchmarks.own.suite_file import read_suite

        name, words, options = read_suite(path)
        joined = _joined(words)
        for benchmark in options:
            if benchmark not in joined.members:
                raise unknown(f"benchmark in {path}", benchmark, joined.members)
        return Suite(name, joined.members, {**joined.options, **options})
    if path.exists() or path.suffix or "/" in word:
        return Suite(path.stem, add_file(path))
    raise unknown("suite or benchmark", word, (*SUITES, *names()))


def add_file(path: Path) -> tuple[str, ...]:
    """Add a table's or Python code's benchmarks and return their ids; UsageError for neither."""
    if not path.exists():
        raise UsageError(f"there is no file, suite or benchmark {path}")
    if is_code(path):
        return user_code.add(path)
    from benchmarks.own.table import table_benchmark

    table = table_benchmark(path)
    registry.add(table.id, table)
    return (table.id,)


def benchmark(
    benchmark_id: str,
    data_root: Path | None = None,
    *,
    images: bool = True,
    options: Mapping[str, str] = MappingProxyType({}),
) -> Benchmark:
    """Return a benchmark that reads its data under ``data_root``; no data is touched yet.

    The default root is that of `benchmarks.data.data_root`. Without ``images`` none is needed: to
    score responses that exist already. ``options`` are a user's words by the option's name. Raises
    `UsageError` if there is none of that name (names the nearest), or an option is wrong.
    """
    constructor = kind(benchmark_id)
    values = parsed(benchmark_id, constructor, options)
    built: Benchmark = constructor(data.data_root(data_root), images, **values)
    return built


def notes(members: Sequence[str], data_root: Path | None = None) -> dict[str, str]:
    """Return the notes that are shown with scores, of the benchmarks whose data have one."""
    root = data.data_root(data_root)
    return {name: note for name in members if (note := data.note(name, root))}


def revisions(members: Sequence[str], data_root: Path | None = None) -> dict[str, str | None]:
    """Return the commit that each benchmark's local data is of, None where that is not known."""
    from benchmarks.data.local.receipt import known_revision

    root = data.data_root(data_root)
    return {name: known_revision(name, root) for name in members}


def options(benchmark_id: str) -> dict[str, tuple[Any, str]]:
    """Return a benchmark's options: name -> (default, what it is)."""
    fields = declared(kind(benchmark_id)).values()
    return {field.name: (field.default, field.metadata["help"]) for field in fields}


def declarations() -> tuple[Declaration, ...]:
    """Return what every benchmark declares, in the order of the suites."""
    return tuple(benchmark(name).declaration for name in names())


def resolve(wanted: str | Sequence[str]) -> tuple[str, ...]:
    """Return the benchmark ids that words (see `suite`) stand for, each once, in order."""
    words = [wanted] if isinstance(wanted, str) else wanted
    return tuple(dict.fromkeys(name for word in words for name in suite(word).members))


def chosen(members: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return those of a suite's members that are wanted, in its order; UsageError for others."""
    stripped = [name.strip() for name in wanted]
    for name in stripped:
        if name not in members:
            raise unknown("benchmark in this suite", name, members)
    return tuple(name for name in members if name in stripped)


def verify(
    benchmark_id: str,
    root: Path,
    *,
    all_images: bool = False,
    options: Mapping[str, str] = MappingProxyType({}),
) -> Report:
    """Check one benchmark's local data; ``all_images`` decodes those of every row, not of a few.

    Raises `UsageError` for an unknown benchmark, or a wrong option.
    """
    from benchmarks.data.catalog.sources import GENERATED, has_source
    from benchmarks.data.local.verify import verify as verify_tables
    from benchmarks.longhorizon.swebench.tasks import TaskSet

    built = benchmark(benchmark_id, root, options=options)
    ours = benchmark_id in registry.CLASSES
    if not (ours and (has_source(benchmark_id) or benchmark_id in GENERATED)):
        from benchmarks.own.contract import verify as verify_own

        return verify_own(built, root, all_images=all_images)
    tasks = TaskSet(benchmark_id, root)
    if tasks.ours:
        return tasks.verify()
    return verify_tables(benchmark_id, root, all_images=all_images)
