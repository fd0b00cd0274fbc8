"""SWE-bench Verified and Lite: mini-swe-agent writes patches, swebench grades them.

With our own task repository as data (small, no docker), the same agent and grader work in the
sandbox, and every output says that it is not SWE-bench.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

from benchmarks import data
from benchmarks.longhorizon.swebench import agent, grading, mini_swe_agent, preflight
from benchmarks.longhorizon.swebench.agent import Episode
from benchmarks.longhorizon.swebench.environments import SandboxEnvironment, image_environment
from benchmarks.longhorizon.swebench.grading import Verdict
from benchmarks.longhorizon.swebench.tasks import Task, TaskSet
from benchmarks.longhorizon.swebench.threads import Caller, in_thread, slots
from benchmarks.longhorizon.swebench.workspace import Workplace, describe_limits, workplace
from benchmarks.options import one_of, option, positive
from harness.errors import ItemError, UsageError
from harness.protocols import Check, Declaration, FailedItem, Judge, Model, Tools
from harness.records import Item, Message, Response, Sampling, Score, Status

NOT_SWE_BENCH = "not SWE-bench"


@dataclass(frozen=True)
class SweBench:
    """A set of SWE-bench; ``images`` says nothing here, no task shows any."""

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
        """The declared protocol; looks whether the data are ours and reads none of them."""
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
            revision=None if ours else data.source(self.id).revision,
            needs_sandbox=ours,
            note=f"small repositories of this project, {NOT_SWE_BENCH}" if ours else "",
        )

    def _protocol(self, ours: bool) -> dict[str, Any]:
        place: dict[str, Any] = {
            "environment": self.environment,
            "images": "those that the data name",
            "network": "host" if self.environment == "singularity" else "none",
        }
        if ours:
            place = {
                "environment": "sandbox",
                "images": "none",
                "network": "none",
                "limits": describe_limits(),
            }
        return {
            "tasks": NOT_SWE_BENCH if ours else self.name,
            **mini_swe_agent.describe(),
            "step_limit": self.step_limit,
            "time_limit": self.time_limit,
            "cost_limit": 0,
            "command_timeout": self.command_timeout,
            "thinking": "no part of the conversation",
            "history": "one commit",
            **place,
            "grader": grading.grader(),
            "test_timeout": self.test_timeout,
        }

    def fingerprint(self) -> str:
        """Return the content hash of the local data.

        Raises:
            UsageError: the data is missing; says the command that gets it.
        """
        return self.set.fingerprint()

    def count(self) -> int:
        """Return the number of tasks in the local data."""
        return self.set.count()

    def ids(self) -> Sequence[str]:
        """Return the ids of the tasks, in the data's order.

        Raises:
            UsageError: the data is missing, or lacks the columns that the grader needs.
        """
        return list(self.set.tasks)

    def build(self, item_id: str) -> Item | FailedItem:
        """Return one task; one whose tests do not read is a failed item."""
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
        """Let the agent work on a task; the answer's text is the patch that it submitted.

        Raises:
            ItemError: the model, the sandbox or the container failed.
            UsageError: the model is gone.
        """
        task = self.set.tasks[item.id]
        limits = agent.Limits(self.step_limit, self.time_limit)
        used: list[Response] = []

        def episode(caller: Caller) -> Episode:
            def ask(messages: Sequence[Message]) -> Response:
                used.append(caller(lambda: model.chat(messages, sampling)))
                return used[-1]

            if task.files is None:
                with image_environment(self.environment, task.image, self.command_timeout) as place:
                    return agent.play(task.statement, ask, place, limits)
            if tools.sandbox is None:
                raise ItemError("the task needs a sandbox, and none was given")
            with workplace(tools.sandbox, task.files) as inside:
                place = self._environment(caller, inside)
                return agent.play(task.statement, ask, place, limits)

        return _response(await in_thread(episode), used)

    def _environment(self, caller: Caller, place: Workplace) -> SandboxEnvironment:
        settings: Mapping[str, str] = mini_swe_agent.config()["environment"]["env"]

        async def command(text: str) -> Any:
            async with slots():
                return await place.run(
                    ("bash", "-c", text), seconds=float(self.command_timeout), environment=settings
                )

        return SandboxEnvironment(lambda text: caller(lambda: command(text)))

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        """Grade a patch.

        No patch is unresolved; one that does not apply cannot be read; both are 0.

        Raises:
            ItemError: the sandbox, the container or the grader failed.
        """
        task = self.set.tasks[item.id]
        patch = response.text
        if not patch.strip():
            return Score(0.0, "scored", None, self._why(f"no patch was submitted{_end(response)}"))
        found = await grading.grade(task, patch, tools.sandbox, self.test_timeout)
        status: Status = "scored" if found.applied else "unparsable"
        why = f"{'resolved' if found.resolved else 'unresolved'}: {found.why}"
        return Score(float(found.resolved), status, _changed(patch), self._why(why))

    def _why(self, text: str) -> str:
        why = f"{text} ({grading.grader()})"
        return f"{why}; {NOT_SWE_BENCH}" if self.set.ours else why

    def native(self, answers: Mapping[str, str], judge: Judge | None) -> Mapping[str, Score]:
        """Give no values: the strict score is the official grader's own."""
        return {}

    def checks(self) -> Iterator[Check]:
        """Yield what of the machine's needs is there: engine, images and disk."""
        if self.set.ours:
            yield Check(f"{self.id} tasks", "note", f"{self.declaration.note}: they need no docker")
            return
        images: list[str] | None = None
        try:
            self.fingerprint()
        except UsageError:  # the check of the data says so
            pass
        else:
            try:
                images = [task.image for task in self.set.tasks.values()]
            except UsageError as error:
                yield Check(f"{self.id} tasks", "missing", str(error))
        yield from preflight.checks(self.id, self.environment, images, self.n_items)

    async def prepare(self, tools: Tools) -> None:
        """See that tasks can be played and graded here, before the model is asked.

        Raises:
            UsageError: they cannot, or the gold check fails.
        """
        tasks = list(self.set.tasks.values())
        if self.set.ours:
            if tools.sandbox is None:
                raise UsageError(f"{self.id} runs programs: it needs a sandbox")
            for task in tasks[:1]:
                if task.files is not None:
                    await preflight.check_sandbox(tools.sandbox, task.files)
        else:
            found = await asyncio.to_thread(lambda: list(self.checks()))
            for check in found:
                if check.status == "missing":
                    raise UsageError(f"{check.name}: {check.text}")
        await self._check_gold(tasks[: self.gold_check], tools)

    async def _check_gold(self, tasks: Sequence[Task], tools: Tools) -> None:
        """Grade gold patches and empty ones.

        Raises:
            UsageError: a gold patch does not resolve its task, an empty one does, or the grading
                fails.
        """

        async def graded(task: Task, patch: str) -> Verdict:
            try:
                return await grading.grade(task, patch, tools.sandbox, self.test_timeout)
            except ItemError as error:
                raise UsageError(f"the gold check of {task.id} failed: {error}") from error

        jobs = [(task, patch) for task in tasks for patch in (str(task.row["patch"]), "")]
        verdicts = await asyncio.gather(*(graded(*job) for job in jobs))
        for (task, patch), found in zip(jobs, verdicts, strict=True):
            if found.resolved != bool(patch):
                what = "the gold patch does not resolve" if patch else "an empty patch resolves"
                raise UsageError(
                    f"gold check: {what} {task.id} here ({found.why}): "
                    "scores of this machine would mean nothing"
                )


def _response(episode: Episode, used: Sequence[Response]) -> Response:
    """Return an episode as an answer: tokens of all steps, "length" where a limit ended it."""
    reason = "stop" if episode.status == agent.SUBMITTED else episode.status
    return Response(
        text=episode.patch,
        prompt_tokens=_sum(response.prompt_tokens for response in used),
        completion_tokens=_sum(response.completion_tokens for response in used),
        finish_reason="length" if episode.status in agent.LIMITS else reason,
        trajectory=episode.messages,
    )


def _sum(counts: Iterator[int | None]) -> int | None:
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)


def _end(response: Response) -> str:
    """Return how an episode without a patch ended, for the verdict."""
    last = response.trajectory[-1] if response.trajectory else {}
    status = last.get("extra", {}).get("exit_status")
    return f" (the episode ended with {status})" if status else ""


def _changed(patch: str) -> str:
    """Return which files a patch changes."""
    files = dict.fromkeys(re.findall(r"^\+\+\+ (?:b/)?(\S+)", patch, re.MULTILINE))
    return f"a patch of {', '.join(files) or 'no file'}"


@lru_cache(maxsize=1)
def _scoring() -> str:
    """Return a name for the grading: the grader's version and a hash of our part of it."""
    folder = Path(__file__).parent
    names = ("grading.py", "container_worker.py", "workspace.py")
    digest = hashlib.sha256(b"".join((folder / name).read_bytes() for name in names))
    return f"{grading.grader().replace(' ', '-')}-{digest.hexdigest()[:12]}"


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


__all__ = ["NOT_SWE_BENCH", "SweBench", "SweBenchLite", "SweBenchVerified"]
