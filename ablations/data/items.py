"""RL items: questions as rows (docs/pairs.md), software tasks as rows, and pairs as items.

Software tasks are SWE-Gym's rows, or SkyRL's, which hold them under ``instance``.  They need an
agent, so they are exported (`ablations.export.skyrl`) and not trained on here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

import orjson

from ablations.settings import SelectionRows
from benchmarks.micro.data.pairs import is_micro, micro_domains
from benchmarks.micro.data.pairs import tasks as micro_items
from benchmarks.pair_sources import NO_COLUMNS, first
from benchmarks.pairs.file import check_image, decode, parse_context
from benchmarks.pairs.rows import Preview, Row, is_empty
from benchmarks.pairs.selection import PLAIN, AnyPair, Asking, Letter
from benchmarks.pairs.tables import PUBLISHED, LazyRows, Source, open_source
from benchmarks.pairs.tables import Kind as RowKind
from benchmarks.scoring import Target
from benchmarks.scoring.target import Kind
from harness.errors import UsageError
from harness.files.text import counted
from harness.records import Item, Message, Pair, TextPart

_COLUMNS = ("query", "answer")
_TASK_COLUMNS = ("instance_id", "problem_statement")
_KINDS = get_args(Kind)
MICRO_TASKS = 2048
"""Default number of RL items of the micro world."""


def open_items(
    source: str,
    number: int | None = None,
    columns: Mapping[str, str] = NO_COLUMNS,
    *,
    image_root: Path | None = None,
    selection_rows: SelectionRows = "leave-out",
) -> Sequence[Item]:
    """Return the first ``number`` RL items of ``micro[:DOMAIN]`` or what `open_source` reads.

    Written selection prompts (several images and the answer A or B) would put contrastive data into
    every arm: they are left out unless they are to be kept as ordinary questions. Raises
    `UsageError` if there is no such source, it lacks a column, or it holds fewer items.
    """
    if is_micro(source):
        n = MICRO_TASKS if number is None else number
        return micro_items("rl", n, domains=micro_domains(source))
    rows = open_source(source, columns, image_root, "RL items")
    return first(number, "RL items", source, items_of(rows, selection_rows))


def items_of(source: Source, selection_rows: SelectionRows = "leave-out") -> Sequence[Item]:
    """Return the RL rows of a source as items, or as software tasks.

    Raises `UsageError` if there are none, or a column of RL items is missing.
    """
    kinds: tuple[RowKind, ...] = ("rl", "selection") if selection_rows == "keep" else ("rl",)
    counts = source.counts
    if not sum(counts[kind] for kind in kinds):
        source.need(_COLUMNS)
        raise UsageError(
            f"{source.name} has no RL item: {counted(counts['pairs'], 'row')} with two contexts, "
            f"{counted(counts['selection'], 'selection prompt')} (several images, answer A or B)"
        )
    if source.software:
        return replace(source, whole=True).chosen(kinds, software_item, preview_software)
    return source.chosen(kinds, item_of, preview_item)


def earlier_selection_rows(source: str, columns: Mapping[str, str]) -> SelectionRows:
    """Return what versions without the setting did with the selection rows of a source.

    They left out those of the published data sets, and kept all others as ordinary questions.
    """
    published = Path(source).name in {Path(name).name for name in PUBLISHED}
    if published or is_micro(source):
        return "leave-out"
    return "keep" if open_source(source, columns).counts["selection"] else "leave-out"


def row_counts(rows: Sequence[Any]) -> dict[str, int]:
    """Return the number of RL rows, selection rows, pairs and others of what rows were taken from.

    ``other_letters`` are rows with several images and a letter after B.  Of the micro world,
    nothing.
    """
    if not isinstance(rows, LazyRows):
        return {}
    counts = {str(kind): n for kind, n in rows.source.counts.items()}
    return counts | {"other_letters": rows.source.other_letters}


def count_lines(name: str, counts: Mapping[str, int], selection_rows: str) -> list[str]:
    """Return the counts of a source's rows for people, and what may be wrong with them."""
    if not counts:
        return []
    kinds = {"pairs": "pairs", "rl": "RL rows", "selection": "selection rows", "others": "others"}
    there = [f"{counts[kind]} {shown}" for kind, shown in kinds.items() if counts[kind]]
    lines = [f"{name}: {', '.join(there) or 'no rows'}"]
    if counts["selection"] and counts["other_letters"] and selection_rows == "leave-out":
        lines.append(
            f"  {counted(counts['other_letters'], 'further row')} with several images and a letter "
            "after B: if all these are ordinary choice questions, give --selection-rows keep"
        )
    return lines


def item_of(row: Row, folder: Path, where: str) -> Item:
    """Return the RL item of one row; image paths are relative to ``folder``.

    Raises `UsageError` if a field is missing or of a wrong type, or an image cannot be read.
    """
    target, name = _target(row, where), _id(row, where)
    images = decode(parse_context(_images(row), folder, where), where)
    text = str(row["query"])
    if images:  # EasyR1's data mark the images' positions; ours precede the question.
        text = text.replace("<image>", "").lstrip()
    return Item(name, (Message("user", (*images, TextPart(text))),), target, name)


def preview_item(row: Row, folder: Path, where: str) -> Preview:
    """Check that a row makes an RL item; no image is decoded.

    Raises `UsageError` if a field is missing or of a wrong type, or there is no such image.
    """
    _target(row, where)
    images = parse_context(_images(row), folder, where)
    for image in images:
        check_image(image, where)
    return Preview(_id(row, where), "image" if images else "trajectory", bool(images))


def _id(row: Row, where: str) -> str:
    return where if is_empty(row.get("id")) else str(row["id"])


def _images(row: Row) -> list[Any]:
    images = row.get("images") or []
    images = images if isinstance(images, list) else [images]
    return [image if isinstance(image, dict) else {"image": image} for image in images]


def _target(row: Row, where: str) -> Target:
    missing = [name for name in _COLUMNS if is_empty(row.get(name))]
    if missing:
        raise UsageError(f"{where}: missing or empty: {', '.join(missing)}")
    if not isinstance(row["query"], str | int | float):
        raise UsageError(f"{where}: query must be text, not {type(row['query']).__name__}")
    answer, choices = row["answer"], row.get("choices") or []
    if not isinstance(answer, str | int | float):
        raise UsageError(f"{where}: answer must be text or a number, not {answer!r}")
    if not isinstance(choices, list):
        raise UsageError(f"{where}: choices must be a list of texts, not {choices!r}")
    kind = row.get("kind") or ("choice" if choices else "text")
    if kind not in _KINDS:
        raise UsageError(f"{where}: kind must be one of {', '.join(_KINDS)}, not {kind!r}")
    if kind == "choice":
        last = chr(ord("A") + len(choices) - 1) if choices else "Z"
        # As the scorer reads it: no completion could match a letter that it does not read.
        letters = re.findall(r"\b[A-Z]\b", str(answer))
        if not letters or max(letters) > last:
            raise UsageError(
                f"{where}: answer must be a choice's letter, A to {last}, not {answer!r}"
            )
    return Target(cast("Kind", kind), str(answer), choices=tuple(map(str, choices)))


def is_software(items: Sequence[Item]) -> bool:
    """Whether RL items are software tasks."""
    return isinstance(items, LazyRows) and items.make is software_item


def software_item(row: Row, folder: Path, where: str) -> Item:
    """Return a software task as an item with its prompt only."""
    task = software_task(row, where)
    prompt = Message("user", (TextPart(task["problem_statement"]),))
    return Item(task["instance_id"], (prompt,), Target("text", ""), task["instance_id"])


def preview_software(row: Row, folder: Path, where: str) -> Preview:
    """Check that a row is a software task."""
    return Preview(software_task(row, where)["instance_id"], "trajectory", images=False)


def software_task(row: Row, where: str) -> dict[str, Any]:
    """Return a task as in its data set; under ``instance`` it may be JSON.

    Raises `UsageError` if it lacks a field.
    """
    value = row.get("instance", row)
    task: dict[str, Any] = orjson.loads(value) if isinstance(value, str) else dict(value)
    missing = [name for name in _TASK_COLUMNS if not isinstance(task.get(name), str)]
    if missing:
        raise UsageError(f"{where}: the task has no {', '.join(missing)}")
    return task


def selection_item(pair: AnyPair, letter: Letter, asking: Asking = PLAIN) -> Item:
    """Return a pair's selection prompt for ``da-rl``; ``letter`` is the right answer.

    Of a pair in one order, its only prompt.
    """
    from benchmarks.probe import NAMES

    prompt = asking.prompt(pair, letter)
    target = Target("choice", prompt.letter, choices=NAMES)
    return Item(f"{pair.id}/{prompt.letter}", prompt.messages, target, pair.id)


def qa_item(pair: Pair, letter: Letter) -> Item:
    """Return the question about the context under A, for ``da-qa``.

    ``letter`` is the letter of the supporting context.  If the other context's answer is unknown,
    the question is about the supporting one.
    """
    side, answer, shown = "positive", pair.answer, pair.context_positive
    if letter == "B" and pair.answer_negative is not None:
        side, answer, shown = "negative", pair.answer_negative, pair.context_negative
    text = TextPart(f"\nQuestion: {pair.query}\nAnswer with a single word or phrase.")
    message = Message("user", (*shown, text))
    return Item(f"{pair.id}/{side}", (message,), Target("text", answer), pair.id)
