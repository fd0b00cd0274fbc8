"""VLMEvalKit: a table of predictions, and the table of verdicts beside it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.imports.common import chat, workbook
from benchmarks.imports.known import ours
from benchmarks.imports.log import Format, Log, LoggedSample, LoggedTask, Metric
from benchmarks.imports.reading import files_below, head, text_hash
from harness.errors import UsageError
from harness.files import plain
from harness.files.text import counted
from harness.records import Response

# Verdict columns for single answers, by kind of data set.
_VERDICTS = ("hit", "score", "eval_score", "eval_match", "correct")
_FAILED = "Failed to obtain answer"  # written by inference instead of an answer
_SUFFIXES = (".xlsx", ".tsv")
Row = Mapping[str, Any]


def detect(path: Path) -> bool:
    """Whether a table of predictions, or one in a folder, is VLMEvalKit's."""
    return bool(_runs([path]))


def _runs(paths: Iterable[Path], named: Sequence[Path] = ()) -> list[list[Path]]:
    """Return the runs below paths: each table of predictions, and its tables of verdicts, if any.

    ``named`` files count as tables whatever they contain.
    """
    found = (each for path in paths for each in files_below(path))
    # A run's tables are in its own folder; the model's folder has links to them.
    tables = dict.fromkeys(each.resolve() for each in found if each in named or _is_table(each))
    runs: dict[Path, list[Path]] = {}
    for table in sorted(tables, key=lambda each: (len(each.stem), each)):
        of = (own for own in runs if own.parent == table.parent)
        first = next((own for own in of if table.stem.startswith(f"{own.stem}_")), None)
        runs.setdefault(first or table, []).append(table)
    return list(runs.values())


def _is_table(path: Path) -> bool:
    """Whether a table's header has the columns ``index`` and ``prediction``."""
    if path.suffix == ".tsv":
        names = head(path).partition(b"\n")[0].split(b"\t")
        return b"index" in names and b"prediction" in [name.strip() for name in names]
    if path.suffix != ".xlsx":
        return False
    try:
        with plain.open_given(path) as stream, zipfile.ZipFile(stream) as archive:
            name = "xl/sharedStrings.xml"
            texts = name if name in archive.namelist() else "xl/worksheets/sheet1.xml"
            with archive.open(texts) as part:
                begin = part.read(1 << 16)
    except (OSError, KeyError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False
    return b">index<" in begin and b">prediction<" in begin


def _is_workbook(path: Path) -> bool:
    try:
        with plain.open_given(path) as stream:
            return zipfile.is_zipfile(stream)
    except OSError:
        return False


def read(paths: Sequence[Path]) -> Iterator[Log]:
    """Yield the log of each table of predictions."""
    for path in (each for given in paths for each in files_below(given)):
        if path.suffix == ".xlsx" and not path.name.startswith("~$") and not _is_workbook(path):
            raise UsageError(f"{path} cannot be read as a table: it is no whole workbook")
    runs = _runs(paths, [path for path in paths if path.suffix in _SUFFIXES and path.is_file()])
    if not runs:
        raise UsageError(
            f"{paths[0]} holds no .xlsx or .tsv of VLMEvalKit with the columns index and prediction"
        )
    yield from map(_log, runs)


def _log(run: Sequence[Path]) -> Log:
    predictions, *graded = run
    model, name = _names(predictions)
    rows = table(predictions)
    column, verdicts = _verdicts(list(map(table, graded)))
    # The others are copies with rotated options.
    own = [row for row in rows if str(row.get("g_index", row["index"])) == str(row["index"])]
    rotated = len(rows) - len(own)
    missing = sum(str(row["index"]) not in verdicts for row in own) if verdicts else 0
    notes = []
    if rotated:
        notes.append(
            f"{name}: {counted(rotated, 'rotated copy')} counted in the verdict of the first"
        )
    if missing:
        notes.append(f"{name}: {counted(missing, 'answer')} without a verdict")
    if not verdicts:
        notes.append(f"{name}: there is no table of verdicts beside {predictions.name}")
    metrics = {column: Metric()} if verdicts else {}
    task = LoggedTask(name, partial(_samples, own, column, verdicts), metrics, n_data=len(own))
    return Log("vlmevalkit", "unknown", model, [task], run, notes=notes)


def _names(path: Path) -> tuple[str, str]:
    """Return model and data set of a file MODEL_DATASET, which is in MODEL/ or MODEL/ID/."""
    for folder in (path.parent.name, path.parent.parent.name):
        if folder and path.stem.startswith(f"{folder}_"):
            return folder, path.stem[len(folder) + 1 :]
    parts = path.stem.split("_")
    splits = [("_".join(parts[:at]), "_".join(parts[at:])) for at in range(1, len(parts))]
    known = next((each for each in splits if ours(each[1])), None)
    return known or (splits[-1] if splits else ("unknown", path.stem))


def table(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table, without empty cells; UsageError if it cannot be read."""
    try:
        found = _tsv(path) if path.suffix == ".tsv" else list(workbook.rows(path))
    except ImportError as error:
        raise UsageError(
            f"{path} is a workbook: pip install openpyxl, or save it as .tsv"
        ) from error
    except Exception as error:  # a workbook's parsers may raise anything
        raise UsageError(f"{path} cannot be read as a table: {error!r:.200}") from error
    if not found:
        raise UsageError(f"{path} holds no rows")
    if not any("index" in row for row in found):
        raise UsageError(f"{path} has no column 'index', or no row with one")
    return [row for row in found if "index" in row]


def _tsv(path: Path) -> list[dict[str, Any]]:
    import pandas as pd

    with plain.open_given(path) as stream:
        frame = pd.read_csv(stream, sep="\t", dtype=object, keep_default_na=False)
    return [
        {str(name): cell for name, cell in row.items() if cell not in (None, "")}
        for row in frame.to_dict("records")
    ]


def _verdicts(graded: Sequence[Sequence[Row]]) -> tuple[str, dict[str, Row]]:
    """Return the verdict column, and the rows with a verdict by index."""
    for column in _VERDICTS:
        for rows in graded:
            found = {str(row["index"]): row for row in rows if _value(row.get(column)) is not None}
            if found:
                return column, found
    return "", {}


def _value(cell: Any) -> float | None:
    words = {"true": 1.0, "false": 0.0}
    try:
        return chat.real(words.get(str(cell).lower()) if isinstance(cell, bool) else float(cell))
    except (TypeError, ValueError):
        return words.get(str(cell).strip().lower())


def _samples(
    rows: Sequence[Row], column: str, verdicts: Mapping[str, Row]
) -> Iterator[LoggedSample]:
    for row in rows:
        index = str(row["index"])
        text = str(row.get("prediction", ""))
        thought = str(row["thinking"]) if "thinking" in row else None
        failed = text.startswith(_FAILED)
        graded = verdicts.get(index, {})
        question = str(row.get("question", ""))
        target = str(row["answer"]) if "answer" in row else None
        yield LoggedSample(
            index,
            None if failed else Response(text, thought),
            {column: _value(graded[column])} if column in graded else {},
            official=(index, *(str(row[name]) for name in ("id", "question_id") if name in row)),
            question=question,
            target=target,
            prediction=str(graded["extracted"]) if "extracted" in graded else None,
            parts=(str(row["category"]),) if "category" in row else (),
            document=text_hash([question, target]),
            error="inference obtained no answer" if failed else "",
        )


FORMAT = Format("VLMEvalKit: .xlsx or .tsv of predictions, and of verdicts beside it", detect, read)
