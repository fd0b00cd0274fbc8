"""Another tool's log as runs: what `harness import` and the public `import_log` do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.imports import formats
from benchmarks.imports.folders import Imported, import_run
from benchmarks.imports.log import Log
from benchmarks.imports.options import Options
from benchmarks.imports.scales import Scale
from harness.errors import UsageError
from harness.reading import Run, read_run

T = TypeVar("T")
Range = tuple[float, float]


def import_log(  # noqa: PLR0913 - the options of `harness import`, by name
    *paths: str | os.PathLike[str],
    form: str | None = None,
    out: str | os.PathLike[str] = "runs",
    data_root: str | os.PathLike[str] | None = None,
    benchmark: str | Mapping[str, str] | None = None,
    tasks: Iterable[str] | None = None,
    metric: str | None = None,
    scale: Range | Mapping[str, Range] | None = None,
    lower_is_better: bool = False,
    source_scores: bool = False,
    model_name: str | None = None,
    seed: int | None = None,
) -> list[Run]:
    """Make run folders of another tool's log, as `harness import` does, and return the runs.

    What is worth knowing of a log is in the manifest's ``imported``.

    Args:
        paths: files and folders of logs.
        form: their format (`harness import --help` lists them); None: it is recognised.
        out: the folder for the runs.
        data_root: where the data of our benchmarks is.
        benchmark: our benchmark, or a table of your own, that the log's task is; several by task.
        tasks: those to import; None: all.
        metric: the tool's metric that is the score; None: the first of the task.
        scale: lowest and highest value of a metric that is not in [0, 1]; several by task.
        lower_is_better: less of the metric is better.
        source_scores: the tool's own verdicts are the scores also on benchmarks that we have.
        model_name: what the model is called; None: as in the log.
        seed: the training seed of the model; None: the log's seed.

    Raises:
        UsageError: a log cannot be read, or a score is out of its range.
    """
    options = Options(
        out=Path(out),
        data_root=None if data_root is None else Path(data_root),
        scales={task: _scale(bounds) for task, bounds in _by_task(scale).items()},
        lower_is_better=lower_is_better,
        metric=metric,
        benchmarks=_by_task(benchmark),
        tasks=None if tasks is None else frozenset([tasks] if isinstance(tasks, str) else tasks),
        source_scores=source_scores,
        model_name=model_name,
        seed=seed,
    )
    _, imported = import_all(list(map(Path, paths)), form, options, lambda text: None)
    return [read_run(each.path) for each in imported]


def import_all(
    paths: Sequence[Path], form: str | None, options: Options, note: Callable[[str], None]
) -> tuple[str, list[Imported]]:
    """Import every evaluation in logs; return the format and what was made, in the logs' order.

    ``note`` gets a line for each thing worth knowing, and on progress.

    Raises:
        UsageError: as `import_run`, there is no path, or the format is not recognised.
    """
    name = form or formats.recognise(paths)
    logs = list(formats.get(name).read(paths))
    options.check(logs)
    imported = []
    for log in logs:
        if log.tasks and not options.chosen(log):
            note(f"the log of {log.model} is left out: it has only {_names(log)}")
            continue
        imported.append(done := import_run(log, options, note))
        for text in done.notes:
            note(text)
    return name, imported


def _names(log: Log) -> str:
    return ", ".join(sorted(task.name for task in log.tasks))


def _scale(bounds: Range) -> Scale:
    try:
        low, high = bounds
        return Scale.declare(float(low), float(high))
    except (TypeError, ValueError):
        raise UsageError(f"scale {bounds!r}: give (LOW, HIGH), with LOW below HIGH") from None


def _by_task(given: T | Mapping[str, T] | None) -> dict[str | None, T]:
    """Return values by task; a single one is that of all tasks, under None."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {task: value for task, value in given.items()}  # noqa: C416 - keys of another type
    return {None: given}
