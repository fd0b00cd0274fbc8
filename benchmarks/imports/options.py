"""What the user specifies about logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.imports.known import ours
from benchmarks.imports.log import Log, LoggedTask
from benchmarks.imports.scales import Scale
from harness.errors import UsageError
from harness.files.names import is_title


@dataclass(frozen=True, slots=True)
class Options:
    """How logs are imported.

    ``scales`` and ``benchmarks`` (our ids) are by task, under None for all tasks. ``tasks`` are
    those to import, None for all. ``source_scores`` uses the tool's verdicts as scores even on
    benchmarks that we have. ``seed`` is the training seed of the logs' model.
    """

    out: Path = Path("runs")
    data_root: Path | None = None
    scales: Mapping[str | None, Scale] = field(default_factory=dict)
    lower_is_better: bool = False
    metric: str | None = None
    benchmarks: Mapping[str | None, str] = field(default_factory=dict)
    tasks: frozenset[str] | None = None
    source_scores: bool = False
    model_name: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        """Raise `UsageError` if the model's name is not one printable line."""
        if self.model_name is not None and not is_title(self.model_name):
            raise UsageError(f"model name {self.model_name!r}: use a line of up to 200 characters")

    def check(self, logs: Sequence[Log]) -> None:
        """Raise `UsageError` if a named task is in no log."""
        held = {task.name for log in logs for task in log.tasks}
        named = {name for name in (*self.scales, *self.benchmarks) if name is not None}
        if missing := sorted((self.tasks or frozenset()).union(named) - held):
            raise UsageError(
                f"no task {missing[0]!r} in the log{'s' * (len(logs) > 1)}: "
                f"there is {', '.join(sorted(held)) or 'none'}"
            )

    def chosen(self, log: Log) -> list[LoggedTask]:
        """Return a log's tasks to import."""
        return [task for task in log.tasks if self.tasks is None or task.name in self.tasks]

    def benchmark(self, task: LoggedTask) -> str | None:
        """Return the id of the benchmark for a task's answers, None for the task's own."""
        if self.source_scores:
            return None
        given = self.benchmarks.get(task.name, self.benchmarks.get(None))
        return given or ours(task.name)

    def scale(self, task: LoggedTask) -> Scale | None:
        """Return the range declared for a task."""
        return self.scales.get(task.name, self.scales.get(None))

    def keyed(self) -> dict[str, object]:
        """Return the options that affect a run's content, as JSON."""
        return {
            "scales": sorted([name or "", s.low, s.high] for name, s in self.scales.items()),
            "benchmarks": sorted([name or "", b] for name, b in self.benchmarks.items()),
            "tasks": sorted(self.tasks or ()),
            "lower_is_better": self.lower_is_better,
            "metric": self.metric,
            "source_scores": self.source_scores,
        }
