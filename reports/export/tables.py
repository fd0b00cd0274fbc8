"""Tidy tables, one file each: Parquet in full, CSV for spreadsheets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.files.atomic import write_bytes, write_text
from harness.files.text import visible
from harness.install.extras import need
from harness.reading import Run
from harness.runs.trackers import Names
from reports.export.source import Source
from reports.tables import quoted

if TYPE_CHECKING:
    import pandas as pd

TABLES: dict[str, Callable[[Run], pd.DataFrame]] = {
    "scores": Run.scores,
    "parts": Run.parts,
    "samples": Run.samples,
}


def tables(source: Source) -> dict[str, pd.DataFrame]:
    """Return a source's tables by name: scores, parts and samples, and the differences."""
    import pandas as pd

    made = {}
    for name, table in TABLES.items():
        if frames := [_named(table(run), names) for names, run in source.runs]:
            made[name] = pd.concat(frames, ignore_index=True)
    return made if source.differences is None else {**made, "differences": source.differences}


def _named(frame: pd.DataFrame, names: Names) -> pd.DataFrame:
    for place, (name, value) in enumerate(names.items()):
        frame.insert(place, name, value)
    return frame


def parquet(source: Source, folder: Path) -> list[Path]:
    """Write every table as NAME.parquet; lists and objects become JSON."""
    need("pyarrow", "parquet")
    written = []
    for name, frame in tables(source).items():
        path = folder / f"{name}.parquet"
        write_bytes(path, _plain(frame, str).to_parquet(index=False))
        written.append(path)
    return written


def csv(source: Source, folder: Path) -> list[Path]:
    """Write every table as NAME.csv; text that a spreadsheet would run gets a leading quote."""
    written = []
    for name, frame in tables(source).items():
        path = folder / f"{name}.csv"
        shown = _plain(frame, lambda text: quoted(visible(text)))
        write_text(path, shown.to_csv(index=False, lineterminator="\n"))
        written.append(path)
    return written


def _plain(frame: pd.DataFrame, text: Callable[[str], str]) -> pd.DataFrame:
    """Return a frame whose object columns hold text: lists and objects become JSON."""

    def cell(value: Any) -> Any:
        if value is None or value != value:
            return None
        return text(value if isinstance(value, str) else json.dumps(value))

    texts = frame.select_dtypes(["object", "string"]).columns
    return frame.assign(**{name: frame[name].map(cell).astype("object") for name in texts})
