"""Checks our own tasks, which replace SWE-bench where docker is missing."""

from __future__ import annotations

from benchmarks.data.catalog.sources import source
from benchmarks.data.local.verify import Report, TableReport
from benchmarks.longhorizon.swebench.tasks import TaskSet
from harness.errors import ItemError, UsageError


def verify(found: TaskSet) -> Report:
    """Read every task of a task repository, its lists of tests and its files."""
    name, folder = found.benchmark_id, str(found.folder)
    try:
        digest, tasks = found.fingerprint(), found.tasks
    except UsageError as error:
        return Report(name, folder, None, None, (), (f"{name}: {error}",), ())
    problems = []
    for task in tasks.values():
        try:
            for column in ("FAIL_TO_PASS", "PASS_TO_PASS"):
                task.tests(column)
        except ItemError as error:
            problems.append(f"{name}: {error}")
    (table,) = (table for table in source(name).tables if table.role == "required")
    report = TableReport("", table.split, "task repository", len(tasks), table.count, 0)
    notes = ("a task repository that needs no docker, not SWE-bench",)
    return Report(name, folder, digest, None, (report,), tuple(problems), notes)
