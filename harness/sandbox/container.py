"""Runs each command in a docker or podman container of its own, which is removed afterwards.

The engine limits memory and processes; a client whose engine does not answer is not a sandbox.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.sandbox import supervise
from harness.sandbox.folders import checked
from harness.sandbox.programs import ENVIRONMENT, Lifeline, cpu_seconds, output
from harness.sandbox.protocol import Command, Limits, Result

# How an engine shows that it answers: docker's client alone knows no server version.
_VERSION = {
    "docker": ("version", "--format", "{{.Server.Version}}"),
    "podman": ("info", "--format", "{{.Version.Version}}"),
    "singularity": ("--version",),
}
_ENGINE_FAILED = 125  # exit code of `docker run` where the engine, not the command, failed
_KILLED = 137


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine that answers."""

    name: str
    program: str
    version: str


def find_engine() -> Engine | None:
    """Return the first engine that answers, docker before podman."""
    return engine("docker") or engine("podman")


def engine(name: str) -> Engine | None:
    """Return the engine of that name (docker, podman, singularity), or None if none answers."""
    path = shutil.which(name)
    version = output([path, *_VERSION[name]], seconds=30.0) if path else None
    return Engine(name, path, version) if path and version else None


class Container:
    """A sandbox of containers; see `harness.sandbox.protocol.Sandbox`."""

    def __init__(self, engine: Engine, image: str, limits: Limits | None = None) -> None:
        """Look the image up; raises `UsageError` if the engine does not have it."""
        self.limits = limits or Limits()
        self.engine, self.image = engine, image
        image_id = output([engine.program, "image", "inspect", "--format", "{{.Id}}", image])
        if not image_id:
            raise UsageError(f"image {image} is missing; get it with: {engine.name} pull {image}")
        self.image_id = image_id

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
        argv = [self.engine.program, "run", f"--name={name}", *_isolation(limits)]
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
        container = _Running(self.engine, name, process)
        result = await supervise.finish(process, container, command.stdin, limits)
        if container.out_of_memory and result.status == "signal":
            reason = f"more than {limits.memory} bytes of memory"
            return dataclasses.replace(result, status="memory", exit_code=None, reason=reason)
        return result


class _Running:
    """One container: removing it kills all that runs in it."""

    root, own_network = None, True  # the engine watches memory

    def __init__(self, engine: Engine, name: str, client: subprocess.Popen[bytes]) -> None:
        self._engine, self._name, self._client = engine, name, client
        self.out_of_memory = False
        # While the client lives, it may be about to create the container.
        script = 'client=$1; shift; while kill -0 "$client"; do "$@"; sleep 0.2; done; exec "$@"'
        remove = (engine.program, "rm", "--force", "--volumes", name)
        self._lifeline = Lifeline(script, str(client.pid), *remove)

    def kill(self) -> None:
        """Let the container be removed."""
        self._lifeline.pull()

    async def gone(self) -> None:
        """Return when the container has been removed."""
        if self._client.returncode == _KILLED:
            inspect = [self._engine.program, "inspect", "--format={{.State.OOMKilled}}", self._name]
            self.out_of_memory = await asyncio.to_thread(output, inspect, 60.0) == "true"
        self._lifeline.pull()
        await supervise.exited(self._lifeline.process)

    def exit_code(self, returncode: int) -> int | None:
        """Return the command's exit code, which is the client's."""
        return None if returncode == _ENGINE_FAILED else returncode


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
