"""A task's repository at /testbed in the sandbox: a copy with one commit and no other history."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import which
from typing import Any

from benchmarks.micro.data.repositories import SOURCES
from harness.errors import ItemError, UsageError
from harness.files.scratch import Scratch
from harness.files.trees import copy_files
from harness.sandbox import MIB, Command, Limits, Result, Sandbox

TESTBED = Path("/testbed")  # the images' place, and what the prompts say

# Room for a test suite; the agent's commands and the grading have the same.
LIMITS = Limits(
    seconds=60.0, cpu_seconds=60.0, memory=4096 * MIB, processes=256, output=MIB, disk=1024 * MIB
)
# A task's image holds a whole project: numerical libraries start a thread for each core, and what
# commands print is cut by the scaffold, not here.
IMAGE_LIMITS = replace(LIMITS, processes=1024, output=16 * MIB)

# Nobody's configuration decides what a commit or a checkout is, and the files bring none: a copy
# has no ``.git`` before `fresh_history`.
_GIT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
}
# Agents may commit, as in SWE-bench's images, which set the same.
_IDENTITY = {"user.name": "SWE-bench", "user.email": "setup@swebench.config"}
_INSIDE = {
    "PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # this machine's plugins are no part of a task
}


def describe_limits() -> dict[str, Any]:
    """Return the limits that do not depend on the kind of command, for the protocol."""
    return {name: getattr(LIMITS, name) for name in ("memory", "processes", "output", "disk")}


def describe_image_limits() -> dict[str, Any]:
    """Return the limits of containers of docker and podman, for the protocol."""
    return {name: getattr(IMAGE_LIMITS, name) for name in ("memory", "processes", "output")}


@dataclass(frozen=True)
class Workspace:
    """A repository and a temporary folder of its own, in which commands run."""

    sandbox: Sandbox
    repository: Path
    scratch: Path
    hidden: Path

    async def run(
        self,
        argv: tuple[str, ...],
        *,
        seconds: float,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a command at /testbed with its standard error in its standard output.

        Raises `ItemError` if the sandbox failed.
        """
        command = Command(
            ("bash", "-c", 'exec "$@" 2>&1', "bash", *argv),
            stdin=stdin,
            cwd=TESTBED,
            writable=(self.repository, self.scratch),
            readable=(self.hidden,),
            environment={**_INSIDE, **(environment or {})},
            limits=replace(LIMITS, seconds=seconds, cpu_seconds=seconds * 4),
            places={
                self.repository: TESTBED,
                self.scratch: Path("/tmp"),
                self.hidden: SOURCES,
            },
        )
        result = await self.sandbox.run(command)
        if result.status == "error":
            raise ItemError(f"the sandbox failed: {result.reason}")
        return result


@contextmanager
def workspace(sandbox: Sandbox, files: Path) -> Iterator[Workspace]:
    """Yield a workspace with a fresh copy of a task's files, removed at the end.

    Raises `ItemError` if the copy fails, `UsageError` if git is not installed.
    """
    with Scratch("swe") as private:
        repository, scratch, hidden = (private.path / name for name in ("testbed", "tmp", "hidden"))
        scratch.mkdir()
        hidden.mkdir()
        try:
            copy_files(files, repository)
            fresh_history(repository)
        except OSError as error:
            raise ItemError(f"the repository cannot be copied: {error}") from error
        yield Workspace(sandbox, repository, scratch, hidden)


def fresh_history(repository: Path) -> None:
    """Make a folder a git repository with a single commit of its files.

    Raises `ItemError` if git fails, `UsageError` if it is not installed.
    """
    if which("git") is None:
        raise UsageError("the tasks need git: install it (Debian, Ubuntu: apt-get install git)")
    for command in (
        ("git", "init", "--quiet", "--initial-branch=main", "--template="),
        *(("git", "config", *setting) for setting in _IDENTITY.items()),
        ("git", "add", "--all", "--force"),
        ("git", "commit", "--quiet", "--message=base"),
    ):
        done = subprocess.run(command, cwd=repository, env=_GIT, capture_output=True, text=True)
        if done.returncode:
            raise ItemError(f"git {command[1]} failed: {done.stderr.strip()}")
