"""A file of questions as a benchmark, without any code: docs/own_benchmarks.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.data.local.images import as_seen, decode, inside
from benchmarks.data.local.verify import Report, TableReport
from benchmarks.options import one_of, option
from benchmarks.own.questions import (
    FIELDS,
    KINDS,
    ImageCell,
    Question,
    Reading,
    followed,
    image_values,
    placed,
    question_of,
)
from benchmarks.own.rows import Rows, open_rows
from benchmarks.scoring import score
from benchmarks.vqa.base.versions import scoring_version
from harness.errors import ItemError, UsageError, nearest
from harness.files.hashing import file_hashes, json_hash, source_hash
from harness.protocols import Declaration, FailedItem, Judge, Model, Tools
from harness.records import ImagePart, Item, Message, Response, Sampling, Score, TextPart

if TYPE_CHECKING:
    from PIL import Image

_CODE = (Path(__file__), Path(__file__).with_name("questions.py"))
_SAMPLE = 8  # items whose images are decoded by `data verify` unless all are asked for


def _columns(words: str) -> tuple[tuple[str, str], ...]:
    """Return our fields' columns, written ``question=Frage,answer=Antwort``."""
    pairs = tuple(part.partition("=")[::2] for part in words.split(",") if part)
    for field, column in pairs:
        if field not in FIELDS or not column:
            raise ValueError(f"write FIELD=COLUMN,...; {nearest(field, FIELDS)}")
    return pairs


@dataclass(frozen=True)
class TableBenchmark:
    """Questions of a table, one a row, with images, options and an answer.

    `table_benchmark` makes a class of a file.  Without ``images`` prompts hold text alone.
    """

    data_root: Path
    images: bool = True
    kind: str = option(
        "", one_of(*KINDS), "what all answers are  [default: per row the column kind, else choice "
        "with options, number where the answer is one, else text]",
    )  # fmt: skip
    instruction: str | None = option(None, str, "the last line of every prompt")
    columns: tuple[tuple[str, str], ...] = option((), _columns, "other names: FIELD=COLUMN,...")
    image_root: Path | None = option(
        None, Path, "the folder of image files  [default: the table's]"
    )

    path: ClassVar[Path]
    id: ClassVar[str]

    @property
    def declaration(self) -> Declaration:
        """What is asked and how it is scored."""
        options = {name: getattr(self, name) for name in ("kind", "instruction", "columns")}
        given = {name: value for name, value in options.items() if value not in ("", None, ())}
        return Declaration(
            id=self.id,
            title=self.path.name,
            protocol={"prompt": f"table-{source_hash(*_CODE)}", **given},
            scoring=scoring_version(_CODE[1]),
            max_tokens=8192,  # leaves room to reason
            native_max_tokens=128,
            n_items=self.count(),
            metric="accuracy",
            clusters="the column cluster, else items with the same image",
            image_conversion="white",
        )

    @cached_property
    def rows(self) -> Rows:
        """The rows of the file; UsageError where it does not read."""
        return open_rows(self.path)

    @cached_property
    def questions(self) -> Mapping[str, Question]:
        """Every question by its id, in the file's order.

        Raises:
            UsageError: a row is no question, or two have one id; names the rows.
        """
        reading = Reading(dict(self.columns), self.kind, self.instruction)
        known: dict[str, Question] = {}
        lines: dict[str, str] = {}
        for index in range(len(self.rows)):
            where = self.rows.where(index)
            question = question_of(self.rows[index], index, where, reading)
            if question.id in known:
                raise UsageError(f"{where}: the id {question.id!r} is that of {lines[question.id]}")
            known[question.id], lines[question.id] = question, where
        whole = {name: followed(known, each, lines[name]) for name, each in known.items()}
        self._check_paths(whole, lines)
        return whole

    @property
    def folder(self) -> Path:
        """The folder that image files are in, and may not lead out of."""
        return self.image_root or self.path.parent

    def _paths(self, questions: Iterable[Question]) -> dict[str, Path]:
        names = dict.fromkeys(image.path for each in questions for image in each.images)
        return {name: self.folder / name for name in names if name}

    def _check_paths(self, questions: Mapping[str, Question], lines: Mapping[str, str]) -> None:
        seen: set[str] = set()
        for name, question in questions.items():
            for path in self._paths([question]).keys() - seen:
                seen.add(path)
                try:
                    there = inside(self.folder, path).is_file() or not self.images
                except (ValueError, OSError) as error:
                    raise UsageError(f"{lines[name]}: {error}") from error
                if not there:
                    raise UsageError(f"{lines[name]}: there is no image {self.folder / path}")

    def fingerprint(self) -> str:
        """Return the content hash of the table and of the image files that it names."""
        paths = {n: p for n, p in self._paths(self.questions.values()).items() if p.is_file()}
        table, *images = file_hashes([self.path, *paths.values()])
        return json_hash([table, sorted(zip(paths, images, strict=True))])

    def count(self) -> int:
        """Return the number of questions."""
        return len(self.questions)

    def ids(self) -> Sequence[str]:
        """Return the ids in the file's order."""
        return list(self.questions)

    def build(self, item_id: str) -> Item | FailedItem:
        """Return one item; one whose image does not decode is a failed item."""
        question = self.questions[item_id]
        parts = placed(question.prompt, len(question.images))
        try:
            content = tuple(
                TextPart(part) if isinstance(part, str) else ImagePart(self._image(question, part))
                for part in parts
                if isinstance(part, str) or self.images
            )
        except ItemError as error:
            return FailedItem(item_id, f"an image does not decode: {error}")
        message = Message("user", content)
        return Item(item_id, (message,), question.target, question.cluster, question.parts)

    def _image(self, question: Question, number: int) -> Image.Image:
        return as_seen(decode(self._cell(question.images[number]), folder=self.folder))

    def _cell(self, image: ImageCell) -> Any:
        """Return what `decode` takes."""
        if image.path:
            return {"path": image.path}
        value = image_values(Reading(dict(self.columns)).fields(self.rows[image.row]))[image.number]
        if isinstance(value, str) and value.startswith("data:"):
            value = value.partition(",")[2]
        return {"bytes": value} if isinstance(value, bytes) else value

    def first_images(self, wanted: Iterable[str]) -> dict[str, Image.Image]:
        """Return the first image of some items by id, of those that have one that decodes."""
        images = {}
        for item_id in wanted:
            question = self.questions.get(item_id)
            if question is not None and question.images:
                with suppress(ItemError):
                    images[item_id] = self._image(question, 0)
        return images

    async def solve(self, item: Item, model: Model, sampling: Sampling, tools: Tools) -> Response:
        """Ask the model once."""
        return await model.chat(item.messages, sampling)

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        """Score a response by the strict rules."""
        return score(response.answer, item.target)

    def native(self, answers: Mapping[str, str], judge: Judge | None) -> Mapping[str, Score]:
        """No other library scores a table."""
        return {}

    def verify(self, *, all_images: bool) -> Report:
        """Read every row and decode images, all or those of a few rows; see `data verify`."""
        report = Report(self.id, str(self.path.parent), None, None, (), (), ())
        try:
            ids = self.ids()
            digest = self.fingerprint()
        except UsageError as error:
            return replace(report, problems=(str(error),))
        number = len(ids) if all_images else min(_SAMPLE, len(ids))
        sample = [ids[n * len(ids) // number] for n in range(number)]
        failed = [each for each in map(self.build, sample) if isinstance(each, FailedItem)]
        return replace(
            report,
            fingerprint=digest,
            tables=(TableReport("", "", self.path.suffix[1:], len(ids), len(ids), number),),
            problems=tuple(f"{self.id}: item {each.id}: {each.reason}" for each in failed[:1]),
        )


def table_benchmark(path: Path) -> type[TableBenchmark]:
    """Return the class of a file's benchmark; its id is the file's name less its ending."""
    name = re.sub(r"[^A-Za-z0-9_+-]+", "_", path.stem) or "table"
    return type(name, (TableBenchmark,), {"path": path, "id": name, "__module__": __name__})
