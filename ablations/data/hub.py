"""Pairs and RL items in a Hugging Face data set, including those that the paper published.

Rows with two contexts are pairs, the others RL items.  The published sets were not available here;
what is known of them is what the authors' code reads (docs/pairs.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ablations.data.items import COLUMNS as RL_COLUMNS
from ablations.data.items import (
    holds_software,
    item_of,
    preview_item,
    preview_software,
    software_item,
)
from benchmarks.pairs.file import REQUIRED, pair_of, preview_pair
from benchmarks.pairs.rows import LazyRows
from harness.errors import UsageError, first_line
from harness.records import Item, Pair

PUBLISHED = (
    "xupy21/ContextRL_Agentic",
    "xupy21/ContextRL_Multimodal_Qwen2.5_VL",
    "xupy21/ContextRL_multimodal_Qwen3_VL",
)
"""The data sets that arXiv 2606.17053 published."""

# Our field -> names that a data set's column may have, ours first.  By the authors' code the
# published multimodal sets have `problem`, `answer` and `images`; the others are assumed.
NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "id": ("id", "index", "instance_id"),
        "domain": ("domain", "data_source", "category"),
        "query": ("query", "question", "problem"),
        "answer": ("answer", "ground_truth", "solution"),
        "answer_negative": ("answer_negative", "negative_answer"),
        "context_positive": ("context_positive", "positive_context", "image_positive"),
        "context_negative": ("context_negative", "negative_context", "image_negative"),
        "source": ("source",),
        "images": ("images", "image"),
        "choices": ("choices", "options"),
        "kind": ("kind",),
    }
)


@dataclass(frozen=True)
class Rows:
    """A data set's rows under our names; ``rows[i][columns[field]]`` is a field's value.

    ``published``: it is one of the paper's, which hold selection prompts as finished texts.
    """

    name: str
    rows: Any
    columns: Mapping[str, str]
    published: bool = False

    @cached_property
    def _paired(self) -> list[bool]:
        """Whether each row has two contexts; reads no image."""
        names = [self.columns.get(field) for field in REQUIRED[2:]]
        if None in names:
            return [False] * len(self.rows)
        valid = [self.rows.data.column(name).is_valid().to_pylist() for name in names]
        return [all(flags) for flags in zip(*valid, strict=True)]

    @property
    def pairs(self) -> Sequence[Pair]:
        """The rows that have two contexts.

        Raises `UsageError` if there are none, or a column of pairs is missing.
        """
        if not set(REQUIRED[2:]) <= self.columns.keys() and any(self._written):
            raise UsageError(
                f"{self.name} has no column for context_positive, context_negative; "
                f"{sum(self._written)} of its rows are selection prompts that are written already "
                "(several images, answer A or B): the arms need question, answer and the two "
                "contexts separately (see docs/pairs.md)"
            )
        self._need(REQUIRED)
        if not any(self._paired):
            raise UsageError(f"{self.name}: no row has two contexts")
        chosen = [index for index, is_pair in enumerate(self._paired) if is_pair]
        return LazyRows(self, chosen, pair_of, preview_pair)

    @property
    def items(self) -> Sequence[Item]:
        """The rows that do not have two contexts, as RL items, or software tasks.

        Raises `UsageError` if there are none, or a column of RL items is missing.
        """
        if holds_software(self.rows.column_names):
            whole = replace(self, columns={name: name for name in self.rows.column_names})
            return LazyRows(whole, range(len(self.rows)), software_item, preview_software)
        self._need(RL_COLUMNS)
        contrastive = zip(self._paired, self._written, strict=True)
        chosen = [index for index, flags in enumerate(contrastive) if not any(flags)]
        if not chosen:
            raise UsageError(f"{self.name}: every row has two contexts, so there is no RL item")
        return LazyRows(self, chosen, item_of, preview_item)

    @cached_property
    def _written(self) -> list[bool]:
        """Whether each row is a finished selection prompt of a published set.

        By the authors' loader: several images, and the answer is A or B.
        """
        if not self.published or not {"images", "answer"} <= self.columns.keys():
            return [False] * len(self.rows)
        images, answers = (self.rows.data.column(self.columns[n]) for n in ("images", "answer"))
        return [
            image.is_valid and len(image) > 1 and answer.as_py() in ("A", "B")
            for image, answer in zip(images, answers, strict=True)
        ]

    @property
    def folder(self) -> Path:
        """The folder that image paths are relative to, and may not leave."""
        path = Path(self.name)
        return path.parent if path.is_file() else path

    def row(self, index: int) -> dict[str, Any]:
        """Return one row under our names, its images as bytes and paths.

        ``datasets`` is not let decode them: it would open any path, and fetch any address.
        """
        return self._ours(*self._arrow[index].to_pylist())

    undecoded = row

    def _ours(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {field: row[column] for field, column in self.columns.items()}

    def where(self, index: int) -> str:
        """Return the name of a row in messages."""
        return f"{self.name}, row {index}"

    @cached_property
    def _arrow(self) -> Any:
        return self.rows.select_columns(sorted(set(self.columns.values()))).with_format("arrow")

    def _need(self, fields: Sequence[str]) -> None:
        missing = [field for field in fields if field not in self.columns]
        if missing:
            tried = "; ".join(f"{field} (tried {', '.join(NAMES[field])})" for field in missing)
            raise UsageError(
                f"{self.name} has no column for {tried}; its columns are "
                f"{', '.join(self.rows.column_names)}: name it with --columns {missing[0]}=COLUMN"
            )


def open_dataset(source: str, columns: Mapping[str, str]) -> Rows:
    """Return a data set's rows under our names.

    Raises `UsageError` if there is no such data set, or a column that ``columns`` names is not
    there.
    """
    rows = _load(source)
    known = rows.column_names
    for field, column in columns.items():
        if field not in NAMES:
            raise UsageError(f"--columns {field}=...: the fields are {', '.join(NAMES)}")
        if column not in known:
            raise UsageError(f"{source} has no column {column!r}: {', '.join(sorted(known))}")
    mapped = {
        field: next(name for name in names if name in known)
        for field, names in NAMES.items()
        if not set(names).isdisjoint(known)
    }
    published = Path(source).name in {Path(name).name for name in PUBLISHED}
    return Rows(source, rows, {**mapped, **columns}, published)


def _load(source: str) -> Any:
    import datasets

    folder = Path(source)
    try:
        if folder.exists():
            files = [folder] if folder.is_file() else sorted(folder.rglob("*.parquet"))
            if files:
                names = [str(file) for file in files]
                return datasets.load_dataset("parquet", data_files=names, split="train")
            return _train_split(datasets.load_from_disk(source), source)
        if folder.is_absolute() or source.startswith(".") or source.count("/") != 1:
            raise UsageError(f"there is no file, folder or data set {source}")
        return _train_split(datasets.load_dataset(source), source)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        published = " (one of the paper's published sets)" if source in PUBLISHED else ""
        reason = first_line(error)
        raise UsageError(f"{source}{published} cannot be read: {reason}") from error


def _train_split(loaded: Any, source: str) -> Any:
    """Return the only split, or ``train``."""
    if not isinstance(loaded, dict):
        return loaded
    name = "train" if "train" in loaded or len(loaded) != 1 else next(iter(loaded))
    if name not in loaded:
        splits = ", ".join(loaded)
        raise UsageError(f"{source} has the splits {splits}, and none is named train")
    return loaded[name]
