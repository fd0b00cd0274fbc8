"""The items of one or two runs: where their answers are stored, in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ablations.statistics.comparison.models import ModelsComparison
from ablations.statistics.comparison.stored import read_comparisons
from harness.errors import UsageError, unknown
from harness.files.text import counted
from harness.files.typed_json import record
from harness.records import Sample
from harness.runs.lookup import ShownAnswer, Verdicts, shown, verdicts
from reports.read.runs import Run, answers, line_at, open_run

MOST = 200_000  # items per page: its list is in the browser's memory


@dataclass(frozen=True, slots=True)
class Place:
    """An item: for each run, where the lines of its answers begin, one per repeat."""

    benchmark: str
    id: str
    offsets: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class View:
    """Items of one or two runs, in the runs' order."""

    runs: tuple[Run, ...]
    places: tuple[Place, ...]
    _verdicts: dict[tuple[Path, str], Verdicts] = field(default_factory=dict)

    def answers(self, place: Place) -> list[list[ShownAnswer]]:
        """Return an item's answers by run; `UsageError` if a file is corrupt or was rewritten."""
        sides = zip(self.runs, place.offsets, strict=True)
        return [self._of_run(run, place, offsets) for run, offsets in sides]

    def _of_run(self, run: Run, place: Place, offsets: Iterable[int]) -> list[ShownAnswer]:
        samples = [record(Sample, line_at(run.path, place.benchmark, at)) for at in offsets]
        if any(sample.id != place.id for sample in samples):
            raise UsageError(f"{run.path} was written anew since it was opened: start again")
        if not samples:
            return []
        key = run.path, place.benchmark
        if key not in self._verdicts:
            self._verdicts[key] = verdicts(*key)
        return shown(run.path, run.manifest, place.benchmark, samples, self._verdicts[key])


def open_view(paths: Sequence[Path], benchmarks: Sequence[str] = ()) -> View:
    """Return the items of one or two runs, or of those in a saved comparison.

    ``benchmarks`` selects some; empty: all. `UsageError` if a path is none of these or one of its
    files is corrupt, a benchmark is not in the runs, or there are no items or too many.
    """
    folders = _folders(paths)
    labels = [path.resolve().name for path in folders]
    if len(set(labels)) < len(labels):
        labels = ["/".join(path.resolve().parts[-2:]) for path in folders]
    runs = tuple(open_run(path, label) for path, label in zip(folders, labels, strict=True))
    names = list(dict.fromkeys(name for run in runs for name in run.manifest["benchmarks"]))
    for name in benchmarks:
        if name not in names:
            raise unknown("benchmark of the runs", name, names)
    chosen = [name for name in names if name in benchmarks or not benchmarks]
    places = tuple(place for name in chosen for place in _places(runs, name))
    if not places:
        raise UsageError(f"{' and '.join(map(str, folders))}: no answers are stored yet")
    if len(places) > MOST:
        raise UsageError(
            f"{counted(len(places), 'item', ',')} are more than a page can hold ({MOST:,}): choose "
            "some with --benchmarks"
        )
    return View(runs, places)


def _folders(paths: Sequence[Path]) -> list[Path]:
    if len(paths) > 2:
        raise UsageError(f"{len(paths)} paths: give one run, or two to see side by side")
    if len(paths) == 1 and paths[0].is_file():
        comparison = read_comparisons(paths[0])
        sides = () if isinstance(comparison, ModelsComparison) else comparison.runs or ()
        paths = [Path(side[0].folder) for side in sides if side]
        if len(paths) != 2:
            raise UsageError("this comparison does not name two runs: give the folders of two runs")
    for path in paths:
        if not path.is_dir():
            raise UsageError(f"{path} is not a folder: give the folder of a run")
        if not (path / "manifest.json").exists() and (path / "plan.json").exists():
            raise UsageError(f"{path} is a study: give one or two of the runs in {path / 'runs'}")
    return list(paths)


def _places(runs: Sequence[Run], benchmark: str) -> Iterable[Place]:
    """Yield a benchmark's items: the first run's in its order, then any others."""
    found: dict[str, list[list[tuple[int, int]]]] = {}
    for side, run in enumerate(runs):
        if benchmark not in run.manifest["benchmarks"]:
            continue
        for answer in answers(run.path, benchmark):
            sides = found.setdefault(answer.id, [[] for _ in runs])
            sides[side].append((answer.repeat, answer.offset))
    for item, sides in found.items():
        offsets = (tuple(offset for _, offset in sorted(side)) for side in sides)
        yield Place(benchmark, item, tuple(offsets))
