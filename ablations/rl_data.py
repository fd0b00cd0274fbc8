"""The items of reinforcement learning: what is asked, and what a right answer is.

The trainer comes in with the word of ``--rl-data``; a sequence of `Task`s leaves, whose answers the
strict scorers judge.  docs/pairs.md describes the file's format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast, get_args, overload

import orjson

from ablations.pairs import MICRO_TASKS
from benchmarks.micro.pairs import Task, is_micro, micro_domains
from benchmarks.pairfile import context
from benchmarks.scoring import Target
from benchmarks.scoring.target import Kind
from harness.errors import UsageError
from harness.records import ImagePart, Message, Pair, Part, TextPart

COLUMNS = ("query", "answer")
KINDS = get_args(Kind)


def open_tasks(
    source: str, number: int | None = None, columns: Mapping[str, str] = MappingProxyType({})
) -> Sequence[Task]:
    """Return the first ``number`` RL items of a source, all by default.

    ``source`` and ``columns`` are as in `ablations.pairs.open_pairs`.

    Raises:
        UsageError: there is no such source, it lacks a column, or it holds fewer items.
    """
    if is_micro(source):
        from benchmarks.micro import pairs

        return pairs.tasks("rl", number or MICRO_TASKS, domains=micro_domains(source))
    path = Path(source)
    tasks: Sequence[Task]
    if path.is_file() and path.suffix != ".parquet":
        tasks = TaskFile(path)
    else:
        from ablations.pairs.datasets import open_dataset

        tasks = open_dataset(source, columns).tasks
    if number is not None and number > len(tasks):
        raise UsageError(f"{source} holds {len(tasks)} RL items, not {number}")
    return tasks if number is None else tasks[:number]


class TaskFile(Sequence[Task]):
    """The RL items of a JSON-lines file; images are opened when an item is asked for.

    Raises:
        UsageError: the file cannot be read or is empty; on access: an item is wrong.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            lines = path.read_bytes().splitlines()
            self._rows = [orjson.loads(line) for line in lines if line.strip()]
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        except orjson.JSONDecodeError as error:
            raise UsageError(f"{path} is no file of JSON lines: {error}") from error
        if not self._rows:
            raise UsageError(f"{path} holds no RL items")

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Task: ...

    @overload
    def __getitem__(self, index: slice) -> list[Task]: ...

    def __getitem__(self, index: int | slice) -> Task | list[Task]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return task_of(self._rows[index], self.path.parent, f"{self.path}, item {index}")


def task_of(row: Mapping[str, Any], folder: Path, where: str) -> Task:
    """Return the RL item of one row; image paths are relative to ``folder``.

    Raises:
        UsageError: a field is missing or of a wrong kind, or an image cannot be read.
    """
    if not isinstance(row, Mapping):
        raise UsageError(f"{where} is no JSON object")
    missing = [name for name in COLUMNS if not row.get(name)]
    if missing:
        raise UsageError(f"{where}: {', '.join(missing)} is missing or empty")
    if not isinstance(row.get("choices") or [], list):
        raise UsageError(f"{where}: choices are a list of texts, not {row['choices']!r}")
    images = row.get("images") or []
    images = images if isinstance(images, list) else [images]
    pieces = [piece if isinstance(piece, dict) else {"image": piece} for piece in images]
    shown = context(pieces, folder, where)
    choices = tuple(str(choice) for choice in row.get("choices") or ())
    kind = row.get("kind") or ("choice" if choices else "text")
    if kind not in KINDS:
        raise UsageError(f"{where}: the kind is one of {', '.join(KINDS)}, not {kind!r}")
    return Task(
        id=str(row.get("id") or where),
        domain="image" if images else "trajectory",
        messages=(Message("user", (*shown, *_question(str(row["query"]), shown))),),
        target=Target(cast("Kind", kind), str(row["answer"]), choices=choices),
    )


def _question(text: str, shown: tuple[Part, ...]) -> tuple[Part, ...]:
    # EasyR1's data mark the images' places; ours stand before the question.
    return (TextPart(text.replace("<image>", "").lstrip() if shown else text),)


def as_selection_task(pair: Pair, supports_first: bool) -> Task:
    """Return a pair's selection prompt as an RL item, for ``da-rl``; right is the letter."""
    from benchmarks.probe import NAMES
    from benchmarks.selection import selection

    shown = selection(pair, "A" if supports_first else "B")
    target = Target("choice", shown.letter, choices=NAMES)
    return Task(f"{pair.id}/{shown.letter}", _domain(pair), shown.messages, target)


def as_qa_task(pair: Pair, positive: bool) -> Task:
    """Return the question about one context of a pair as an RL item, for ``da-qa``.

    Where the other context's answer is not known, the supporting one is asked about.
    """
    positive = positive or pair.answer_negative is None
    shown = pair.context_positive if positive else pair.context_negative
    answer = pair.answer if positive else pair.answer_negative
    assert answer is not None
    text = TextPart(f"\nQuestion: {pair.query}\nAnswer with a single word or phrase.")
    name = f"{pair.id}/{'positive' if positive else 'negative'}"
    return Task(name, _domain(pair), (Message("user", (*shown, text)),), Target("text", answer))


def _domain(pair: Pair) -> Any:
    parts = (*pair.context_positive, *pair.context_negative)
    return "image" if any(isinstance(part, ImagePart) for part in parts) else "trajectory"
