"""List the runs below a folder, with state and scores; nothing is locked or changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.files.locking import is_held
from harness.runs.store import read_manifest
from harness.runs.summary import BenchmarkSummary, macro_average, read_summaries

_DEEPEST = 5  # levels below the folder: a study's runs are three below `studies`


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run: its model, state, and scores in [0, 1].

    ``state`` is "running" while a process holds it, "stopped" if it lacks answers that its last
    command requested, "errors" if responses failed, else "finished"; or "unreadable" with the
    ``reason``. ``worked`` is when the last command ended or, without an end, began (UTC, ISO
    format).
    """

    folder: Path
    state: str
    model: str = ""
    suite: str = ""
    worked: str = ""
    rows: tuple[BenchmarkSummary, ...] = ()
    reason: str = ""

    @property
    def mean(self) -> float | None:
        """The mean over benchmarks, None if one has no score."""
        scored = self.rows and all(row.strict is not None for row in self.rows)
        return macro_average(self.rows) if scored else None

    @property
    def answers(self) -> int:
        """The number of stored answers."""
        return sum(row.answers for row in self.rows)

    @property
    def errors(self) -> int:
        """The number of infrastructure failures among them."""
        return sum(row.errors for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Return the run's entry in ``harness runs --json``."""
        names = ("benchmark", "n", "strict", "stderr", "native", "errors")
        benchmarks = [{name: getattr(row, name) for name in names} for row in self.rows]
        own = {name: getattr(self, name) for name in ("state", "reason", "model", "suite")}
        counts = {"mean": self.mean, "answers": self.answers, "errors": self.errors}
        return {
            "run": str(self.folder), **own, "worked": self.worked, **counts,
            "benchmarks": benchmarks,
        }  # fmt: skip


def runs(folder: Path) -> Iterator[RunLine]:
    """Yield the runs in and below a folder, by path."""
    return map(_line, holders(folder, "manifest.json"))


def holders(folder: Path, name: str) -> Iterator[Path]:
    """Yield the folders in and below one that contain a file of this name; links are not followed.

    Raises:
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}: name the one to search")
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        folders.sort()
        if name in files:
            yield here
        if name in files or len(here.relative_to(folder).parts) >= _DEEPEST:
            folders.clear()


def _line(run: Path) -> RunLine:
    try:
        manifest, rows = read_manifest(run), read_summaries(run)
    except UsageError as error:
        return RunLine(run, "unreadable", reason=str(error))
    last: dict[str, Any] = {"benchmarks": list(rows), "repeats": 1}  # not recorded
    last |= manifest["invocations"][-1] if manifest["invocations"] else {}
    line = RunLine(
        run,
        "finished",
        manifest["model"]["name"],
        manifest["suite"],
        str(last.get("ended") or last.get("started") or ""),
        tuple(rows[name] for name in manifest["benchmarks"] if name in rows),
    )
    if is_held(run):
        return replace(line, state="running")
    if not all(_was_filled(manifest, last, rows.get(name), name) for name in last["benchmarks"]):
        return replace(line, state="stopped")
    return replace(line, state="errors") if line.errors else line


def _was_filled(
    manifest: Mapping[str, Any],
    last: Mapping[str, Any],
    row: BenchmarkSummary | None,
    name: str,
) -> bool:
    """Whether a benchmark has all that the last command requested."""
    if row is None:
        return False
    if last.get("ids"):
        return bool(row.answers >= last["ids"].get(name, 0) * last["repeats"])
    n = manifest["benchmarks"][name].get("n") or row.n
    wanted = min(n, last.get("limit") or n)
    return len(row.covered) >= last["repeats"] and all(
        items >= wanted for items in row.covered[: last["repeats"]]
    )
