"""Experiment trackers: wandb, and trackio, which has its interface."""

from __future__ import annotations

import base64
import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError, first_line
from harness.install.extras import need
from harness.reading import Run
from reports import output
from reports.export.source import Names, Source
from reports.read.thumbnails import thumbnails

if TYPE_CHECKING:
    import pandas as pd

SHOWN = ("id", "repeat", "value", "status", "prediction", "target", "native", "judged", "response")
KINDS = ("strict", "native", "judged")


@dataclass(frozen=True, slots=True)
class Tracker:
    """A tracker's library, and what its ``init`` is given besides a run's name and configuration.

    ``rows`` is how many answers of a benchmark are logged at most, ``data_root`` where images are.
    """

    library: Any
    options: Mapping[str, Any]
    rows: int = 1000
    data_root: Path | None = None

    @contextmanager
    def run(self, name: str, config: Mapping[str, Any]) -> Iterator[None]:
        """Begin a run of the tracker, and end it with the block.

        Raises:
            UsageError: the tracker refuses: nobody is logged in, its server does not answer.
        """
        errors = getattr(getattr(self.library, "errors", None), "Error", UsageError)
        try:
            self.library.init(name=name, config=dict(config), **self.options)
        except errors as error:
            raise UsageError(f"{self.library.__name__}: {first_line(error)}") from error
        try:
            yield
        finally:
            self.library.finish()

    def scores(self, run: Run) -> None:
        """Log the scores of a run, as BENCHMARK/KIND, and those of parts."""
        values = {
            f"{row.benchmark}/{kind}": getattr(row, kind)
            for row in run.summaries.values()
            for kind in KINDS
        }
        parts = {
            f"{row.benchmark}/part/{part}": value
            for row in run.summaries.values()
            for part, value in row.parts.items()
        }
        known = {name: value for name, value in {**values, **parts}.items() if value is not None}
        if known:
            self.library.log(known)

    def answers(self, run: Run) -> None:
        """Log a table of the answers of every benchmark, with images where the data is at hand."""
        for benchmark in run.summaries:
            frame = run.samples(benchmark).head(self.rows)
            prints = {benchmark: run.manifest["benchmarks"][benchmark].get("data_fingerprint")}
            uris = thumbnails([(benchmark, item) for item in frame.id], prints, self.data_root)
            images = {item: uri for (_, item), uri in uris.items()}
            self.table(f"{benchmark}/answers", frame[list(SHOWN)], images)

    def table(
        self, name: str, frame: pd.DataFrame, images: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Log a table, with a column ``image`` where there are any: data URIs by ``id``."""
        columns, rows = list(frame.columns), frame.astype("object").to_numpy().tolist()
        rows = [[_cell(value) for value in row] for row in rows]
        if images:
            columns = ["image", *columns]
            shown = [self._image(images.get(item)) for item in frame.id]
            rows = [[image, *row] for image, row in zip(shown, rows, strict=True)]
        table = self.library.Table(columns=columns, data=rows, allow_mixed_types=True)
        self.library.log({name: table})

    def _image(self, uri: str | None) -> Any:
        from PIL import Image

        if uri is None:
            return None
        content = base64.b64decode(uri.partition(",")[2])
        return self.library.Image(Image.open(io.BytesIO(content)))

    def report(self, path: Path, name: str) -> None:
        """Log the report of a run or a study as an artifact."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "report.html"
            output.write(path, file, data_root=self.data_root)
            artifact = self.library.Artifact(name, type="report")
            artifact.add_file(str(file))
            self.library.log_artifact(artifact)


def track(source: Source, tracker: Tracker) -> None:
    """Log every run, and of a study its contrasts and report as a run of its own.

    Raises:
        UsageError: there are no runs, or the tracker refuses them.
    """
    for names, run in source.only_runs(tracker.library.__name__):
        name = "-".join(map(str, names.values()))
        with tracker.run(name, _config(names, run)):
            tracker.scores(run)
            tracker.answers(run)
            if source.differences is None:
                tracker.report(run.path, f"report-{name}")
    if source.differences is not None:
        with tracker.run(source.name, {"study": source.name}):
            tracker.table("contrasts", source.differences)
            tracker.report(source.path, f"report-{source.name}")


def tracker(library: str, group: str, **given: Any) -> Tracker:
    """Return the tracker ``wandb`` or ``trackio``; `UsageError` where it is not installed."""
    out, project, offline = given["out"], given["project"], given["offline"]
    if library == "trackio":
        if out is not None:
            os.environ["TRACKIO_DIR"] = str(out.resolve())
        options = {"project": project, "group": group, "embed": False}
    else:
        options = {"project": project, "group": group, "mode": "offline" if offline else None}
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            options["dir"] = str(out)
    return Tracker(need(library, library), options, given["rows"], given["data_root"])


def _config(names: Names, run: Run) -> dict[str, Any]:
    """Return what decided a run's answers, for the tracker's configuration."""
    hashes = ("protocol_hash", "data_fingerprint", "max_tokens")
    return {
        **names,
        "model": dict(run.manifest["model"]),
        "suite": run.manifest["suite"],
        "sampling": dict(run.manifest["sampling"]),
        "settings": dict(run.manifest.get("settings") or {}),
        "benchmarks": {
            name: {key: entry.get(key) for key in hashes}
            for name, entry in run.manifest["benchmarks"].items()
        },
    }


def _cell(value: Any) -> Any:
    if value is None or value != value:
        return None
    return value if isinstance(value, str | int | float) else json.dumps(value, default=str)
