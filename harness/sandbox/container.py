"""Runs each command in a docker or podman container of its own, which is removed afterwards.

The engine limits memory and processes; a client whose engine does not answer is not a sandbox.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import secrets
import subprocess
import time
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.sandbox import supervise
from harness.sandbox.engine import KILLED, OWNER, Engine, client_error, owner, remove_leftovers
from harness.sandbox.folders import checked
from harness.sandbox.programs import ENVIRONMENT, Lifeline, cpu_seconds, output
from harness.sandbox.protocol import Command, Limits, Result, Status

_ENGINE_FAILED = 125  # exit code of `docker run` where the engine, not the command, failed
_TOO_LATE = 124  # exit code of `timeout`
# While the client lives, it may be about to create the container.  A client whose engine hangs
# would wait for ever.
_REMOVE = """client=$1; shift
while kill -0 "$client"; do
  "$@"
  if [ $? = 124 ]; then kill -9 "$client"; exit 124; fi
  sleep 0.2
done
exec "$@"
"""


class Container:
    """A sandbox of containers; see `harness.sandbox.protocol.Sandbox`."""

    def __init__(
        self, engine: Engine, image: str, limits: Limits | None = None, patience: int = 60
    ) -> None:
        """Look the image up; raises `UsageError` if the engine does not have it.

        An engine that does not remove a container within ``patience`` seconds counts as gone.
        """
        self.limits, self.patience = limits or Limits(), patience
        self.engine, self.image = engine, image
        image_id = output([engine.program, "image", "inspect", "--format", "{{.Id}}", image])
        if not image_id:
            raise UsageError(f"image {image} is missing; get it with: {engine.name} pull {image}")
        self.image_id = image_id
        engine.check_filter()
        remove_leftovers(engine.program)

    def describe(self) -> dict[str, Any]:
        """Return engine, its version, the image by content, and the limits."""
        return {
            "kind": self.engine.name,
            "version": self.engine.version,
            "image": self.image,
            "image_id": self.image_id,
            "limits": self.limits.describe(),
        }

    async def run(self, command: Command) -> Result:
        """Run one command; see `Sandbox.run`."""
        limits = command.limits or self.limits
        name = f"harness-{secrets.token_hex(8)}"
        argv = [self.engine.program, "run", f"--name={name}", f"--label={OWNER}={owner()}"]
        argv += _isolation(limits)
        argv += [] if command.init else ["--init"]
        for folder in checked(command.readable, writable=False):
            argv.append(f"--mount=type=bind,src={folder},dst={command.place(folder)},readonly")
        for folder in checked(command.writable, writable=True):
            argv.append(f"--mount=type=bind,src={folder},dst={command.place(folder)}")
        environment = {**ENVIRONMENT, **command.environment}
        argv += [f"--env={name}={value}" for name, value in environment.items()]
        argv += [f"--workdir={command.folder.absolute()}", self.image_id, *command.argv]
        # The client needs our environment (where its engine is); the container gets none of it.
        process = supervise.start(argv, os.environ, Path("/"))
        container = _Running(self, name, process, limits)
        result = await supervise.finish(process, container, command.stdin, limits)
        if container.broke and result.status in ("signal", "timeout"):
            status, reason = container.broke
            return dataclasses.replace(result, status=status, exit_code=None, reason=reason)
        if result.status == "error" and (reason := client_error(result.stderr)):
            return dataclasses.replace(result, reason=reason)
        return result


class _Running:
    """One container: removing it kills all that runs in it."""

    def __init__(
        self, sandbox: Container, name: str, client: subprocess.Popen[bytes], limits: Limits
    ) -> None:
        self._engine = sandbox.engine
        self._name, self._client, self._limits = name, client, limits
        self._began = time.time()
        self._pulled = self._failed = False
        self.broke: tuple[Status, str] | None = None
        remove = (sandbox.engine.program, "rm", "--force", "--volumes", name)
        patience = str(sandbox.patience)
        self._lifeline = Lifeline(_REMOVE, str(client.pid), "timeout", patience, *remove)

    def kill(self) -> None:
        """Let the container be removed."""
        self._pulled = True
        self._lifeline.pull()

    def usage(self, memory_limit: int) -> None:
        """Return nothing: the engine watches memory."""

    async def gone(self) -> None:
        """Return when the container has been removed."""
        if self._client.returncode in KILLED and not self._pulled:
            self.broke = await asyncio.to_thread(self._why_killed)
        elif self._client.returncode == _ENGINE_FAILED:
            code = await asyncio.to_thread(self._engine.state, self._name, "ExitCode")
            self._failed = code != str(_ENGINE_FAILED)  # a command may end with that code too
        self._lifeline.pull()
        await supervise.exited(self._lifeline.process)
        if self._lifeline.process.returncode == _TOO_LATE:
            self.broke = "error", f"the {self._engine.name} engine does not answer any more"

    def _why_killed(self) -> tuple[Status, str] | None:
        """Return status and reason of a signal that the command did not send to itself."""
        out_of_memory = self._engine.state(self._name, "OOMKilled")
        if out_of_memory == "true":
            return "memory", f"more than {self._limits.memory} bytes of memory"
        if out_of_memory is None or self._engine.was_killed(self._name, self._began):
            return "error", self._engine.why_gone(self._name)
        return None

    def exit_code(self, returncode: int) -> int | None:
        """Return the command's exit code, which is the client's."""
        return None if self._failed else returncode


def _isolation(limits: Limits) -> list[str]:
    """Return the options that separate a container from this machine and limit it."""
    soft, hard = cpu_seconds(limits)
    return [
        "--interactive",
        "--pull=never",
        "--log-driver=none",
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--user={os.getuid()}:{os.getgid()}",
        f"--memory={limits.memory}",
        f"--memory-swap={limits.memory}",
        f"--pids-limit={limits.processes}",
        f"--tmpfs=/tmp:rw,exec,nosuid,nodev,mode=1777,size={limits.disk}",
        f"--shm-size={limits.disk}",
        f"--ulimit=cpu={soft}:{hard}",
        f"--ulimit=fsize={limits.disk}:{limits.disk}",
        f"--ulimit=nofile={limits.files}:{limits.files}",
        "--ulimit=core=0:0",
    ]
