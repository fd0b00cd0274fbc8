"""Progress of a run: bars on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any

from harness.files.text import counted, visible
from harness.records import Score


class PlainProgress:
    """Progress as lines on stderr, at most one every few seconds."""

    def __init__(self, every: float = 10.0) -> None:
        self.every = every
        self.announced: dict[str, tuple[int, int]] = {}
        self.total = self.done = self.fresh = self.errors = 0
        self.began = self.last = 0.0

    def start(self, benchmark: str, total: int, done: int) -> None:
        """Count in a benchmark, or correct what was counted; lines tell all of them together.

        The first call, when the model is ready, starts the clock.
        """
        if not self.announced:
            self.began = self.last = time.monotonic()
        old_total, old_done = self.announced.get(benchmark, (0, 0))
        self.announced[benchmark] = (total, done)
        self.total += total - old_total
        self.done += done - old_done

    def advance(self, benchmark: str, score: Score) -> None:
        """Count a response; print the state now and then."""
        now = time.monotonic()
        self.done += 1
        self.fresh += 1
        self.errors += score.status == "error"
        if now - self.last >= self.every or self.done == self.total:
            self.last = now
            errors = f", {counted(self.errors, 'error')}" if self.errors else ""
            self._line(f"{self.done}/{self.total} responses{self._pace(now)}{errors}")

    def _pace(self, now: float) -> str:
        """Return rate and time left, from the answers of this call; one alone has no rate.

        The wait for the first counts: a batch ends all at once.
        """
        seconds = now - self.began
        if self.fresh < 2 or seconds <= 0:
            return ""
        rate = self.fresh / seconds
        shown = f"{rate:.1f}/s" if rate >= 0.1 else f"{60 * rate:.1f}/min"
        return f", {shown}, {(self.total - self.done) / rate:.0f} s left"

    def note(self, text: str) -> None:
        """Print a line."""
        self._line(text)

    def close(self) -> None:
        """Do nothing."""

    def _line(self, text: str) -> None:
        print(visible(text), file=sys.stderr, flush=True)


class BarProgress:
    """One bar per benchmark on a terminal, with rate and time left."""

    def __init__(self) -> None:
        from rich import progress
        from rich.console import Console

        class Rate(progress.ProgressColumn):
            """Recent responses per second."""

            def render(self, task: progress.Task) -> str:
                return "" if task.speed is None else f"{task.speed:.1f}/s"

        self.bars = progress.Progress(
            progress.TextColumn("{task.description:<24}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            Rate(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[errors]}"),
            console=Console(stderr=True),
        )
        self.tasks: dict[str, Any] = {}
        self.errors: Counter[str] = Counter()
        self.bars.start()

    def start(self, benchmark: str, total: int, done: int) -> None:
        """Add the benchmark's bar, or correct it."""
        if benchmark in self.tasks:
            self.bars.update(self.tasks[benchmark], total=total, completed=done)
            return
        self.tasks[benchmark] = self.bars.add_task(
            benchmark, total=total, completed=done, errors="", start=False
        )

    def advance(self, benchmark: str, score: Score) -> None:
        """Advance the benchmark's bar by one response."""
        task = self.tasks[benchmark]
        self.bars.start_task(task)
        self.errors[benchmark] += score.status == "error"
        errors = self.errors[benchmark]
        self.bars.update(task, advance=1, errors=counted(errors, "error") if errors else "")

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self.bars.console.print(visible(text), highlight=False, markup=False)

    def close(self) -> None:
        """Stop drawing."""
        self.bars.stop()


AnyProgress = PlainProgress | BarProgress


def open_progress() -> AnyProgress:
    """Return bars on a terminal, plain lines otherwise."""
    return BarProgress() if sys.stderr.isatty() else PlainProgress()
