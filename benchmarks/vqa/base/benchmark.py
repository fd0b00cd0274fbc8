"""The base of the VQA benchmarks: lmms-eval's own prompts and images on local data, offline.

An adapter gives its tasks, targets and parts.  Its items are built once, in the child process that
also scores natively, and kept (`benchmarks.vqa.base.prepared`): lmms-eval is not imported here.
"""

from __future__ import annotations

import hashlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from benchmarks import data
from benchmarks.data.local.images import is_empty
from benchmarks.data.local.read import TableRows
from benchmarks.options import declared, option
from benchmarks.scoring import Target, score
from benchmarks.vqa.base import prepared
from benchmarks.vqa.base.native import shared_scorer
from benchmarks.vqa.base.prepared import Prepared, Row, Turn
from benchmarks.vqa.base.tasks import build_task, image_columns, library_version, placeholders
from benchmarks.vqa.base.versions import judged_rules, native_rules, scoring_version
from harness.errors import ItemError, UsageError
from harness.files.hashing import source_hash
from harness.protocols import Ask, Declaration, FailedItem, Judge, Model, Tools
from harness.records import Item, Response, Sampling, Score

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

Doc = Mapping[str, Any]


# What reading a row raises whose cells are not what the data set promises (an answer of null).
_MALFORMED = (AttributeError, TypeError, ValueError, LookupError)
_VQA = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Form:
    """One lmms-eval task of a benchmark and the table that it reads.

    ``id_column`` holds the official id ("" where there is none: then the row number is the id);
    ``prefix`` keeps the ids of several forms apart.
    """

    task: str
    config: str
    split: str
    id_column: str = ""
    prefix: str = ""
    part: str = ""


@dataclass(frozen=True)
class Table:
    """A form with its rows, and its task, which imports lmms-eval when it is first used."""

    form: Form
    source: Dataset

    @cached_property
    def images(self) -> tuple[str, ...]:
        """The columns that hold images."""
        return tuple(image_columns(self.source))

    @cached_property
    def rows(self) -> Dataset:
        """The rows, images not decoded."""
        from datasets import Image

        rows = self.source
        for name in self.images:
            rows = rows.cast_column(name, Image(decode=False))
        return rows

    def ids(self, seen: set[str]) -> Iterator[str]:
        """Yield the ids of the rows; one that was ``seen`` before gets its row number."""
        column = self.form.id_column
        for row, name in enumerate(self.rows[column] if column else range(len(self.rows))):
            item_id = f"{self.form.prefix}{name}"
            if item_id in seen:
                item_id = f"{item_id}#{row}"
            seen.add(item_id)
            yield item_id

    @cached_property
    def task(self) -> Any:
        """The task of lmms-eval on these rows."""
        split = self.form.split
        return build_task(self.form.task, {split: self.source}, {"test_split": split})


def _conversion(word: str) -> str:
    if word not in ("white", "native"):
        raise ValueError("choose white or native")
    return word


@dataclass(frozen=True)
class LmmsBenchmark(ABC):
    """A benchmark whose documents, prompts and images come from lmms-eval's tasks.

    An adapter fills in the class attributes and says what the target of a document is.  Without
    ``images`` none is needed or decoded and messages hold text alone: to score responses that
    exist already.
    """

    data_root: Path
    images: bool = True
    image_conversion: str = option(
        "white",
        _conversion,
        "white: transparent images on white, wide grey scaled to 8 bits, all turned as their EXIF "
        "data says; native: lmms-eval's own conversion",
    )

    id: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[data.Source]
    tasks: ClassVar[tuple[Form, ...]]
    """The lmms-eval tasks of all splits."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Columns whose image the prompt of every document shows."""
    prompt_variant: ClassVar[str]
    """The tasks' prompt, in the words of their yaml files."""
    protocol_extra: ClassVar[Mapping[str, Any]] = {}
    """Whatever else decides what is asked."""
    max_tokens: ClassVar[int]
    native_max_tokens: ClassVar[int]
    metric: ClassVar[str] = "accuracy"
    clusters: ClassVar[str] = "items with the same image"
    headline: ClassVar[tuple[str, ...]] = ()
    native_metric: ClassVar[tuple[str | int, ...]]
    """The keys to lmms-eval's value in what the task's ``process_results`` returns."""
    part_column: ClassVar[str] = ""
    """The column that names a document's part."""
    asks_judge: ClassVar[bool] = False
    """Whether the official protocol asks a judge; see `JudgedLmmsBenchmark`."""

    @property
    def split(self) -> str:
        """The split that is the data; "" where all required tables are."""
        return ""

    @property
    def forms(self) -> tuple[Form, ...]:
        """The lmms-eval tasks that make up the benchmark, in the split that is the data."""
        return tuple(form for form in self.tasks if self.split in ("", form.split))

    @property
    def declaration(self) -> Declaration:
        """The declared protocol; reading it imports nothing heavy."""
        adapter = self._adapter
        forms = self.forms
        return Declaration(
            id=self.id,
            title=self.title,
            protocol={
                "library": f"lmms-eval {library_version()}",
                "tasks": [form.task for form in forms],
                "split": forms[0].split,
                "prompt": self.prompt_variant,
                # Left out by default: the keys of runs that are stored do not have it.
                **({"image_conversion": "native"} if self.image_conversion == "native" else {}),
                **self.protocol_extra,
            },
            image_conversion=self.image_conversion,
            scoring=scoring_version(adapter),
            max_tokens=self.max_tokens,
            native_max_tokens=self.native_max_tokens,
            n_items=sum(self._table(form).count for form in forms),
            metric=self.metric,
            clusters=self.clusters,
            headline=self.headline,
            native_needs_judge=self.asks_judge,
            native_rules=native_rules(adapter),
            judged_rules=judged_rules(adapter) if self.asks_judge else "",
        )

    @property
    def _adapter(self) -> Path:
        """The file of the benchmark's class."""
        return Path(str(sys.modules[type(self).__module__].__file__))

    def _table(self, form: Form) -> data.Table:
        """Return what the data set's source says of a form's table."""
        tables = {(table.config, table.split): table for table in self.source.tables}
        return tables[form.config, form.split]

    @property
    def _image_columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for table in self.source.tables for name in table.images))

    @abstractmethod
    def target(self, doc: Doc) -> Target:
        """Return what the strict scorer needs of a document; ItemError if its gold is unusable."""

    def native_value(self, metrics: Mapping[str, Any]) -> float:
        """Return what lmms-eval's task says of an answer, in [0, 1]; ItemError if nothing.

        Runs in the scorer's child; ``metrics`` are what the task's ``process_results`` returned.
        """
        value: Any = metrics
        for key in self.native_metric:
            value = value[key]
        return float(value)

    def parts(self, form: Form, doc: Doc) -> tuple[str, ...]:
        """Return the subscores that a document counts towards."""
        part = form.part or doc.get(self.part_column)
        return (part,) if part else ()

    def cluster(self, doc: Doc, item_id: str) -> str:
        """Return the name of the group of items that a document is not independent of."""
        cells = [doc[name] for name in self._image_columns if doc.get(name) is not None]
        return f"images-{digest(cells)}" if cells else item_id

    def needed(self, doc: Doc) -> Sequence[str]:
        """Return the columns whose image this document's prompt cannot do without."""
        return self.needs

    def prompt(self, task: Any, doc: Doc) -> str:
        """Return the prompt's text alone; ``doc`` may have its images undecoded."""
        return str(task.doc_to_text(doc))

    def messages(self, task: Any, doc: Doc) -> Sequence[Mapping[str, Any]]:
        """Return the conversation in lmms-eval's form; ``doc`` has its images decoded."""
        turns: Sequence[Mapping[str, Any]] = task.doc_to_messages(doc)
        return turns

    def fingerprint(self) -> str:
        """Return the content hash of the local data; UsageError if it is missing."""
        return data.fingerprint(self.id, self.data_root, images=self.images, split=self.split)

    def count(self) -> int:
        """Return the number of items in the local data; nothing is decoded."""
        return data.count(self.id, self.data_root, images=self.images, split=self.split)

    @cached_property
    def prepared(self) -> Prepared:
        """The prepared items, made by the native child if need be; UsageError if it fails."""
        key, native = self._key, self.image_conversion == "native"
        for folder in prepared.folders(self.id, self.data_root):
            rows = prepared.read(folder / prepared.file_name(key), key)
            if rows is not None:
                return Prepared(rows, self._images, native)
        data.convert(self.id, self.data_root, images=self.images)
        made = shared_scorer().prepare(
            self.id, self.data_root, images=self.images, options=self.given_options
        )
        rows = prepared.decoded(made)
        if rows is None or key["data"] != self.fingerprint():
            raise UsageError(f"the data of {self.id} changed while it was read: run again")
        with suppress(OSError):  # they are made again the next time
            prepared.keep(prepared.folders(self.id, self.data_root), key, rows)
        return Prepared(rows, self._images, native)

    @cached_property
    def _images(self) -> tuple[TableRows, ...]:
        tables = data.find(self.id, self.data_root / self.id, images=self.images)
        by_name = {(each.table.config, each.table.split): TableRows(each) for each in tables}
        return tuple(by_name[form.config, form.split] for form in self.forms)

    @property
    def given_options(self) -> dict[str, str]:
        """The values of the benchmark's options, as words."""
        return {name: str(getattr(self, name)) for name in declared(type(self))}

    @cached_property
    def _key(self) -> dict[str, Any]:
        """What decides the prepared items."""
        key: dict[str, Any] = msgspec.to_builtins(
            {
                "data": self.fingerprint(),
                "split": self.split,
                "options": self.given_options,
                "protocol": self.declaration.protocol,
                "lmms-eval": library_version(),
                "code": f"{_code()}-{source_hash(self._adapter)}",
            }
        )
        return key

    def rows(self) -> list[Row]:
        """Build every item, by lmms-eval's task; UsageError if the data is not readable."""
        return [self._row(row) for row in self.places.values()]

    @cached_property
    def places(self) -> Mapping[str, Row]:
        """Every item by its id, with nothing but its place, in the order in which items are asked.

        Several forms take turns (first rows, second rows, ...), so that a limited run sees each.
        """
        seen: set[str] = set()
        forms = [
            [Row(item_id, form, row) for row, item_id in enumerate(table.ids(seen))]
            for form, table in enumerate(self.tables)
        ]
        return {row.id: row for turn in zip_longest(*forms) for row in turn if row}

    def ids(self) -> Sequence[str]:
        """Return the ids of all items; UsageError if the data is missing or not readable."""
        return list(self.prepared.by_id)

    def build(self, item_id: str) -> Item | FailedItem:
        """Return one item; one whose row or image does not read is a failed item."""
        return self.prepared.item(self.prepared.by_id[item_id], images=self.images)

    async def solve(self, item: Item, model: Model, sampling: Sampling, tools: Tools) -> Response:
        """Ask the model once."""
        return await model.chat(item.messages, sampling)

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        """Score a response by the strict rules."""
        return score(response.answer, item.target)

    def native(self, answers: Mapping[str, str], judge: Judge | None) -> Mapping[str, Score]:
        """Score answers by lmms-eval's own rules, in the sandboxed child of this process.

        It starts at the first call, if need be one without answers; see `NativeScorer.score`.
        """
        if not answers:
            shared_scorer().start(self.data_root)
            return {}
        data.convert(self.id, self.data_root, images=self.images)
        return shared_scorer().score(
            self.id, self.data_root, answers, judge if self.asks_judge else None,
            images=self.images, options=self.given_options,
        )  # fmt: skip

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """The forms with their rows, in order."""
        configs = data.load(self.id, self.data_root, images=self.images, split=self.split)
        built = tuple(Table(form, configs[form.config][form.split]) for form in self.forms)
        for table in built:
            for name in self._table(table.form).columns:
                if name not in table.source.column_names:
                    raise UsageError(
                        f"the data of {self.id} in {self.data_root} lacks the column {name!r}: "
                        f"download it again with `harness data pull {self.id}`"
                    )
        return built

    def first_images(self, wanted: Iterable[str]) -> dict[str, Image.Image]:
        """Return the first image of some items by id, of those whose image decodes."""
        images = {}
        for item_id in self.prepared.by_id.keys() & set(wanted):
            row = self.prepared.by_id[item_id]
            with suppress(ItemError):
                images[item_id] = self.prepared.first_image(row, self._image_columns)
        return images

    def _row(self, row: Row) -> Row:
        """Return a row with all that is prepared of its item."""
        table = self.tables[row.form]
        doc = {n: None if is_empty(cell) else cell for n, cell in table.rows[row.row].items()}
        row = replace(row, doc=self.kept(table, row.row))
        try:
            target, cluster = self.target(doc), self.cluster(doc, row.id)
            row = replace(row, target=target, cluster=cluster, parts=self.parts(table.form, doc))
        except (ItemError, *_MALFORMED) as error:
            row = replace(row, failed=_reason(error))
        try:
            row = replace(row, prompt=self.prompt(table.task, doc))
        except (ItemError, *_MALFORMED) as error:
            row = replace(row, failed_text=_reason(error))
        try:
            turns, decoded = self._turns(table, doc)
            return replace(row, turns=turns, decoded=decoded)
        except (ItemError, *_MALFORMED) as error:
            return replace(row, failed_images=_reason(error))

    def _turns(self, table: Table, doc: Doc) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
        """Return the conversation with columns for images, and the columns that must decode."""
        for name in self.needed(doc):
            if doc.get(name) is None:
                raise ItemError(f"the data set has no image in column {name}")
        texts = [n for n in self._image_columns if isinstance(doc.get(n), str) and doc[n]]
        shown = {
            name: cell
            for name, cell in doc.items()
            if cell is not None and (name in table.images or name in texts)
        }
        stand_ins, column_of = placeholders(shown)
        turns = tuple(
            Turn(turn["role"], tuple(_part(part, column_of) for part in turn["content"]))
            for turn in self.messages(table.task, {**doc, **stand_ins})
        )
        return turns, tuple(shown)

    def kept(self, table: Table, row: int) -> dict[str, Any]:
        """Return what of a document is kept for `judged`; nothing where no judge is asked."""
        return {}


class JudgedLmmsBenchmark(LmmsBenchmark):
    """A benchmark whose official protocol asks a judge, by rules in `benchmarks.vqa.judging`."""

    asks_judge = True

    async def judged(self, item_id: str, answer: str, ask: Ask) -> Score:
        """Score one answer by a judge; see `harness.protocols.JudgedBenchmark`."""
        return await self.judge(self.prepared.by_id[item_id].doc, answer, ask)

    def kept(self, table: Table, row: int) -> dict[str, Any]:
        """Return the document without its images."""
        doc = table.task.eval_docs_no_media[row]
        return {name: value for name, value in doc.items() if name not in self._image_columns}

    @abstractmethod
    async def judge(self, doc: Doc, answer: str, ask: Ask) -> Score:
        """Score an answer to a document without its images."""


@lru_cache(maxsize=1)
def _code() -> str:
    """Return the hash of the code that prepared items come from: adapters, golds, readers."""
    return source_hash(_VQA, _VQA.with_name("scoring"), _VQA.with_name("data"))


def digest(cells: Sequence[Any]) -> str:
    """Return a short hash of image cells (of their bytes, or else their file names) or texts."""
    digest = hashlib.blake2b(digest_size=8)
    for cell in cells:
        content = (cell["bytes"] or Path(cell["path"]).name) if isinstance(cell, dict) else cell
        content = content if isinstance(content, bytes) else str(content).encode()
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, ItemError):
        return str(error)
    return f"malformed row: {type(error).__name__}: {error}"


def _part(part: Mapping[str, Any], column_of: Mapping[int, str]) -> tuple[bool, str]:
    """Return a part of a task's message with its image's column.

    `AssertionError` if the task does more to its image than convert it to RGB.
    """
    if part["type"] == "text":
        return False, part["text"]
    image = part["url"]
    if image.mode != "RGB" or image.height != 1:
        raise AssertionError("the task changes its image: prepared items cannot hold that")
    return True, column_of[image.width]
