"""The items of reinforcement learning: what is asked, and what a right answer is.

The trainer comes in with the word of ``--rl-data``; a sequence of `Task`s leaves, whose answers the
strict scorers judge.  docs/pairs.md describes the file's format.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args, overload

from benchmarks.pairs.file import Glance, context, glances, is_empty, json_object
from benchmarks.pairs.rl_item import Task
from benchmarks.scoring import Target
from benchmarks.scoring.target import Kind
from harness.errors import UsageError
from harness.records import Message, Part, TextPart

COLUMNS = ("query", "answer")
KINDS = get_args(Kind)


class TaskFile(Sequence[Task]):
    """The RL items of a JSON-lines file; images are opened when an item is asked for.

    A slice is another such sequence: nothing is opened.

    Raises:
        UsageError: the file cannot be read or is empty, or a line is no JSON object; on access: an
            item is wrong.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        self._rows = [json_object(path, n, line) for n, line in enumerate(lines, 1) if line.strip()]
        if not self._rows:
            raise UsageError(f"{path} holds no RL items")

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Task: ...

    @overload
    def __getitem__(self, index: slice) -> TaskFile: ...

    def __getitem__(self, index: int | slice) -> Task | TaskFile:
        if isinstance(index, slice):
            part = copy.copy(self)
            part._rows = self._rows[index]
            return part
        number, row = self._rows[index]
        return task_of(row, self.path.parent, f"{self.path}, line {number}")

    def glance(self, index: int) -> Glance:
        """Look at an item without decoding its images; see `glance_task`."""
        number, row = self._rows[index]
        return glance_task(row, self.path.parent, f"{self.path}, line {number}")


def task_of(row: Mapping[str, Any], folder: Path, where: str) -> Task:
    """Return the RL item of one row; image paths are relative to ``folder``.

    Raises:
        UsageError: a field is missing or of a wrong kind, or an image cannot be read.
    """
    target = _target(row, where)
    shown = context(_pictures(row), folder, where)
    return Task(
        id=_id(row, where),
        domain="image" if shown else "trajectory",
        messages=(Message("user", (*shown, *_question(str(row["query"]), shown))),),
        target=target,
    )


def glance_task(row: Mapping[str, Any], folder: Path, where: str) -> Glance:
    """See that a row makes an RL item; no image is decoded.

    Raises:
        UsageError: a field is missing or of a wrong kind, or there is no such image.
    """
    _target(row, where)
    images = bool(glances(_pictures(row), folder, where))
    return Glance(_id(row, where), "image" if images else "trajectory", images)


def _id(row: Mapping[str, Any], where: str) -> str:
    return where if is_empty(row.get("id")) else str(row["id"])


def _pictures(row: Mapping[str, Any]) -> list[Any]:
    images = row.get("images") or []
    images = images if isinstance(images, list) else [images]
    return [piece if isinstance(piece, dict) else {"image": piece} for piece in images]


def _target(row: Mapping[str, Any], where: str) -> Target:
    """Return what a right answer to a row is."""
    missing = [name for name in COLUMNS if is_empty(row.get(name))]
    if missing:
        raise UsageError(f"{where}: {', '.join(missing)} is missing or empty")
    answer, choices = row["answer"], row.get("choices") or []
    if not isinstance(answer, str | int | float):
        raise UsageError(f"{where}: answer is a text or a number, not {answer!r}")
    if not isinstance(choices, list):
        raise UsageError(f"{where}: choices are a list of texts, not {choices!r}")
    kind = row.get("kind") or ("choice" if choices else "text")
    if kind not in KINDS:
        raise UsageError(f"{where}: the kind is one of {', '.join(KINDS)}, not {kind!r}")
    if kind == "choice":
        last = chr(ord("A") + len(choices) - 1) if choices else "Z"
        # As the scorer reads it: one that it does not read, no completion could give.
        letters = re.findall(r"\b[A-Z]\b", str(answer))
        if not letters or max(letters) > last:
            raise UsageError(f"{where}: answer is a choice's letter, A to {last}, not {answer!r}")
    return Target(cast("Kind", kind), str(answer), choices=tuple(map(str, choices)))


def _question(text: str, shown: tuple[Part, ...]) -> tuple[Part, ...]:
    # EasyR1's data mark the images' places; ours stand before the question.
    return (TextPart(text.replace("<image>", "").lstrip() if shown else text),)
