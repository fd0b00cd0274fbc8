"""Rows of any source under our names, each classified by its content.

A source is a JSON-lines or parquet file, a folder of such files, a ``save_to_disk`` folder or a
data set's id on the Hub. docs/pairs.md lists the column names.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar, cast, get_args, overload

from benchmarks.pairs.folders import labels, training_files
from benchmarks.pairs.rows import JsonRows, Preview, Row, is_empty
from benchmarks.pairs.selection import LETTERS, Letter
from harness.errors import UsageError, first_line

T = TypeVar("T")
Kind = Literal["rl", "selection", "pairs", "others"]
KINDS: tuple[Kind, ...] = get_args(Kind)

PUBLISHED = (
    "xupy21/ContextRL_Agentic",
    "xupy21/ContextRL_Multimodal_Qwen2.5_VL",
    "xupy21/ContextRL_multimodal_Qwen3_VL",
)
"""The data sets that arXiv 2606.17053 published."""

# Our field -> possible column names, ours first. The published multimodal sets have `problem`,
# `answer` and `images`, the agentic pairs `prompt` and `correct_answer` (the authors' loaders); the
# others are assumed.
NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "id": ("id", "index", "instance_id"),
        "domain": ("domain", "data_source", "category"),
        "query": ("query", "question", "problem", "prompt"),
        "answer": ("answer", "ground_truth", "solution", "correct_answer"),
        "answer_negative": ("answer_negative", "negative_answer"),
        "context_positive": ("context_positive", "positive_context", "image_positive"),
        "context_negative": ("context_negative", "negative_context", "image_negative"),
        "source": ("source",),
        "images": ("images", "image"),
        "choices": ("choices", "options"),
        "kind": ("kind",),
        "prompt": ("prompt",),
        "correct_answer": ("correct_answer",),
    }
)
CONTEXTS = ("context_positive", "context_negative")
REQUIRED = ("query", "answer", *CONTEXTS)
_SOFTWARE = {"instance_id", "problem_statement"}


def ours(row: Row, columns: Mapping[str, str]) -> dict[str, Any]:
    """Return a row under our names; of several columns for a field, the first non-empty one."""
    return {
        name: next((row[key] for key in _keys(name, columns) if not is_empty(row.get(key))), None)
        for name in NAMES
    }


def ours_of_json(row: Row, columns: Mapping[str, str], names: Collection[str]) -> dict[str, Any]:
    """Return a row of a JSON-lines file with these ``names`` of fields under our names.

    Other names are accepted for a required field missing from the file, or if the row has none of
    ours; then also for images, choices and the other answer. Never for id and domain.
    """
    named = ours(row, columns)
    some = any(not is_empty(row.get(name)) for name in REQUIRED)
    kept = {"id", "domain", *(name for name in REQUIRED if some and name in names)}
    if not any(is_empty(row.get(name)) and named[name] for name in set(REQUIRED) - kept):
        kept |= {"answer_negative", "images", "choices"}
    return named | {name: row.get(name) for name in kept - columns.keys()}


def _keys(name: str, columns: Mapping[str, str]) -> tuple[str, ...]:
    return (columns[name],) if name in columns else NAMES[name]


# "A", " B ", "(A)", "B."; not "AB", "a", "C".
_LETTER = re.compile(r"\s*\(?([AB])[).:]*\s*")


def right_letter(row: Row) -> Letter | None:
    """Return the answer of a row as an option letter, None if it is not one."""
    match = _LETTER.fullmatch(str(row.get("answer")))
    return cast("Letter", match[1]) if match else None


def is_selection(row: Row) -> bool:
    """Whether a row (under our names) is a written selection prompt.

    Several images and the answer A or B, as in the authors' image loader; or ``prompt`` and
    ``correct_answer`` (A or B), as in their trajectory loader. A row with more than two ``choices``
    is an ordinary question.
    """
    choices = row.get("choices")
    listed = len(choices) if isinstance(choices, list) else 0
    if right_letter(row) is None or listed > len(LETTERS):
        return False
    text = not is_empty(row.get("prompt")) and not is_empty(row.get("correct_answer"))
    return text or len(images_of(row)) > 1


def images_of(row: Row) -> list[Any]:
    """Return the images of a row as stored."""
    images = row.get("images")
    listed = images if isinstance(images, list) else [images]
    return [image for image in listed if not is_empty(image)]


def kind_of(row: Row) -> Kind:
    """Return the kind of a row (under our names): the only place where this is decided."""
    if any(not is_empty(row.get(name)) for name in CONTEXTS):
        return "pairs"
    if is_selection(row):
        return "selection"
    return "others" if is_empty(row.get("query")) and is_empty(row.get("answer")) else "rl"


@dataclass(frozen=True)
class Table:
    """The rows of one file or data set, by their own names.

    ``facts`` yields rows with images only counted: enough for `kind_of`. ``label`` names rows
    without an id, if a source has several tables.
    """

    name: str
    folder: Path
    names: tuple[str, ...]
    size: int
    row: Callable[[int], Row]
    facts: Callable[[], Iterator[Row]]
    where: Callable[[int], str]
    label: str = ""
    named: Callable[[Row, Mapping[str, str]], dict[str, Any]] = ours

    @property
    def software(self) -> bool:
        """Whether the rows are software tasks, for an agent."""
        return "instance" in self.names or set(self.names) >= _SOFTWARE


@dataclass(frozen=True)
class Source:
    """All rows of a source in sequence.

    ``whole`` rows keep their own names.
    """

    name: str
    tables: tuple[Table, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    image_root: Path | None = None
    whole: bool = False

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(table.size for table in self.tables))

    def _find(self, index: int) -> tuple[Table, int]:
        number = bisect_right(self._ends, index)
        return self.tables[number], index - (self._ends[number - 1] if number else 0)

    def folder(self, index: int) -> Path:
        """Return the folder that a row's image paths are relative to, and must stay in."""
        return self.image_root or self._find(index)[0].folder

    def row(self, index: int) -> Row:
        """Return one row, its images as bytes and paths.

        ``datasets`` must not decode them: it would open any path, and fetch any URL.
        """
        table, number = self._find(index)
        row = table.row(number)
        if self.whole:
            return row
        named = table.named(row, self.columns)
        if len(self.tables) > 1 and is_empty(named["id"]):  # row numbers repeat across files
            named["id"] = f"{table.label}-{number}"
        return named

    def where(self, index: int) -> str:
        """Return a row's name in messages."""
        table, number = self._find(index)
        return table.where(number)

    @cached_property
    def _facts(self) -> list[list[tuple[Kind, bool]]]:
        """By table, each row's kind, and whether it has several images and a letter after B."""
        return [
            [("rl", False)] * table.size
            if table.software
            else [_facts_of(table.named(row, self.columns)) for row in table.facts()]
            for table in self.tables
        ]

    @property
    def kinds(self) -> list[Kind]:
        """The kind of each row."""
        return [kind for facts in self._facts for kind, _ in facts]

    @property
    def counts(self) -> dict[Kind, int]:
        """The number of rows of each kind."""
        kinds = self.kinds
        return {kind: kinds.count(kind) for kind in KINDS}

    @property
    def other_letters(self) -> int:
        """The number of rows with several images and a letter after B, as in ordinary questions."""
        return sum(choice for facts in self._facts for _, choice in facts)

    @property
    def software(self) -> bool:
        """Whether the RL rows are software tasks; `UsageError` if only some are."""
        kinds = {
            table.software
            for table, facts in zip(self.tables, self._facts, strict=True)
            if table.software or any(kind == "rl" for kind, _ in facts)
        }
        if len(kinds) > 1:
            raise UsageError(
                f"{self.name} holds software tasks and ordinary questions: name one of its files"
            )
        return kinds == {True}

    def chosen(
        self,
        kinds: Sequence[Kind],
        make: Callable[[Row, Path, str], T],
        peek: Callable[[Row, Path, str], Preview],
    ) -> LazyRows[T]:
        """Return the rows of the given kinds."""
        wanted = [index for index, kind in enumerate(self.kinds) if kind in kinds]
        return LazyRows(self, wanted, make, peek)

    def need(self, fields: Sequence[str]) -> None:
        """Raise `UsageError` if no column provides one of the fields."""
        names = {name for table in self.tables for name in table.names}
        missing = [name for name in fields if names.isdisjoint(_keys(name, self.columns))]
        if missing:
            tried = "; ".join(f"{name} (tried {', '.join(NAMES[name])})" for name in missing)
            raise UsageError(
                f"{self.name} has no column for {tried}; its columns are "
                f"{', '.join(sorted(names))}: name it with --columns {missing[0]}=COLUMN"
            )


@dataclass(frozen=True)
class LazyRows(Sequence[T]):
    """The rows ``indices`` of a source; a slice is another such sequence, and opens nothing.

    ``make`` builds an item from a row, its folder and its name in messages; ``peek`` checks the
    same row without decoding an image. Access raises `UsageError` if the row is wrong, or one of
    its images cannot be read.
    """

    source: Source
    indices: Sequence[int]
    make: Callable[[Row, Path, str], T]
    peek: Callable[[Row, Path, str], Preview]

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> LazyRows[T]: ...

    def __getitem__(self, index: int | slice) -> T | LazyRows[T]:
        if isinstance(index, slice):
            return replace(self, indices=self.indices[index])
        row, where = self.undecoded(index)
        return self.make(row, self.source.folder(self.indices[index]), where)

    def preview(self, index: int) -> Preview:
        """Check an item without decoding its images."""
        row, where = self.undecoded(index)
        return self.peek(row, self.source.folder(self.indices[index]), where)

    def undecoded(self, index: int) -> tuple[Row, str]:
        """Return an item's row as stored, and its name in messages."""
        number = self.indices[index]
        return self.source.row(number), self.source.where(number)


# "C", "(d)": letters of choice questions, in no selection prompt.
_OTHER_LETTER = re.compile(r"\s*\(?[C-H][).:]?\s*")


def _facts_of(row: Row) -> tuple[Kind, bool]:
    kind, letter = kind_of(row), _OTHER_LETTER.fullmatch(str(row.get("answer")))
    return kind, kind == "rl" and letter is not None and len(images_of(row)) > 1


def open_source(
    source: str, columns: Mapping[str, str], image_root: Path | None = None, content: str = ""
) -> Source:
    """Return the rows of a file, a folder, or a data set's id on the Hub.

    ``columns``: our field -> the source's column, and ``image_root``: the folder that image paths
    are relative to, if they differ; ``content``: what the rows should be, for messages. Raises
    `UsageError` if there is no such source, it is empty, or it lacks a named column.
    """
    if image_root is not None and not image_root.is_dir():
        raise UsageError(f"--image-root {image_root} is not a folder")
    opened = Source(source, tuple(_tables(source, content)), columns, image_root)
    known = sorted({name for table in opened.tables for name in table.names})
    for name, column in columns.items():
        if name not in NAMES:
            raise UsageError(f"--columns {name}=...: the fields are {', '.join(NAMES)}")
        if column not in known:
            raise UsageError(f"{source} has no column {column!r}: {', '.join(known)}")
    return opened


def _tables(source: str, content: str) -> Iterator[Table]:
    path = Path(source)
    if path.is_file() and path.suffix != ".parquet":
        yield _json_table(path, content)
        return
    import datasets

    try:
        if path.exists():
            yield from _local_tables(path)
            return
        if path.is_absolute() or source.startswith(".") or source.count("/") != 1:
            raise UsageError(f"there is no file, folder or data set {source}")
        if source in PUBLISHED:  # its files differ in columns
            from huggingface_hub import snapshot_download

            yield from _local_tables(Path(snapshot_download(source, repo_type="dataset")))
        else:
            rows = _train_split(datasets.load_dataset(source), source)
            yield _arrow_table(source, rows, Path(source))
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        published = " (one of the paper's published sets)" if source in PUBLISHED else ""
        reason = first_line(error)
        raise UsageError(f"{source}{published} cannot be read: {reason}") from error


def _local_tables(path: Path) -> Iterator[Table]:
    import datasets

    if path.is_file():
        yield _parquet_table([path], path, str(path))
        return
    files = training_files(path)
    if not files:
        rows = _train_split(datasets.load_from_disk(str(path)), str(path))
        yield _arrow_table(str(path), rows, path)
    names = dict(zip(files, labels(path, files), strict=True))
    groups = _parquet_groups([file for file in files if file.suffix == ".parquet"])
    lines = [file for file in files if file.suffix == ".jsonl"]
    for group in groups:
        alone = len(groups) == 1 and not lines
        table = _parquet_table(group, path, str(path if alone else group[0]))
        yield replace(table, label=names[group[0]])
    for file in lines:
        yield replace(_json_table(file), label=names[file])


def _parquet_groups(files: Sequence[Path]) -> list[list[Path]]:
    """Group files with the same columns: those of the published sets differ."""
    from pyarrow import parquet

    groups: dict[str, list[Path]] = {}
    for file in files:
        schema = parquet.read_schema(file).remove_metadata()
        groups.setdefault(str(schema), []).append(file)
    return list(groups.values())


def _parquet_table(files: Sequence[Path], folder: Path, name: str) -> Table:
    import datasets

    names = [str(file) for file in files]
    rows = datasets.load_dataset("parquet", data_files=names, split="train")
    return _arrow_table(name, rows, folder.parent if folder.is_file() else folder)


def _json_table(path: Path, content: str = "") -> Table:
    rows = JsonRows(path, content)
    return Table(
        str(path),
        path.parent,
        rows.names,
        len(rows),
        row=rows.__getitem__,
        facts=lambda: iter(rows),
        where=rows.where,
        named=partial(ours_of_json, names=rows.names),
    )


def _arrow_table(name: str, rows: Any, folder: Path) -> Table:
    arrow = rows.with_format("arrow")
    return Table(
        name,
        folder,
        tuple(rows.column_names),
        len(rows),
        row=lambda index: arrow[index].to_pylist()[0],
        facts=lambda: _arrow_facts(arrow),
        where=lambda index: f"{name}, row {index}",
    )


def _arrow_facts(arrow: Any) -> Iterator[Row]:
    """Yield rows with values of short cells only: no image is read."""
    import pyarrow.compute as pc
    import pyarrow.types as types

    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view,
             types.is_large_list_view)  # fmt: skip
    columns: dict[str, list[Any]] = {}
    for name in arrow.column_names:
        column, type_ = arrow.data.column(name), arrow.data.schema.field(name).type
        if arrow._indices is not None:
            column = column.take(arrow._indices.column(0))
        if any(is_list(type_) for is_list in lists):
            columns[name] = [[True] * (n or 0) for n in pc.list_value_length(column).to_pylist()]
        elif types.is_string(type_) or types.is_large_string(type_):
            columns[name] = pc.utf8_slice_codeunits(column, 0, 16).to_pylist()
        elif types.is_nested(type_) or types.is_binary(type_):
            columns[name] = [valid or None for valid in column.is_valid().to_pylist()]
        else:
            columns[name] = column.to_pylist()
    for cells in zip(*columns.values(), strict=True):
        yield dict(zip(columns, cells, strict=True))


def _train_split(loaded: Any, source: str) -> Any:
    if not isinstance(loaded, dict):
        return loaded
    name = "train" if "train" in loaded or len(loaded) != 1 else next(iter(loaded))
    if name not in loaded:
        splits = ", ".join(loaded)
        raise UsageError(f"{source} has the splits {splits}, and none is named train")
    return loaded[name]
