"""Scripted players of the small repositories: plain functions of the conversation.

A chat request of the agent comes in; what a model would say next leaves.  The task is known by its
problem statement, the step by the number of the player's own messages so far.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.micro.data import repositories
from tests.servers import Answer, Reply, Request

SUBMIT = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && cat patch.txt"

Script = Callable[[dict[str, Any]], Sequence[str]]


@lru_cache(maxsize=1)
def tasks() -> dict[str, dict[str, Any]]:
    """Return the rows of the small repositories by instance id."""
    from swebench.task.repo import load_task_repo

    with TemporaryDirectory() as folder:
        repositories.write(Path(folder))
        rows = load_task_repo(Path(folder) / "swebench_lite")
        return {row["instance_id"]: row for row in rows}


def command(text: str) -> str:
    """Return a message with one command, in the agent's form."""
    return f"THOUGHT: the next step\n\n```mswea_bash_command\n{text}\n```"


def task_of(request: Request) -> dict[str, Any]:
    """Return the row of the task that a conversation is about."""
    (found,) = [row for row in tasks().values() if row["problem_statement"].strip() in request.text]
    return found


def step_of(request: Request) -> int:
    """Return how many messages the player has sent in this conversation."""
    return sum(message["role"] == "assistant" for message in request.body["messages"])


def plays(script: Script) -> Answer:
    """Return the player of a script: a command a step, and the last one again at the end."""

    def answer(request: Request) -> Reply:
        words = script(task_of(request))
        return Reply(command(words[min(step_of(request), len(words) - 1)]))

    return answer


def changed(row: dict[str, Any]) -> str:
    """Return the files that a task's gold patch changes, with spaces between."""
    return " ".join(re.findall(r"^\+\+\+ b/(\S+)", row["patch"], re.MULTILINE))


def right(row: dict[str, Any]) -> list[str]:
    """Fix a task as its gold patch does, and submit."""
    return [
        "ls -R . && python -m pytest -q tests",
        f"git apply - <<'PATCH'\n{row['patch']}PATCH",
        f"git diff -- {changed(row)} > patch.txt",
        "cat patch.txt",
        SUBMIT,
    ]


def wrong(row: dict[str, Any]) -> list[str]:
    """Change the right files in a way that fixes nothing, and submit."""
    return [
        f"for file in {changed(row)}; do echo '# looked at' >> $file; done",
        f"git diff -- {changed(row)} > patch.txt",
        SUBMIT,
    ]


def breaking(row: dict[str, Any]) -> list[str]:
    """Fix a task, but break what worked before, and submit."""
    steps = right(row)
    steps.insert(2, f"echo 'raise ImportError' >> {changed(row).split()[0]}")
    steps[3] = "git diff > patch.txt"
    return steps
