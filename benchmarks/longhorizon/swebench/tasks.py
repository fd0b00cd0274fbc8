"""The tasks: SWE-bench's tables, or a task repository whose tasks need no docker.

Rows are checked first: swebench 5's grader needs four columns that the classic data sets lack.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import data
from harness.errors import ItemError, UsageError
from harness.files.hashing import tree_hash
from harness.files.names import is_file_name
from harness.files.plain import read_bytes
from harness.files.trees import check_tree
from harness.files.typed_yaml import parse_yaml

if TYPE_CHECKING:
    from benchmarks.data.local.verify import Report

REPOSITORY = "repository"  # a task's own files, in the folder of a task that needs no image
# A reference as engines take it: no option, no path, no second argument.
_IMAGE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]+)?(/[A-Za-z0-9._-]+)*(:[\w.-]+)?(@\w+:\w+)?"
)
_GRADER = ("image", "eval_script", "log_parser", "eval_type")


@dataclass(frozen=True)
class Task:
    """One task: its row, and the folder with its files where it needs no image."""

    row: Mapping[str, Any]
    files: Path | None

    @property
    def id(self) -> str:
        """The instance id."""
        return str(self.row["instance_id"])

    @property
    def image(self) -> str:
        """The name of its image."""
        return str(self.row["image"])

    @property
    def statement(self) -> str:
        """The issue that the agent is given."""
        return str(self.row["problem_statement"])

    def tests(self, column: str) -> list[str]:
        """Return the tests in ``FAIL_TO_PASS`` or ``PASS_TO_PASS``, or raise `ItemError`."""
        cell = self.row[column]
        try:
            names = json.loads(cell) if isinstance(cell, str) else list(cell)
        except (TypeError, ValueError, RecursionError) as error:
            raise ItemError(f"{column} of {self.id} is no list: {error}") from error
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise ItemError(f"{column} of {self.id} is no list of test names")
        return names


@dataclass(frozen=True)
class TaskSet:
    """The tasks of one benchmark under a data root."""

    benchmark_id: str
    root: Path

    @property
    def folder(self) -> Path:
        """The folder of the data."""
        return self.root / self.benchmark_id

    @property
    def ours(self) -> bool:
        """Whether the data are a task repository that needs no images; looks at one file."""
        return (self.folder / "sweb.yaml").is_file()

    def fingerprint(self) -> str:
        """Return the content hash of the data; raises `UsageError` if they are missing."""
        if not self.ours:
            return data.fingerprint(self.benchmark_id, self.root)
        return tree_hash(self.folder, (p for p in self.folder.rglob("*") if p.is_file()))

    def count(self) -> int:
        """Return the number of tasks, reading none; raises `UsageError` without data."""
        if not self.ours:
            return data.count(self.benchmark_id, self.root)
        return sum(1 for _ in self.folder.glob("tasks/*/task.yaml"))

    @cached_property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks by instance id, in the data's order.

        Raises `UsageError` if the data are missing, unreadable, the classic ones, have two tasks
        with one id, or name something that is no id or no image.
        """
        tasks = self._repository() if self.ours else self._table()
        for task in tasks:
            self._check_names(task)
        by_id = {task.id: task for task in tasks}
        if len(by_id) < len(tasks):
            raise UsageError(f"the data in {self.folder} have two tasks with one instance_id")
        return by_id

    def verify(self) -> Report:
        """Read every task of a task repository, its lists of tests and its files."""
        from benchmarks.data.local.verify import Report, TableReport

        name, folder = self.benchmark_id, str(self.folder)
        try:
            digest, tasks = self.fingerprint(), self.tasks
        except UsageError as error:
            return Report(name, folder, None, None, (), (f"{name}: {error}",), ())
        problems = []
        for task in tasks.values():
            try:
                for column in ("FAIL_TO_PASS", "PASS_TO_PASS"):
                    task.tests(column)
            except ItemError as error:
                problems.append(f"{name}: {error}")
        (table,) = (table for table in data.source(name).tables if table.role == "required")
        report = TableReport("", table.split, "task repository", len(tasks), table.count, 0)
        notes = ("a task repository that needs no docker, not SWE-bench",)
        return Report(name, folder, digest, None, (report,), tuple(problems), notes)

    def _table(self) -> list[Task]:
        (table,) = data.tables(self.benchmark_id, self.root)
        rows = [dict(row) for row in data.records(table)]
        self._check_columns(list(rows[0]) if rows else [])
        return [Task(row, None) for row in rows]

    def _check_names(self, task: Task) -> None:
        """Raise `UsageError` for an id or an image that would be something else to a program."""
        if not is_file_name(task.id):
            raise UsageError(
                f"the data in {self.folder} have the instance_id {task.id!r}: ids are "
                "letters, digits, '_', '.' and '-'"
            )
        if _IMAGE.fullmatch(task.image) is None:
            raise UsageError(
                f"the image of {task.id} in {self.folder} is no image name: {task.image!r}"
            )

    def _check_columns(self, columns: list[str]) -> None:
        origin = data.source(self.benchmark_id)
        missing = [name for name in origin.tables[0].columns if name not in columns]
        if not missing:
            return
        what = f"the data of {self.benchmark_id} in {self.folder} lack {', '.join(missing)}"
        if set(missing) == set(_GRADER):
            what += f" (the classic data set of {len(columns)} columns, for swebench 4)"
        raise UsageError(
            f"{what}: get {origin.repository} with `harness data pull {self.benchmark_id} --force`"
        )

    def _repository(self) -> list[Task]:
        import yaml
        from swebench.task.repo import load_task_repo

        folders = sorted(path.parent for path in self.folder.glob("tasks/*/task.yaml"))
        if (self.folder / "tasks").is_symlink():
            raise UsageError(f"{self.folder / 'tasks'} is a link: copy the tasks here instead")
        for folder in folders:
            check_tree(folder)
        try:
            for path in (self.folder / "sweb.yaml", *(each / "task.yaml" for each in folders)):
                parse_yaml(read_bytes(path).decode())  # refuses links, and what would have no end
            rows = load_task_repo(self.folder)
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UsageError(f"the tasks in {self.folder} cannot be read: {error}") from error
        tasks = []
        for folder, row in zip(folders, rows, strict=True):
            self._check_columns(list(row))
            files = folder / REPOSITORY
            if not files.is_dir():
                raise UsageError(
                    f"{row['instance_id']} has no files in {files}: get the data again"
                )
            check_tree(files)
            tasks.append(Task(row, files))
        return tasks
