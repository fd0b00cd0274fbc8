"""Read published trajectories of coding agents, and their tasks.

SWE-smith's data set (parquet or JSON lines: ``instance_id``, ``messages`` as JSON text,
``resolved``, ``patch``), mini-swe-agent's ``.traj.json``, and JSON lines with ``messages``. A first
pass keeps short fields; messages are read on demand.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.pairs.trajectories.masking import content_text
from benchmarks.data.local.json_rows import JsonLines, document
from benchmarks.data.local.row_groups import rows_of_group
from harness.errors import UsageError
from harness.files.typed_json import parse

Row = Mapping[str, Any]

# Our field -> its names in data sets.
NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("traj_id", "trajectory_id", "id"),
    "instance": ("instance_id", "task_id", "instance"),
    "messages": ("messages", "trajectory", "conversations", "history"),
    "resolved": ("resolved", "success", "is_resolved", "target"),
    "patch": ("patch", "model_patch", "submission", "generated_patch"),
    "reference": ("reference_patch", "gold_patch", "golden_patch"),
    "issue": ("problem_statement", "issue", "task"),
    "repository": ("repo", "repository"),
    "commit": ("base_commit", "commit"),
}
# conan-io__conan.86f29e13.func_pm_op_swap__ab12cd; not django__django-11099 (no commit).
_SMITH = re.compile(r"^(?:swesmith/)?(.{1,200}?)__(.{1,200}?)\.([0-9a-f]{7,40})(?:\.|$)")


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A trajectory without its messages; None for what the source does not say.

    ``patch`` is what the agent submitted. ``source`` and ``index`` locate its messages.
    """

    id: str
    instance: str
    source: int
    index: int
    size: int
    resolved: bool | None
    patch: str | None


@dataclass(frozen=True, slots=True)
class Task:
    """An instance: its code base, its issue, and its patch as in the source.

    ``smith``: made by SWE-smith, whose tasks have the patch that introduces the fault.
    """

    id: str
    repository: str | None
    commit: str | None
    issue: str | None
    patch: str | None
    smith: bool = False


class Rows(ABC):
    """The rows of one file, by number."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def __iter__(self) -> Iterator[Row]: ...

    @abstractmethod
    def row(self, index: int) -> Row:
        """Return one row."""


class _JsonRows(Rows):
    """JSON lines, a list of objects, or the one object of a ``.traj.json``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._rows: Sequence[Row]
        if path.suffix == ".jsonl":
            self._rows = JsonLines(path, remedy="")
            return
        value = document(path)
        rows = value if isinstance(value, list) else [value]
        if not all(isinstance(row, dict) for row in rows):
            raise UsageError(f"{path} holds no JSON objects")
        self._rows = [self._named(row) for row in rows]

    def _named(self, row: Row) -> Row:
        """Return a row; mini-swe-agent puts its submission under ``info``."""
        info = row.get("info") if isinstance(row.get("info"), dict) else {}
        name = self.path.name.removesuffix(".json").removesuffix(".traj")
        patch = (info or {}).get("submission")
        return {"instance_id": name, **({"patch": patch} if patch else {}), **row}

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def row(self, index: int) -> Row:
        return self._rows[index]


class _ParquetRows(Rows):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        import pyarrow.lib
        from pyarrow import parquet

        try:
            self._file = parquet.ParquetFile(path)
        except (OSError, pyarrow.lib.ArrowException) as error:
            raise UsageError(f"{path} is not a parquet file: {error}") from error
        self._group = -1
        self._rows: Sequence[Row] = []

    def __iter__(self) -> Iterator[Row]:
        for batch in self._file.iter_batches(batch_size=64):
            yield from batch.to_pylist()

    def row(self, index: int) -> Row:
        start = 0
        for group in range(self._file.num_row_groups):
            number = self._file.metadata.row_group(group).num_rows
            if index < start + number:
                if group != self._group:
                    self._group, self._rows = group, rows_of_group(self._file, self.path, group)
                return self._rows[index - start]
            start += number
        raise IndexError(index)


def open_rows(path: Path) -> list[Rows]:
    """Return the files of a path, sorted by name.

    Raises:
        UsageError: there are none, or none in a known format.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if _readable(file))
        if not files:
            raise UsageError(f"{path} holds no .parquet, .jsonl or .json file")
        return [rows for file in files for rows in open_rows(file)]
    if not path.is_file():
        raise UsageError(f"there is no file or folder {path}")
    return [_ParquetRows(path) if path.suffix == ".parquet" else _JsonRows(path)]


def _readable(file: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.parts[-2:])
    return file.is_file() and not hidden and file.suffix in (".parquet", ".jsonl", ".json")


def value_of(row: Row, field: str) -> Any:
    """Return a field of a row under any of its names, None if empty or missing."""
    return next((row[name] for name in NAMES[field] if row.get(name) not in (None, "")), None)


def messages_of(row: Row) -> list[Row]:
    """Return the messages of a row, possibly JSON text; [] if they are not messages."""
    value = value_of(row, "messages")
    if isinstance(value, str | bytes):
        try:
            value = parse(value.encode() if isinstance(value, str) else value)
        except ValueError:
            return []
    if not isinstance(value, list) or not all(isinstance(turn, dict) for turn in value):
        return []
    return [_turn(turn) for turn in value]


_ROLES = {"human": "user", "gpt": "assistant", "ai": "assistant", "observation": "tool"}


def _turn(turn: Row) -> Row:
    """Return a message with ``role`` and ``content``; some data sets say ``from`` and ``value``."""
    role = str(turn.get("role") or turn.get("from") or "")
    content = turn.get("content", turn.get("value", turn.get("text")))
    calls = turn.get("tool_calls")
    calls = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return {**turn, "role": _ROLES.get(role, role), "content": content, "tool_calls": calls}


def trajectory_of(row: Row, messages: Sequence[Row], source: int, index: int) -> Trajectory | None:
    """Return the trajectory of a row; None without messages or an instance."""
    instance = value_of(row, "instance")
    if not any(turn["role"] == "assistant" for turn in messages) or instance is None:
        return None
    size = sum(len(content_text(turn["content"])) for turn in messages)
    name = value_of(row, "id") or f"{instance}#{source}.{index}"
    return Trajectory(
        str(name), str(instance), source, index, size, _resolved(row), text_of(row, "patch")
    )


def _resolved(row: Row) -> bool | None:
    """Return whether an agent resolved its issue; None if not stated."""
    value = value_of(row, "resolved")
    if isinstance(value, str):
        return value.strip().lower() in ("true", "1", "yes")
    return value > 0 if isinstance(value, bool | int | float) else None


def text_of(row: Row, field: str) -> str | None:
    """Return a text field of a row; None for other types."""
    value = value_of(row, field)
    return value if isinstance(value, str) else None


def task_of(row: Row, messages: Sequence[Row] | None = None) -> Task:
    """Return the task of a row: from a file of tasks, or a trajectory with its messages.

    A file of tasks holds the reference patch. In a trajectory's row it may be named as such, else
    the agent's own patch is the reference if it resolved the issue.
    """
    is_task = messages is None
    name = str(value_of(row, "instance"))
    smith = _SMITH.match(name)
    repository, commit = text_of(row, "repository"), text_of(row, "commit")
    if smith:  # each code base is a repository of its own, named by its commit
        repository, commit = f"{smith[1]}/{smith[2]}", smith[3]
    patch = text_of(row, "patch" if is_task else "reference")
    if patch is None and _resolved(row) is not False:
        patch = text_of(row, "patch")
    issue = text_of(row, "issue") or issue_of(messages or ())
    return Task(name, repository, commit, issue, patch, is_task and smith is not None)


# The issue in agents' prompts: <pr_description>...</pr_description>; not <files>.
_TAGS = (
    "pr_description", "issue", "issue_description", "problem_statement", "github_issue",
    "task_description", "task",
)  # fmt: skip
_PREAMBLE = re.compile(r"^Consider the following PR description:\s*", re.IGNORECASE)


def issue_of(messages: Sequence[Row]) -> str | None:
    """Return the issue in an agent's first instruction, else the whole instruction."""
    for turn in messages:
        if turn["role"] == "user":
            text = content_text(turn["content"])
            tagged = _tagged(text)
            return _PREAMBLE.sub("", text if tagged is None else tagged).strip() or None
    return None


def _tagged(text: str) -> str | None:
    """Return the text in the first of the tags, in time linear in the text's length."""
    found = []
    for name in _TAGS:
        begin = text.find(f"<{name}>")
        end = text.find(f"</{name}>", begin)
        if 0 <= begin < end:
            found.append((begin, text[begin + len(name) + 2 : end].strip()))
    return min(found)[1] if found else None
