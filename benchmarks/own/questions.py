"""A row of a table as a question: prompt, target, images, cluster and parts.

The columns are VLMEvalKit's (its ``ImageBaseDataset`` and ``ImageMCQDataset``) or those of data
sets on the hub; docs/own_benchmarks.md lists them.
"""

from __future__ import annotations

import ast
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase
from typing import Any, cast, get_args

from benchmarks.data.local.json_rows import Row
from benchmarks.scoring import Target
from benchmarks.scoring.target import Kind
from harness.errors import UsageError, nearest
from harness.files.text import counted

KINDS: tuple[Kind, ...] = get_args(Kind)
FIELDS: Mapping[str, tuple[str, ...]] = {
    "id": ("index", "id", "question_id"),
    "question": ("question", "query", "problem", "prompt"),
    "answer": ("answer", "ground_truth", "solution"),
    "choices": ("choices", "options"),
    "images": ("image", "images"),
    "image_path": ("image_path",),
    "hint": ("hint",),
    "kind": ("kind",),
    "cluster": ("cluster",),
    "category": ("category",),
    "l2-category": ("l2-category",),
    "unit": ("unit",),
    "precision": ("precision",),
    "tolerance": ("tolerance",),
}
"""Our fields and the columns that may hold them, the first that is filled counting."""
_PARTS = ("category", "l2-category")
_OPEN = "Answer the question using a single word or phrase."
_CHOICE = "Please select the correct answer from the options above."
_REFERENCE = 64  # characters: VLMEvalKit takes a text of at most so many for another row's index
# Matches "12", "-1,200.5", "40%", "1e-3"; not "12 apples", "1/2".
_NUMBER = re.compile(r"[-+]?(\d[\d,]*\.?\d*|\.\d+)([eE][-+]?\d+)?%?")
# Matches "<image>", "<image 2>"; not "<img>", "<image two>".
_MARK = re.compile(r"<image(?: (\d{1,3}))?>")


@dataclass(frozen=True, slots=True)
class ImageCell:
    """Where an image is: in a file, in a row as the number-th of its images, or in another row.

    ``other`` is that row's id: all of its images are meant.
    """

    path: str = ""
    row: int = -1
    number: int = 0
    other: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One row; `placed` splits ``prompt`` at its images."""

    id: str
    prompt: str
    target: Target
    images: tuple[ImageCell, ...]
    cluster: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows are read: names of columns, the kind of all answers, the last line of prompts."""

    columns: Mapping[str, str]
    kind: str = ""
    instruction: str | None = None

    def fields(self, row: Row) -> dict[str, Any]:
        """Return a row under our names, and its options by letter under ``A``, ``B``, ...

        Raises `ValueError` where columns of a field that are filled differ in case alone.
        """
        columns: dict[str, list[Any]] = {}
        for name, value in row.items():
            if filled(value):
                columns.setdefault(name if name in ascii_uppercase else name.lower(), []).append(
                    value
                )
        cells = {letter: columns.get(letter, [None])[0] for letter in ascii_uppercase}
        for field, names in FIELDS.items():
            column = self.columns.get(field)
            name = next((name for name in names if name in columns), "")
            known = [row.get(column)] if column else columns.get(name, [None])
            if len(known) > 1:
                raise ValueError(
                    f"two columns are called {name!r}: say which with --set "
                    f"BENCHMARK.columns={field}=COLUMN"
                )
            cells[field] = known[0] if filled(known[0]) else None
        return cells


def filled(cell: Any) -> bool:
    """Whether a cell holds something: not None, not NaN, no empty text, list or image."""
    if isinstance(cell, dict):
        return any(filled(value) for value in cell.values())
    return not (cell is None or cell == "" or cell == [] or cell != cell)


def question_of(row: Row, index: int, where: str, reading: Reading) -> Question:
    """Return the question of a row; `followed` then puts in the images of other rows.

    Raises:
        UsageError: a field is missing or of a wrong type; names it and the row.
    """
    try:
        cells = reading.fields(row)
        options = _options(cells)
        target = _target(cells, options, reading.kind)
        values = image_values(cells)
        prompt = _prompt(cells, options, target.kind, reading.instruction)
        parts = [_text(cells, name) for name in _PARTS if cells[name] is not None]
        images = tuple(_image_cell(value, index, n, len(values)) for n, value in enumerate(values))
    except ValueError as error:
        missing = re.fullmatch("there is no (question|answer)", str(error))
        hint = _columns_hint(row, missing[1]) if missing else ""
        raise UsageError(f"{where}: {error}{hint}") from error
    identity = str(index if cells["id"] is None else cells["id"])
    shown = "" if any(image.other for image in images) else _digest(values)
    return Question(
        id=identity,
        prompt=prompt,
        target=target,
        images=images,
        cluster=shown or ("" if images else identity)
        if cells["cluster"] is None
        else str(cells["cluster"]),
        parts=tuple(dict.fromkeys(parts)),
    )


def _columns_hint(row: Row, field: str) -> str:
    """Return where a field is looked for, and what the row has instead."""
    filled_in = [name for name, value in row.items() if filled(value)]
    return (
        f" (columns {', '.join(FIELDS[field])}); the row has {', '.join(filled_in) or 'nothing'}: "
        f"name its column with --set BENCHMARK.columns={field}=COLUMN"
    )


def followed(questions: Mapping[str, Question], question: Question, where: str) -> Question:
    """Return a question with the images of the row that it names instead of its own.

    Raises:
        UsageError: there is no such row, or it has no images of its own.
    """
    names = [image.other for image in question.images if image.other]
    if not names:
        return question
    other = questions.get(names[0])
    if other is None or not other.images or any(image.other for image in other.images):
        raise UsageError(
            f"{where}: the image {names[0]!r} is neither a file's name with an ending, nor base64, "
            "nor the id of a row with an image"
        )
    return replace(question, images=other.images, cluster=question.cluster or other.cluster)


def placed(prompt: str, images: int) -> tuple[str | int, ...]:
    """Return a prompt split at ``<image>`` or ``<image N>``; images without a mark come first."""
    parts: list[str | int] = []
    end, unnumbered = 0, iter(range(images))
    for mark in _MARK.finditer(prompt):
        number = int(mark[1]) - 1 if mark[1] else next(unnumbered, images)
        if 0 <= number < images:
            parts += [prompt[end : mark.start()], number]
            end = mark.end()
    shown = {part for part in parts if isinstance(part, int)}
    first = [number for number in range(images) if number not in shown]
    return tuple(part for part in (*first, *parts, prompt[end:]) if part != "")


def image_values(cells: Mapping[str, Any]) -> list[Any]:
    """Return the images of a row as they are stored: texts, bytes, or bytes and paths.

    As in VLMEvalKit, paths in a column of their own count where the row holds no image.

    Raises:
        ValueError: there is a value that is none of these.
    """
    values = listed(cells["images"]) or [{"path": path} for path in listed(cells["image_path"])]
    for value in values:
        if not isinstance(value, str | bytes | dict | int):
            raise ValueError(f"an image is a path or base64 text, not {value!r:.60}")
    return values


def listed(cell: Any) -> list[Any]:
    """Return a cell as a list: a list, a text that writes one (``['a', 'b']``), or one value.

    What is not filled is left out.

    Raises:
        ValueError: a text begins and ends as a list and is none.
    """
    return [value for value in _elements(cell) if filled(value)]


def _elements(cell: Any) -> list[Any]:
    if cell is None:
        return []
    if isinstance(cell, str) and cell.strip()[:1] == "[" and cell.strip()[-1:] == "]":
        try:
            cell = ast.literal_eval(cell.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
            raise ValueError(f"{cell!r:.60} is not a list of texts") from error
    return cell if isinstance(cell, list) else [cell]


def _digest(images: Sequence[Any]) -> str:
    """Return a short hash of images' contents or paths as a cluster's name, "" where none."""
    digest = hashlib.blake2b(digest_size=8)
    for image in images:
        if isinstance(image, dict):
            image = image.get("bytes") or image.get("path")
        content = image if isinstance(image, bytes) else str(image).encode("utf-8", "replace")
        digest.update(len(content).to_bytes(8, "little") + content)
    return f"images-{digest.hexdigest()}" if images else ""


def _image_cell(value: Any, index: int, number: int, among: int) -> ImageCell:
    path = value.get("path") if isinstance(value, dict) and not value.get("bytes") else None
    if isinstance(value, str) and _is_path(value):
        path = value
    if path:
        return ImageCell(path=str(path))
    if isinstance(value, str | int) and len(str(value)) <= _REFERENCE:
        if among > 1:
            raise ValueError(f"the image {value!r} is neither a file's name nor base64")
        return ImageCell(other=str(value))
    return ImageCell(row=index, number=number)


def _is_path(text: str) -> bool:
    """Whether the text of an image cell is a path: base64 has no dot, a file's name has one."""
    return "." in text and not text.startswith("data:")


def _options(cells: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the options' texts in the order A, B, ..., "" for a letter without one."""
    letters = [letter for letter in ascii_uppercase if filled(cells[letter])]
    if letters and cells["choices"] is None:
        last = ascii_uppercase.index(letters[-1])
        return tuple(_text(cells, n) if n in letters else "" for n in ascii_uppercase[: last + 1])
    # One that is empty keeps its letter, or those after it would have another.
    choices = [str(choice) if filled(choice) else "" for choice in _elements(cells["choices"])]
    while choices and not choices[-1]:
        choices.pop()
    if len(choices) > len(ascii_uppercase):
        raise ValueError(f"{counted(len(choices), 'choice')}, more than {len(ascii_uppercase)}")
    return tuple(choices)


def _target(cells: Mapping[str, Any], options: tuple[str, ...], declared: str) -> Target:
    given = listed(cells["answer"])
    # A parquet table's answers may be decimals or dates: they count as they are written.
    if odd := [answer for answer in given if isinstance(answer, Mapping | list | tuple | bytes)]:
        raise ValueError(f"answer is not text: {odd[0]!r:.60}")
    answers = [str(answer) for answer in given]
    if not answers:
        raise ValueError("there is no answer")
    kind = declared or ("" if cells["kind"] is None else _text(cells, "kind"))
    if kind and kind not in KINDS:
        raise ValueError(f"kind {kind!r}: {nearest(kind, KINDS)}")
    if not kind:
        numbers = all(_NUMBER.fullmatch(answer.strip()) for answer in answers)
        kind = "choice" if options else "number" if numbers else "text"
    if kind == "choice":
        letters = sorted({letter for answer in answers for letter in _letters(answer, options)})
        return Target("choice", ", ".join(letters), choices=options)
    return Target(
        cast("Kind", kind),
        answers[0],
        alternatives=tuple(answers[1:]),
        unit=None if cells["unit"] is None else _text(cells, "unit"),
        precision=_number(cells, "precision", int),
        tolerance=_number(cells, "tolerance", float),
    )


def _letters(answer: str, options: tuple[str, ...]) -> list[str]:
    """Return the letters that an answer names: letters ("A", "A, C") or an option's whole text."""
    known = [n for n, text in zip(ascii_uppercase, options, strict=False) if text]
    named = re.findall(r"\b[A-Z]\b", answer)
    by_text = [n for n in known if options[ascii_uppercase.index(n)].strip() == answer.strip()]
    is_letters = bool(named) and not re.sub(r"[A-Z\s,;.()&]|and", "", answer)
    if is_letters and set(named) <= set(known or ascii_uppercase):
        if len(named) == 1 and by_text and by_text != named:
            raise ValueError(f"answer {answer!r} is option {named[0]} and the text of {by_text[0]}")
        return named
    if len(by_text) == 1:
        return by_text
    which = f"A to {known[-1]}" if known else "A to Z"
    raise ValueError(f"answer {answer[:60]!r} is neither a letter, {which}, nor one option's text")


def _prompt(
    cells: Mapping[str, Any], options: tuple[str, ...], kind: Kind, instruction: str | None
) -> str:
    """Return the text of a prompt in VLMEvalKit's form."""
    if cells["question"] is None:
        raise ValueError("there is no question")
    question = _text(cells, "question")
    if not options:
        last = instruction if instruction is not None else "" if kind == "math" else _OPEN
        hint = "" if cells["hint"] is None else f"Hint: {_text(cells, 'hint')}\n"
        return f"{hint}{question}\n{last}".strip()
    lines = [f"{n}. {text}" for n, text in zip(ascii_uppercase, options, strict=False) if text]
    hint_line = [] if cells["hint"] is None else [f"Hint: {_text(cells, 'hint')}"]
    last = _CHOICE if instruction is None else instruction
    return "\n".join([*hint_line, f"Question: {question}", "Options:", *lines, last]).strip()


def _text(cells: Mapping[str, Any], name: str) -> str:
    value = cells[name]
    if not isinstance(value, str | int | float):
        raise ValueError(f"{name} is not text: {value!r:.60}")
    return str(value)


def _number(cells: Mapping[str, Any], name: str, kind: type[Any]) -> Any:
    value = cells[name]
    if value is None:
        return None
    try:
        number = float(value)
        if isinstance(value, bool) or not math.isfinite(number) or number < 0:
            raise ValueError
        if kind(number) != number:
            raise ValueError
    except (ValueError, TypeError, OverflowError) as error:
        whole = "whole " if kind is int else ""
        raise ValueError(f"{name} is not a {whole}number of at least 0: {value!r:.60}") from error
    return kind(number)
