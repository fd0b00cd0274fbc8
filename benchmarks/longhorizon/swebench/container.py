"""A task's container, in which the agent's commands run one after the other."""

from __future__ import annotations

import asyncio
import io
import os
import secrets
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.longhorizon.swebench.workspace import IMAGE_LIMITS, TESTBED
from harness.errors import ItemError
from harness.sandbox import Result, supervise
from harness.sandbox.engine import OWNER, Engine, client_error, owner, remove_leftovers
from harness.sandbox.programs import output

# The first process: nothing inside can end it, it waits for orphans, and it ends after a day.
_FIRST = "while [ $SECONDS -lt 86400 ]; do sleep 60 & wait $!; done"
_PULL_SECONDS = 3600.0
_CALL_SECONDS = 120.0
_ENDED = "the container has ended: out of memory, or a command ended its first process"
NO_SPACE = os.strerror(28)  # "No space left on device", as programs and engines print it


class TaskContainer:
    """One container of a docker or podman engine; `start` makes it and `remove` ends it."""

    def __init__(self, engine: Engine, image: str, environment: Mapping[str, str]) -> None:
        """Start nothing yet; ``environment`` is that of the commands."""
        self.engine, self.image = engine, image
        self._environment = environment
        self._name = f"harness-agent-{secrets.token_hex(8)}"

    async def start(self) -> None:
        """Start it, pulling its image where it is missing; raises `ItemError` if that fails."""
        await asyncio.to_thread(remove_leftovers, self.engine.program)
        if (await self._call("image", "inspect", self.image)).exit_code != 0:
            pulled = await self._call("pull", "--quiet", "--", self.image, seconds=_PULL_SECONDS)
            self._check(pulled, f"the image {self.image} is missing and cannot be pulled")
        options = [
            "--pull=never",
            f"--name={self._name}",
            f"--label={OWNER}={owner()}",
            "--network=none",
            f"--memory={IMAGE_LIMITS.memory}",
            f"--memory-swap={IMAGE_LIMITS.memory}",
            f"--pids-limit={IMAGE_LIMITS.processes}",
        ]
        # What follows "--" is the image, never an option.
        first = (self.image, "bash", "-c", _FIRST)
        started = await self._call("run", "--detach", *options, "--", *first)
        self._check(started, f"{self.image} does not start")

    async def run(self, text: str, seconds: float) -> Result:
        """Run one shell command at /testbed, stderr in its stdout.

        A command that ends the container has broken a limit, and so has each one after it: no
        failure of ours, which would be asked again.  Raises `ItemError` if container or engine are
        gone otherwise, or the disk is full.
        """
        variables = [f"--env={name}={value}" for name, value in self._environment.items()]
        shell = (self._name, "bash", "-c", 'exec bash -c "$1" 2>&1', "bash", text)
        options = [f"--workdir={TESTBED}", *variables]
        result = await self._call("exec", *options, *shell, seconds=seconds)
        if result.exit_code != 0 and await self._has_ended():
            return replace(result, status="memory", exit_code=None, reason=_ENDED)
        if NO_SPACE.encode() in result.stdout:
            await self.check_disk()
        return result

    async def check_disk(self) -> None:
        """Raise `ItemError` if the engine has no room for a megabyte in this container.

        The engine writes it: nothing that a command changed inside has a say.  A container that a
        command has ended is not checked.
        """
        result = await self._call("cp", "-", f"{self._name}:/", stdin=megabyte())
        if result.exit_code != 0 and await self._has_ended():
            return
        self._check(result, f"the {self.engine.name} engine cannot write")

    def remove(self) -> None:
        """Remove the container with all that runs in it; blocks."""
        output([self.engine.program, "rm", "--force", "--volumes", self._name], _CALL_SECONDS)

    async def _has_ended(self) -> bool:
        """Whether a command has ended the container; raises `ItemError` if something else has."""
        if await asyncio.to_thread(self.engine.state, self._name, "Running") == "true":
            return False
        if not await asyncio.to_thread(self.engine.ended_itself, self._name):
            raise ItemError(await asyncio.to_thread(self.engine.why_gone, self._name))
        return True

    async def _call(
        self, *words: str, stdin: bytes = b"", seconds: float = _CALL_SECONDS
    ) -> Result:
        # The client needs our environment (where its engine is); the container gets none of it.
        process = supervise.start([self.engine.program, *words], os.environ, Path("/"))
        limits = replace(IMAGE_LIMITS, seconds=seconds)
        return await supervise.finish(process, _Client(process), stdin, limits)

    def _check(self, result: Result, what: str) -> None:
        if result.exit_code != 0:
            raise ItemError(f"{what}: {result.reason or client_error(result.stderr)}")


class _Client:
    """One call of the engine's client: at its limit the client ends, the container stays."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def usage(self, memory_limit: int) -> None:
        """Return nothing: the engine watches memory."""

    def kill(self) -> None:
        """Kill the client."""
        self._process.kill()

    async def gone(self) -> None:
        """Return at once: the client has ended."""

    def exit_code(self, returncode: int) -> int | None:
        """Return the command's exit code, which is the client's."""
        return returncode


def megabyte() -> bytes:
    """Return an archive with one file of a megabyte.

    Nothing inside a container can know its name, and make it fail by a folder that is called so.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo(f".harness-{secrets.token_hex(8)}")
        entry.size = 1 << 20
        archive.addfile(entry, io.BytesIO(bytes(entry.size)))
    return stream.getvalue()
