"""Official release folders (MathVision, MathVista, MathVerse) as rows with the Hub's columns.

Images stay paths.  datasets is imported only to build a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from benchmarks.data.catalog import schemas
from benchmarks.data.catalog.schemas import Schema
from benchmarks.data.catalog.sources import Table
from harness.errors import UsageError, first_line
from harness.files.typed_json import fits, parse

if TYPE_CHECKING:
    from datasets import Dataset

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Format:
    """How a benchmark is released.

    ``schema`` is the hub's.  ``annotations`` gives the annotation's possible file names by split;
    ``keys`` are the keys that every row has; ``image_column`` is the hub's column for the decoded
    image.  ``convert`` turns the rows into the hub's (without that column), given the annotation's
    folder.
    ``image_folders`` are where a row's relative image path may start.
    """

    schema: Schema
    annotations: Mapping[str, tuple[str, ...]]
    keys: tuple[str, ...]
    image_column: str
    convert: Callable[[Sequence[Row], Path], list[Row]]
    image_folders: tuple[str, ...] = (".",)


@dataclass(frozen=True, slots=True)
class Release:
    """One split of an official release: its rows in the hub's schema and where its images are.

    ``images`` are in the rows' order, None where the file is not there.
    """

    benchmark_id: str
    table: Table
    annotation: Path
    rows: tuple[Row, ...]
    images: tuple[Path | None, ...]

    @property
    def missing(self) -> int:
        """How many rows have no image on disk."""
        return self.images.count(None)

    @property
    def files(self) -> tuple[Path, ...]:
        """The annotation and every image, each once."""
        return (self.annotation, *dict.fromkeys(path for path in self.images if path))


def release(benchmark_id: str, folder: Path, table: Table) -> Release | None:
    """Read one split of an official release.

    Args:
        benchmark_id: the benchmark.
        folder: the release's folder, or the repository that has it in ``data/``.
        table: which split.

    Returns:
        The split, its images there or not; None where the folder has no annotation file for it.

    Raises:
        UsageError: the annotation file is garbled.
    """
    form = FORMATS.get(benchmark_id)
    if form is None:
        return None
    for name in form.annotations.get(table.split, ()):
        for home in (folder, folder / "data"):
            if (home / name).is_file():
                return _read(form, benchmark_id, home / name, table)
    return None


def build(found: Release) -> Dataset:
    """Return a release's split as a table; an image is read when its row is, None if missing.

    Raises:
        UsageError: a value has not the type that the hub's column has.
    """
    import pyarrow as pa
    from datasets import Dataset

    form = FORMATS[found.benchmark_id]
    column = form.image_column
    rows = [
        {**row, column: image and {"path": str(image), "bytes": None}}
        for row, image in zip(found.rows, found.images, strict=True)
    ]
    try:
        return Dataset.from_list(rows, features=schemas.features(form.schema))
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        reason = first_line(error)
        raise UsageError(
            f"{found.annotation} does not fit the hub's columns ({reason}): download it again"
        ) from error


def _read(form: Format, benchmark_id: str, annotation: Path, table: Table) -> Release:
    rows = list(_rows(annotation))
    for number, row in enumerate(rows, start=1):
        _check(row, form, table, f"{annotation} row {number}")
    home = annotation.parent
    listed: dict[Path, frozenset[str]] = {}
    images = tuple(_image(form, home, row["image"], listed) for row in rows)
    converted = tuple(form.convert(rows, home))
    return Release(benchmark_id, table, annotation, converted, images)


def _check(row: Any, form: Format, table: Table, where: str) -> None:
    if not isinstance(row, dict):
        row = {}
    gone = [key for key in form.keys if key not in row]
    if gone:
        name = form.annotations[table.split][0]
        raise UsageError(f"{where} lacks {', '.join(gone)}: the items must be in {name}")
    if not isinstance(row["image"], str) or _leaves(row["image"]):
        raise UsageError(f"{where} names no image within the release: {row['image']!r}")
    wrong = [
        key
        for key, kind in form.schema.items()
        if key != form.image_column and not _has_form(row.get(key), kind)
    ]
    if wrong:
        raise UsageError(
            f"{where} does not fit the hub's columns ({', '.join(wrong)}): download it again"
        )


def _has_form(value: Any, kind: Any) -> bool:
    """Whether a value is of a column's form; `build` converts numbers to texts and back."""
    if value is None:
        return True
    if isinstance(kind, Mapping):
        return isinstance(value, dict) and all(
            _has_form(value.get(key), inner) for key, inner in kind.items()
        )
    if isinstance(kind, list):
        return isinstance(value, list) and all(_has_form(one, kind[0]) for one in value)
    if kind == "float64":
        return fits(value, float) and -inf < value < inf
    return isinstance(value, str | int | float)


def _leaves(name: str) -> bool:
    path = PurePosixPath(name)
    return not name or path.is_absolute() or ".." in path.parts


def _rows(annotation: Path) -> Iterator[Any]:
    """Yield the rows of a JSON-lines file, of a JSON list, or of a JSON object of rows."""
    text = _text(annotation)
    if annotation.suffix == ".jsonl":
        # Not splitlines(): strings in JSON may hold U+2028 and other ends of lines as they are.
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield _parse(line, f"{annotation} line {number}")
        return
    value = _parse(text, str(annotation))
    if not isinstance(value, dict | list):
        raise UsageError(f"{annotation} holds neither a list nor an object of rows")
    yield from value.values() if isinstance(value, dict) else value


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not readable ({error}): download it again") from error


def _parse(text: str, where: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(f"{where} is not JSON ({error}): download it again") from error


def _image(form: Format, home: Path, name: str, listed: dict[Path, frozenset[str]]) -> Path | None:
    for folder in form.image_folders:
        path = home / folder / name
        # One listing a folder is quicker than thousands of questions about files.
        if path.parent not in listed:
            files = path.parent.iterdir() if path.parent.is_dir() else ()
            listed[path.parent] = frozenset(file.name for file in files)
        if path.name in listed[path.parent]:
            return path
    return None


def _as_they_are(rows: Sequence[Row], home: Path, keys: Sequence[str]) -> list[Row]:
    return [{key: row.get(key) for key in keys} for row in rows]


_VISION = ("id", "question", "options", "image", "answer", "solution", "level", "subject")
_VERSE = tuple(
    "sample_index problem_index problem_version question answer question_type metadata query_wo "
    "query_cot question_for_eval".split()
)
_VISTA = tuple(
    "pid question image choices unit precision answer question_type answer_type metadata".split()
)


def _vista(rows: Sequence[Row], home: Path) -> list[Row]:
    """Add the hub's ``query`` column: from query.json where it is there, else by its rule."""
    path = home / "query.json"
    queries = _parse(_text(path), str(path)) if path.is_file() else {}
    if not fits(queries, dict[str, str]):
        raise UsageError(f"{path} is not a JSON object of strings: download it again")
    kept = _as_they_are(rows, home, _VISTA)
    return [{**row, "query": queries.get(row["pid"]) or vista_query(row)} for row in kept]


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

    Source: ``data/query.json`` of lupantech/MathVista, which the hub's column repeats (the hints
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
# MathVista's annot_testmini.json holds what the source data sets say of an item, no questions:
# it is named so that its user is told.
FORMATS: Mapping[str, Format] = {
    "mathvision": Format(
        schemas.MATHVISION,
        {"test": ("test.jsonl",), "testmini": ("testmini.jsonl",)},
        ("id", "question", "options", "image", "answer", "level", "subject"),
        "decoded_image",
        partial(_as_they_are, keys=_VISION),
    ),
    "mathvista": Format(
        schemas.MATHVISTA,
        {"testmini": ("testmini.json", "annot_testmini.json")},
        _VISTA,
        "decoded_image",
        _vista,
    ),
    "mathverse": Format(
        schemas.MATHVERSE,
        {"testmini": ("testmini.json",)},
        (*_VERSE, "image"),
        "image",
        partial(_as_they_are, keys=_VERSE),
        (".", "images"),
    ),
}
