"""SWE-bench Verified and Lite: mini-swe-agent writes patches, swebench grades them.

With our own task repository as data (small, no docker), the same agent and grader work in the
sandbox, and every output says that it is not SWE-bench.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.longhorizon.swebench import agent, grading, mini_swe_agent, preflight
from benchmarks.longhorizon.swebench.agent import Episode
from benchmarks.longhorizon.swebench.environments import SandboxEnvironment, image_environment
from benchmarks.longhorizon.swebench.grading import Verdict
from benchmarks.longhorizon.swebench.protected import touched
from benchmarks.longhorizon.swebench.tasks import Task, TaskSet
from benchmarks.longhorizon.swebench.threads import Caller, in_thread, slots
from benchmarks.longhorizon.swebench.workspace import (
    describe_image_limits,
    describe_limits,
    workspace,
)
from benchmarks.options import one_of, option, positive
from harness.errors import ItemError, UsageError
from harness.files.hashing import source_hash
from harness.protocols import Benchmark, Check, Declaration, FailedItem, Model, Tools
from harness.records import Item, Message, Response, Sampling, Score, Status, sum_counts
from harness.sandbox import Result

NOT_SWE_BENCH = "not SWE-bench"
FLAG = "change how the tests run (conftest.py, configuration of pytest or Python)"


@dataclass(frozen=True)
class SweBench(Benchmark):
    """A set of SWE-bench; ``images`` has no effect: no task shows any."""

    data_root: Path
    images: bool = True
    step_limit: int = option(250, positive, "steps per episode (the scaffold's own limit: 250)")
    time_limit: int = option(0, positive, "seconds per episode; no limit by default")
    command_timeout: int = option(60, positive, "seconds per command of the agent")
    test_timeout: int = option(1800, positive, "seconds per task's tests (swebench's own: 1800)")
    environment: str = option(
        "docker", one_of("docker", "podman", "singularity"), "engine that runs the tasks' images"
    )
    gold_check: int = option(
        0, positive, "first check that N gold patches pass and N empty ones fail"
    )

    id: ClassVar[str]
    name: ClassVar[str]
    n_items: ClassVar[int]

    @cached_property
    def set(self) -> TaskSet:
        """The tasks."""
        return TaskSet(self.id, self.data_root)

    @cached_property
    def declaration(self) -> Declaration:
        """The declared protocol; checks whether the data are ours, without reading them."""
        ours = self.set.ours
        title = f"Docker-free tasks in the place of {self.name} ({NOT_SWE_BENCH})"
        return Declaration(
            id=self.id,
            title=title if ours else self.name,
            protocol=self._protocol(ours),
            scoring=_scoring(),
            max_tokens=8192,
            native_max_tokens=8192,
            n_items=self.n_items,
            metric="resolve rate",
            clusters="the repository",
            needs_sandbox=ours,
            note=f"small repositories of this project, {NOT_SWE_BENCH}" if ours else "",
        )

    def _protocol(self, ours: bool) -> dict[str, Any]:
        on_host = not ours and self.environment == "singularity"
        environment: dict[str, Any] = {
            "environment": "sandbox" if ours else self.environment,
            "images": "none" if ours else "those that the data name",
            "network": "host" if on_host else "none",
        }
        if not on_host:
            environment["limits"] = describe_limits() if ours else describe_image_limits()
        return {
            "tasks": NOT_SWE_BENCH if ours else self.name,
            **mini_swe_agent.describe(),
            "step_limit": self.step_limit,
            "time_limit": self.time_limit,
            "cost_limit": 0,
            "command_timeout": self.command_timeout,
            "thinking": "no part of the conversation",
            "history": "one commit",
            **environment,
            "grader": grading.grader(),
            "test_timeout": self.test_timeout,
        }

    def fingerprint(self) -> str:
        """Return the content hash of the local data."""
        return self.set.fingerprint()

    def count(self) -> int:
        """Return the number of tasks in the local data."""
        return self.set.count()

    def ids(self) -> Sequence[str]:
        """Return the ids of the tasks, in the data's order; raises as `TaskSet.tasks` does."""
        return list(self.set.tasks)

    def build(self, item_id: str) -> Item | FailedItem:
        """Return one task; a failed item if its lists of tests cannot be read."""
        task = self.set.tasks[item_id]
        try:
            fail, keep = task.tests("FAIL_TO_PASS"), task.tests("PASS_TO_PASS")
        except ItemError as error:
            return FailedItem(task.id, str(error))
        repository = str(task.row["repo"])
        target = {"repo": repository, "FAIL_TO_PASS": fail, "PASS_TO_PASS": f"{len(keep)} tests"}
        if self.set.ours:
            target["note"] = NOT_SWE_BENCH
        return Item(task.id, mini_swe_agent.prompt(task.statement), target, cluster=repository)

    async def solve(self, item: Item, model: Model, sampling: Sampling, tools: Tools) -> Response:
        """Let the agent work on a task; the answer's text is the patch that it submitted."""
        task = self.set.tasks[item.id]
        used: list[Response] = []

        def episode(caller: Caller) -> Episode:
            def ask(messages: Sequence[Message]) -> Response:
                used.append(caller(lambda: model.chat(messages, sampling)))
                return used[-1]

            with self._environment(task, tools, caller) as environment:
                return agent.play(
                    task.statement, ask, environment, steps=self.step_limit, seconds=self.time_limit
                )

        return _response(await in_thread(episode), used)

    @contextmanager
    def _environment(self, task: Task, tools: Tools, caller: Caller) -> Iterator[Any]:
        if task.files is None:
            kind, seconds = self.environment, self.command_timeout
            with image_environment(kind, task.image, seconds, caller) as environment:
                yield environment
            return
        if tools.sandbox is None:
            raise ItemError("the task needs a sandbox, and none was given")
        settings: Mapping[str, str] = mini_swe_agent.config()["environment"]["env"]
        with workspace(tools.sandbox, task.files) as folder:

            async def command(text: str) -> Result:
                async with slots():
                    return await folder.run(
                        ("bash", "-c", text), seconds=self.command_timeout, environment=settings
                    )

            yield SandboxEnvironment(lambda text: caller(lambda: command(text)))

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        """Grade a patch, 0 where none applies; ItemError if sandbox, container or grader fail."""
        task = self.set.tasks[item.id]
        patch = response.text
        if not patch.strip():
            return Score(0.0, "scored", None, self._why(f"no patch was submitted{_end(response)}"))
        verdict = await grading.grade(task, patch, tools.sandbox, self.test_timeout)
        why = f"{'resolved' if verdict.resolved else 'unresolved'}: {verdict.why}"
        status: Status = "scored" if verdict.applied else "unparsable"
        flag, named = "", touched(patch)
        if named:
            flag, why = FLAG, f"{why}; the patch changes {', '.join(named)}"
        return Score(float(verdict.resolved), status, _changed(patch), self._why(why), flag)

    def _why(self, text: str) -> str:
        why = f"{text} ({grading.grader()})"
        return f"{why}; {NOT_SWE_BENCH}" if self.set.ours else why

    def checks(self) -> Iterator[Check]:
        """Yield what the machine lacks or has: engine, images and disk."""
        if self.set.ours:
            yield Check(f"{self.id} tasks", "note", f"{self.declaration.note}: they need no docker")
            return
        images: list[str] | None = None
        with suppress(UsageError):  # missing data is another check
            self.fingerprint()
            try:
                images = [task.image for task in self.set.tasks.values()]
            except UsageError as error:
                yield Check(f"{self.id} tasks", "missing", str(error))
        yield from preflight.checks(self.id, self.environment, images, self.n_items)

    async def prepare(self, tools: Tools) -> None:
        """Raise `UsageError` if tasks cannot be played and graded here, or the gold check fails."""
        tasks = list(self.set.tasks.values())
        if not self.set.ours:
            for check in await asyncio.to_thread(lambda: list(self.checks())):
                if check.status == "missing":
                    raise UsageError(f"{check.name}: {check.text}")
            await asyncio.to_thread(preflight.prepare_engines, self.environment)
        elif tools.sandbox is None:
            raise UsageError(f"{self.id} runs programs: it needs a sandbox")
        elif tasks and tasks[0].files:
            await preflight.check_sandbox(tools.sandbox, tasks[0].files)
        await self._check_gold(tasks[: self.gold_check], tools)

    async def _check_gold(self, tasks: Sequence[Task], tools: Tools) -> None:
        """Raise `UsageError` if a gold patch does not resolve its task or an empty one does."""

        async def graded(task: Task, patch: str) -> Verdict:
            try:
                return await grading.grade(task, patch, tools.sandbox, self.test_timeout)
            except ItemError as error:
                raise UsageError(f"the gold check of {task.id} failed: {error}") from error

        jobs = [(task, patch) for task in tasks for patch in (str(task.row["patch"]), "")]
        verdicts = await asyncio.gather(*(graded(*job) for job in jobs))
        for (task, patch), verdict in zip(jobs, verdicts, strict=True):
            if verdict.resolved != bool(patch):
                what = "the gold patch does not resolve" if patch else "an empty patch resolves"
                raise UsageError(
                    f"gold check: {what} {task.id} here ({verdict.why}): "
                    "scores of this machine would mean nothing"
                )


def _response(episode: Episode, used: Sequence[Response]) -> Response:
    """Return an episode as an answer: tokens of all steps, "length" where a limit ended it."""
    reasons = {agent.SUBMITTED: "stop", agent.FILTERED: "content_filter"}
    reasons |= dict.fromkeys(agent.LIMITS, "length")
    return Response(
        text=episode.patch,
        prompt_tokens=sum_counts(response.prompt_tokens for response in used),
        completion_tokens=sum_counts(response.completion_tokens for response in used),
        finish_reason=reasons.get(episode.status, episode.status),
        trajectory=episode.messages,
    )


def _end(response: Response) -> str:
    """Return how an episode without a patch ended, for the verdict."""
    last = response.trajectory[-1] if response.trajectory else {}
    status = last.get("extra", {}).get("exit_status")
    return f" (the episode ended with {status})" if status else ""


def _changed(patch: str) -> str:
    """Return which files a patch changes."""
    files = dict.fromkeys(re.findall(r"^\+\+\+ (?:b/)?(\S+)", patch, re.MULTILINE))
    return f"a patch of {', '.join(files) or 'no file'}"


def _scoring() -> str:
    """Return a name for the grading: the grader's version and a hash of our part of it."""
    folder = Path(__file__).parent
    names = ("grading.py", "container_worker.py", "protected.py", "workspace.py")
    ours = source_hash(*(folder / name for name in names))
    return f"{grading.grader().replace(' ', '-')}-{ours}"


class SweBenchVerified(SweBench):
    """SWE-bench Verified: 500 tasks that people have checked."""

    id = "swebench_verified"
    name = "SWE-bench Verified"
    n_items = 500


class SweBenchLite(SweBench):
    """SWE-bench Lite: 300 tasks with small patches."""

    id = "swebench_lite"
    name = "SWE-bench Lite"
    n_items = 300
