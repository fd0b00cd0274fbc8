"""Experiment trackers: wandb, and trackio, which has the same interface."""

from __future__ import annotations

import base64
import io
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from harness.install.extras import need
from harness.reading import Run
from harness.runs.trackers import Library, Tracker, configuration, title
from reports import output
from reports.export.source import Source
from reports.read.thumbnails import thumbnails

if TYPE_CHECKING:
    import pandas as pd

SHOWN = ("id", "repeat", "value", "status", "prediction", "target", "native", "judged", "response")


@dataclass(frozen=True, slots=True)
class Exporter(Tracker):
    """A tracker of finished runs, with up to ``rows`` answers per benchmark and the reports."""

    rows: int = 1000
    data_root: Path | None = None

    def answers(self, run: Run) -> None:
        """Log a table of answers per benchmark, with images if the data is available."""
        for benchmark in run.summaries:
            frame = run.samples(benchmark).head(self.rows)
            prints = {benchmark: run.manifest["benchmarks"][benchmark].get("data_fingerprint")}
            uris = thumbnails([(benchmark, item) for item in frame.id], prints, self.data_root)
            images = {item: uri for (_, item), uri in uris.items()}
            self.table(f"{benchmark}/answers", frame[list(SHOWN)], images)

    def table(
        self, name: str, frame: pd.DataFrame, images: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Log a table, with a column ``image`` if there are any: data URIs by ``id``."""
        columns, rows = list(frame.columns), frame.astype("object").to_numpy().tolist()
        rows = [[_cell(value) for value in row] for row in rows]
        if images:
            columns = ["image", *columns]
            shown = [self._image(images.get(item)) for item in frame.id]
            rows = [[image, *row] for image, row in zip(shown, rows, strict=True)]
        table = self.library.Table(columns=columns, data=rows, allow_mixed_types=True)
        self.log({name: table})

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


def track(source: Source, tracker: Exporter) -> None:
    """Log every run, and a study's contrasts and report as another; `UsageError` without runs."""
    for names, run in source.only_runs(tracker.library.__name__):
        name = title(names)
        with tracker.run(name, configuration(names, run.manifest)):
            tracker.scores(run.summaries.values())
            tracker.answers(run)
            if source.differences is None:
                tracker.report(run.path, f"report-{name}")
    if source.differences is not None:
        with tracker.run(source.name, {"study": source.name}):
            tracker.table("contrasts", source.differences)
            tracker.report(source.path, f"report-{source.name}")


def tracker(library: Library, group: str, **given: Any) -> Exporter:
    """Return the tracker ``wandb`` or ``trackio``; `UsageError` if it is not installed."""
    out, project, offline = given["out"], given["project"], given["offline"]
    options: dict[str, Any] = {"project": project, "group": group}
    if library == "trackio":
        if out is not None:
            os.environ["TRACKIO_DIR"] = str(out.resolve())
        options["embed"] = False
    else:
        options["mode"] = "offline" if offline else None
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            options["dir"] = str(out)
    return Exporter(need(library, library), options, given["rows"], given["data_root"])


def _cell(value: Any) -> Any:
    if value is None or value != value:
        return None
    return value if isinstance(value, str | int | float) else json.dumps(value, default=str)
