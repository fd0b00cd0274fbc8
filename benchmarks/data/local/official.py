"""Official release folders (MathVision, MathVista, MathVerse) as rows with the Hub's columns.

Images stay paths. datasets is imported only to build a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from benchmarks.data.catalog import schemas
from benchmarks.data.catalog.schemas import Schema
from benchmarks.data.catalog.sources import Table
from benchmarks.data.local import json_rows
from benchmarks.data.local.json_rows import Row
from harness.errors import UsageError, first_line
from harness.files.typed_json import fits

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, slots=True)
class Format:
    """The format of a benchmark's release.

    ``schema`` is the Hub's. ``annotations`` gives the annotation's possible file names by split.
    ``image_folders`` are possible bases of a row's relative image path. ``queries`` is the file
    that may hold the Hub's ``query`` column, by the rows' ``pid``.
    """

    schema: Schema
    annotations: Mapping[str, tuple[str, ...]]
    image_folders: tuple[str, ...] = (".",)
    queries: str = ""

    @property
    def image_column(self) -> str:
        """The Hub's column for the decoded image."""
        return next(name for name, kind in self.schema.items() if kind == "image")


@dataclass(frozen=True, slots=True)
class Release:
    """One split of an official release.

    ``read`` are the files that the rows come from, the annotation first. ``rows`` have the Hub's
    columns, except the image's; ``images`` are in their order, None if the file is missing.
    """

    benchmark_id: str
    table: Table
    read: tuple[Path, ...]
    rows: tuple[Row, ...]
    images: tuple[Path | None, ...]

    @property
    def annotation(self) -> Path:
        """The file that lists the items."""
        return self.read[0]

    @property
    def missing(self) -> int:
        """The number of rows without an image on disk."""
        return self.images.count(None)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that affects an item, each once: those that were read, and the images."""
        return (*self.read, *dict.fromkeys(path for path in self.images if path))


def release(benchmark_id: str, folder: Path, table: Table) -> Release | None:
    """Return one split of an official release, with or without its images.

    ``folder`` is the release's, or the repository that has it in ``data/``; None if it has no
    annotation file for the split. Raises `UsageError` if a file is corrupt.
    """
    form = FORMATS.get(benchmark_id)
    if form is None:
        return None
    for name in form.annotations.get(table.split, ()):
        for home in (folder, folder / "data"):
            if (home / name).is_file():
                return _read(form, benchmark_id, home / name, table)
    return None


def build(split: Release) -> Dataset:
    """Return a split as a table, images read with their row; UsageError for a wrong type."""
    import pyarrow as pa
    from datasets import Dataset

    form = FORMATS[split.benchmark_id]
    rows = [
        {**row, form.image_column: image and {"path": str(image), "bytes": None}}
        for row, image in zip(split.rows, split.images, strict=True)
    ]
    try:
        return Dataset.from_list(rows, features=schemas.features(form.schema))
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        reason = first_line(error)
        raise UsageError(
            f"{split.annotation} does not fit the Hub's columns ({reason}): download it again"
        ) from error


def _read(form: Format, benchmark_id: str, annotation: Path, table: Table) -> Release:
    rows = _rows(annotation)
    for number, row in enumerate(rows, start=1):
        _check(row, form, table, f"{annotation} row {number}")
    home = annotation.parent
    listed: dict[Path, frozenset[str]] = {}
    images = tuple(_image(form, home, row["image"], listed) for row in rows)
    columns = [name for name in form.schema if name != form.image_column]
    kept = [{name: row.get(name) for name in columns} for row in rows]
    files = [annotation]
    if "query" in form.schema:
        path, queries = home / form.queries, {}
        if path.is_file():
            files.append(path)
            queries = json_rows.document(path)
            if not fits(queries, dict[str, str]):
                raise UsageError(f"{path} is not a JSON object of strings: download it again")
        kept = [{**row, "query": queries.get(row["pid"]) or vista_query(row)} for row in kept]
    return Release(benchmark_id, table, tuple(files), tuple(kept), images)


def _rows(annotation: Path) -> list[Any]:
    if annotation.suffix == ".jsonl":
        return list(json_rows.JsonLines(annotation))
    value = json_rows.document(annotation)
    if not isinstance(value, dict | list):
        raise UsageError(f"{annotation} holds neither a list nor an object of rows")
    return list(value.values() if isinstance(value, dict) else value)


# Columns of the Hub that a release may lack: derived from others, or not read.
_OPTIONAL = frozenset({"decoded_image", "query", "solution"})


def _check(row: Any, form: Format, table: Table, where: str) -> None:
    if not isinstance(row, dict):
        row = {}
    needed = [key for key in dict.fromkeys((*form.schema, "image")) if key not in _OPTIONAL]
    gone = [key for key in needed if key not in row]
    if gone:
        name = form.annotations[table.split][0]
        raise UsageError(f"{where} lacks {', '.join(gone)}: the items must be in {name}")
    image = row["image"]
    path = PurePosixPath(image if isinstance(image, str) else "")
    if path == PurePosixPath() or path.is_absolute() or ".." in path.parts:
        raise UsageError(f"{where} names no image within the release: {row['image']!r}")
    wrong = [
        key
        for key, kind in form.schema.items()
        if key != form.image_column and not _has_form(row.get(key), kind)
    ]
    if wrong:
        raise UsageError(
            f"{where} does not fit the Hub's columns ({', '.join(wrong)}): download it again"
        )


def _has_form(value: Any, kind: Any) -> bool:
    """Whether a value fits a column; `build` converts between numbers and texts."""
    if value is None:
        return True
    if isinstance(kind, Mapping):
        return isinstance(value, dict) and all(
            _has_form(value.get(key), inner) for key, inner in kind.items()
        )
    if isinstance(kind, list):
        return isinstance(value, list) and all(_has_form(entry, kind[0]) for entry in value)
    if kind == "float64":
        return fits(value, float) and -inf < value < inf
    return isinstance(value, str | int | float)


def _image(form: Format, home: Path, name: str, listed: dict[Path, frozenset[str]]) -> Path | None:
    for folder in form.image_folders:
        path = home / folder / name
        # Listing a folder once is faster than thousands of file checks.
        if path.parent not in listed:
            files = path.parent.iterdir() if path.parent.is_dir() else ()
            listed[path.parent] = frozenset(file.name for file in files)
        if path.name in listed[path.parent]:
            return path
    return None


_FORM_HINTS = {
    "integer": "an integer answer and provide the final value, e.g., 1, 2, 3, at the end.",
    "float 1": "a floating-point number with one decimal place and provide the final value, "
    "e.g., 1.2, 1.3, 1.4, at the end.",
    "float 2": "a floating-point number with two decimal places and provide the final value, "
    "e.g., 1.23, 1.34, 1.45, at the end.",
    "list": "a Python list as an answer and provide the final list, e.g., [1, 2, 3], "
    "[1.2, 1.3, 1.4], at the end.",
}


def vista_query(row: Mapping[str, Any]) -> str:
    """Return MathVista's ``query``: hint, question with its unit, choices.

    Source: ``data/query.json`` of lupantech/MathVista, which the Hub's column repeats (the hints
    are those of its ``evaluation/build_query.py``).
    """
    if row["question_type"] == "multi_choice":
        hint = "the question and provide the correct option letter, e.g., A, B, C, D, at the end."
    else:
        kind = row["answer_type"]
        key = f"float {int(row['precision'] or 0)}" if kind == "float" else kind
        if key not in _FORM_HINTS:
            raise UsageError(
                f"row {row['pid']} asks for {key!r}, which is not a MathVista answer type"
            )
        hint = f"the question requiring {_FORM_HINTS[key]}"
    lines = [f"Hint: Please answer {hint}", f"Question: {row['question']}"]
    if row["unit"]:
        lines[-1] += f" (Unit: {row['unit']})"
    if row["choices"]:
        lines.append("Choices:")
        lines += [f"({chr(ord('A') + i)}) {text}" for i, text in enumerate(row["choices"])]
    return "\n".join(lines)


# Sources: mathvision-cuhk/MathVision, lupantech/MathVista and ZrrSkywalker/MathVerse on GitHub.
# MathVista's annot_testmini.json gives an item's origin and has no questions: it is listed to
# inform its user.
FORMATS: Mapping[str, Format] = {
    "mathvision": Format(
        schemas.MATHVISION, {"test": ("test.jsonl",), "testmini": ("testmini.jsonl",)}
    ),
    "mathvista": Format(
        schemas.MATHVISTA,
        {"testmini": ("testmini.json", "annot_testmini.json")},
        queries="query.json",
    ),
    "mathverse": Format(
        schemas.MATHVERSE, {"testmini": ("testmini.json",)}, image_folders=(".", "images")
    ),
}
