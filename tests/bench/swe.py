"""Our overhead per SWE episode: ``python -m tests.bench swe``.

The model answers at once and the commands do nothing (``true``), so all of an episode's time is
ours: the copy with its one commit, the agent's loop, the sandbox's start for each command.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.longhorizon.swebench.benchmark import SweBenchLite
from benchmarks.longhorizon.swebench.workspace import workspace
from benchmarks.micro.data import repositories
from harness.protocols import Tools, build_items
from harness.records import Item, Message, Response, Sampling
from harness.sandbox import Sandbox, choose

STEPS = (2, 12)
EPISODES = 10
SUBMIT = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"


@dataclass(frozen=True)
class Instant:
    """A model that answers at once: ``true`` for some steps, then it submits nothing."""

    steps: int
    name: str = "instant"

    async def chat(self, messages: Sequence[Message], sampling: Sampling) -> Response:
        """Return the next command."""
        done = sum(message.role == "assistant" for message in messages)
        command = SUBMIT if done == self.steps - 1 else "true"
        return Response(f"```mswea_bash_command\n{command}\n```")


async def _episode(root: Path, sandbox: Sandbox, steps: int) -> float:
    benchmark = SweBenchLite(root)
    (item,) = build_items(benchmark, 1)
    assert isinstance(item, Item)
    model: Any = Instant(steps)
    begun = time.perf_counter()
    await benchmark.solve(item, model, Sampling(512), Tools(sandbox=sandbox))
    return time.perf_counter() - begun


async def _bare(root: Path, sandbox: Sandbox) -> float:
    """Return the seconds of ``true`` in the sandbox, and of nothing around it."""
    files = next((root / "swebench_lite" / "tasks").iterdir()) / "repository"
    with workspace(sandbox, files) as place:
        await place.run(("true",), seconds=60.0)
        begun = time.perf_counter()
        for _ in range(EPISODES):
            await place.run(("true",), seconds=60.0)
        return (time.perf_counter() - begun) / EPISODES


def main() -> None:
    """Print the milliseconds of an episode of each length, and what a step and the rest take."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        repositories.write(root)
        sandbox, _ = choose()
        asyncio.run(_episode(root, sandbox, 2))  # imports
        medians = {}
        for steps in STEPS:
            taken = [asyncio.run(_episode(root, sandbox, steps)) for _ in range(EPISODES)]
            medians[steps] = 1000 * statistics.median(taken)
            print(f"  an episode of {steps:2} steps  {medians[steps]:7.1f} ms")
        few, many = STEPS
        step = (medians[many] - medians[few]) / (many - few)
        bare = 1000 * asyncio.run(_bare(root, sandbox))
        print(f"  a step                {step:7.1f} ms, of which the sandbox {bare:.1f}")
        print(
            f"  an episode beside     {medians[few] - few * step:7.1f} ms (copy, commit, removal)"
        )
