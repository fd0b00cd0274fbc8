"""Import another tool's log as runs: `harness import` and the public `import_log`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.imports import formats
from benchmarks.imports.folders import Imported, import_run
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
    """Make run folders from another tool's log, like `harness import`, and return the runs.

    Remarks on the log are in the manifest's ``imported``.

    Args:
        paths: files and folders of logs.
        form: their format (`harness import --help` lists them); None: detect it.
        out: the folder for the runs.
        data_root: where the data of our benchmarks is.
        benchmark: our benchmark, or a table of your own, for the log's task; several by task.
        tasks: those to import; None: all.
        metric: the tool's metric to use as the score; None: the task's first.
        scale: lowest and highest value of a metric that is not in [0, 1]; several by task.
        lower_is_better: lower values of the metric are better.
        source_scores: use the tool's own verdicts as scores even on benchmarks that we have.
        model_name: the model's name; None: as in the log.
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
    """Import every evaluation in logs; return the format and the runs, in the logs' order.

    ``note`` gets a line per remark, and on progress. Raises `UsageError` as `import_run` does, and
    if there is no path, or the format is not detected.
    """
    name = form or formats.recognise(paths)
    logs = list(formats.get(name).read(paths))
    options.check(logs)
    imported = []
    for log in logs:
        if log.tasks and not options.chosen(log):
            names = ", ".join(sorted(task.name for task in log.tasks))
            note(f"the log of {log.model} is left out: it has only {names}")
            continue
        imported.append(done := import_run(log, options, note))
        for text in done.notes:
            note(text)
    return name, imported


def _scale(bounds: Range) -> Scale:
    try:
        low, high = bounds
        return Scale.declare(float(low), float(high))
    except (TypeError, ValueError):
        raise UsageError(f"scale {bounds!r}: give (LOW, HIGH), with LOW below HIGH") from None


def _by_task(given: T | Mapping[str, T] | None) -> dict[str | None, T]:
    """Return values by task; a single one applies to all tasks, under None."""
    if isinstance(given, Mapping):
        return {**given}
    return {} if given is None else {None: given}
