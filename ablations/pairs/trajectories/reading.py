"""Read published trajectories of coding agents, and their tasks.

SWE-smith's data set (parquet or JSON lines: ``instance_id``, ``messages`` as JSON text,
``resolved``, ``patch``), mini-swe-agent's ``.traj.json``, and JSON lines with ``messages``. A first
pass keeps short fields; messages are read on demand.
"""

from __future__ import annotations

import re
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

    repository: str | None
    commit: str | None
    issue: str | None
    patch: str | None
    smith: bool = False


def _json_rows(path: Path) -> Rows:
    """Return JSON lines, a list of objects, or the one object of a ``.traj.json``."""
    if path.suffix == ".jsonl":
        return JsonLines(path, remedy="")
    value = document(path)
    rows = value if isinstance(value, list) else [value]
    if not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{path} holds no JSON objects")
    name = path.name.removesuffix(".json").removesuffix(".traj")
    return [{"instance_id": name, **_submitted(row), **row} for row in rows]


def _submitted(row: Row) -> Row:
    """Return the patch that mini-swe-agent puts under ``info``, nothing where there is none."""
    info = row.get("info")
    patch = info.get("submission") if isinstance(info, dict) else None
    return {"patch": patch} if patch else {}


class _ParquetRows:
    def __init__(self, path: Path) -> None:
        import pyarrow.lib
        from pyarrow import parquet

        try:
            self._file = parquet.ParquetFile(path)
        except (OSError, pyarrow.lib.ArrowException) as error:
            raise UsageError(f"{path} is not a parquet file: {error}") from error
        self._path, self._group = path, -1
        self._rows: Sequence[Row] = []

    def __iter__(self) -> Iterator[Row]:
        for batch in self._file.iter_batches(batch_size=64):
            yield from batch.to_pylist()

    def __getitem__(self, index: int) -> Row:
        start = 0
        for group in range(self._file.num_row_groups):
            number = self._file.metadata.row_group(group).num_rows
            if index < start + number:
                if group != self._group:
                    self._group, self._rows = group, rows_of_group(self._file, self._path, group)
                return self._rows[index - start]
            start += number
        raise IndexError(index)


Rows = Sequence[Row] | _ParquetRows
"""The rows of one file, by number."""


def open_rows(path: Path) -> dict[Path, Rows]:
    """Return the rows of a file, or of a folder's files by name; `UsageError` if there are none."""
    if path.is_file():
        return {path: _ParquetRows(path) if path.suffix == ".parquet" else _json_rows(path)}
    if not path.is_dir():
        raise UsageError(f"there is no file or folder {path}")
    files = [
        file
        for file in sorted(path.rglob("*"))
        if file.suffix in (".parquet", ".jsonl", ".json")
        and not any(part.startswith(".") for part in file.parts[-2:])
        and file.is_file()
    ]
    if not files:
        raise UsageError(f"{path} holds no .parquet, .jsonl or .json file")
    return {file: open_rows(file)[file] for file in files}


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
    smith = _SMITH.match(str(value_of(row, "instance")))
    repository, commit = text_of(row, "repository"), text_of(row, "commit")
    if smith:  # each code base is a repository of its own, named by its commit
        repository, commit = f"{smith[1]}/{smith[2]}", smith[3]
    patch = text_of(row, "patch" if is_task else "reference")
    if patch is None and _resolved(row) is not False:
        patch = text_of(row, "patch")
    issue = text_of(row, "issue") or issue_of(messages or ())
    return Task(repository, commit, issue, patch, is_task and smith is not None)


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
