"""What is exported: runs, with what names them in a study, and the differences between them."""

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


@dataclass(frozen=True, slots=True)
class Source:
    """What is exported, under a name; ``differences`` is None where nothing is compared.

    ``path`` is that of the first of several runs.
    """

    name: str
    path: Path
    runs: Sequence[tuple[Names, Run]]
    differences: pd.DataFrame | None = None

    def only_runs(self, form: str) -> Sequence[tuple[Names, Run]]:
        """Return the runs; `UsageError` where there are none."""
        if not self.runs:
            raise UsageError(f"{form} is made of runs: {self.name} is a comparison of some")
        return self.runs


def data_name(run: Run, row: BenchmarkSummary) -> str:
    """Return a benchmark's title with the note on its data, which goes wherever its scores go."""
    title = str(run.manifest["benchmarks"].get(row.benchmark, {}).get("title") or row.benchmark)
    return f"{title} ({row.note})" if row.note else title


def repository(row: BenchmarkSummary) -> str | None:
    """Return the Hub repository of a benchmark's data; None where its note says that it is not."""
    known = not row.note and has_source(row.benchmark)
    return catalogued(row.benchmark).repository if known else None


def open_source(path: Path) -> Source:
    """Open a run's folder, a study's, or a saved ``compare --json``.

    Raises:
        UsageError: it is none of these, or a file of it is corrupt.
    """
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
    """Return several sources as one; they hold runs alone, or there is one of them."""
    if len(sources) == 1:
        return sources[0]
    if any(source.differences is not None for source in sources):
        raise UsageError("give one study, one comparison, or any number of runs")
    runs = [each for source in sources for each in source.runs]
    return replace(sources[0], name=f"{len(runs)}-runs", runs=runs)
