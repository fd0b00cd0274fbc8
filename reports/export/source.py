"""What is exported: runs, their names within a study, and the differences between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ablations.results import analyse
from ablations.statistics.comparison.stored import read_comparisons
from benchmarks.data.catalog.sources import has_source
from benchmarks.data.catalog.sources import source as catalogued
from harness.errors import UsageError
from harness.reading import Run, read_run
from harness.runs.summary import BenchmarkSummary
from harness.runs.trackers import Names

if TYPE_CHECKING:
    import pandas as pd


METRICS = ("strict", "native", "judged")


@dataclass(frozen=True, slots=True)
class Source:
    """A named source to export: path of the first run, and the differences if any are compared."""

    name: str
    path: Path
    runs: Sequence[tuple[Names, Run]]
    differences: pd.DataFrame | None = None

    def only_runs(self, form: str) -> Sequence[tuple[Names, Run]]:
        """Return the runs; `UsageError` if there are none."""
        if not self.runs:
            raise UsageError(f"{form} is made of runs: {self.name} is a comparison of some")
        return self.runs


def data_name(run: Run, row: BenchmarkSummary) -> str:
    """Return a benchmark's title with the caveat on its data, which goes wherever its scores go."""
    title = str(run.manifest["benchmarks"].get(row.benchmark, {}).get("title") or row.benchmark)
    return f"{title} ({row.note})" if row.note else title


def scorer_of(run: Run, row: BenchmarkSummary, kind: str) -> str:
    """Return who gave a benchmark's scores of a kind: strict, native or judged.

    A log of another tool, and a task that is known by name alone, bring their own metric: the
    strict score is then that.
    """
    stated = str(run.manifest["benchmarks"].get(row.benchmark, {}).get("metric") or "")
    if kind == "strict" and ", by " in stated:
        return stated
    tool = row.native_rules.partition(" ")[0] or "lmms-eval"
    return {"strict": "contextrl-harness's strict scorer", "native": f"{tool}'s scorer"}.get(
        kind, "a judge"
    )


def repository(row: BenchmarkSummary) -> str | None:
    """Return the Hub repository of a benchmark's data; None if its note says otherwise."""
    known = not row.note and has_source(row.benchmark)
    return catalogued(row.benchmark).repository if known else None


def open_source(path: Path) -> Source:
    """Open a run, a study or a saved ``compare --json``; `UsageError` if it is none of these."""
    if not path.exists():
        raise UsageError(f"{path} does not exist: give a run, a study or a saved comparison")
    if path.is_file():
        return Source(path.stem, path, (), read_comparisons(path).to_frame())
    name = path.resolve().name
    if (path / "manifest.json").exists():
        return Source(name, path, [({"run": name}, read_run(path))])
    report = analyse(path)
    names: list[Names] = [{"arm": row.arm, "seed": row.seed} for row in report.models]
    runs = [read_run(path / row.run) for row in report.models]
    return Source(name, path, list(zip(names, runs, strict=True)), report.to_frame())


def joined(sources: Sequence[Source]) -> Source:
    """Merge sources into one; they hold only runs, unless there is just one."""
    if len(sources) == 1:
        return sources[0]
    if any(source.differences is not None for source in sources):
        raise UsageError("give one study, one comparison, or any number of runs")
    runs = [each for source in sources for each in source.runs]
    return replace(sources[0], name=f"{len(runs)}-runs", runs=runs)
