"""The interface of every sandbox: a `Command` and its `Result`."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

# "ok": the command ran to its end, whatever its exit code.  "timeout" (wall or CPU time), "memory"
# and "output" (too much written): it broke that limit and was killed.  "signal": a signal ended
# it.  "error": the sandbox itself failed, not the command.
Status = Literal["ok", "timeout", "memory", "output", "signal", "error"]

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one run may use, over all of its processes together unless said otherwise.

    ``seconds`` is wall time, ``cpu_seconds`` processor time.  ``memory`` is resident bytes.
    ``processes`` counts threads too; each process has at most ``files`` open files, sockets and
    pipes.  ``output`` is the bytes kept of stdout and of stderr, each.
    ``disk`` is the bytes of the private /tmp, of any one file, and of what is written to disk.
    """

    seconds: float = 10.0
    cpu_seconds: float = 10.0
    memory: int = 2048 * MIB
    processes: int = 64
    files: int = 256
    output: int = MIB
    disk: int = 256 * MIB

    def describe(self) -> dict[str, Any]:
        """Return the limits as a JSON mapping, for a run's protocol."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Command:
    """One program to run.

    ``writable`` and ``readable`` are folders of this machine, seen inside under their own paths
    or where ``places`` says; no other files of the user are.  ``cwd`` is the working folder
    inside: by default the first writable one, else the private /tmp.  ``environment`` is added to
    a minimal one (PATH, HOME, LANG).  ``limits`` replaces the sandbox's own.  ``init``: the command
    is the first process inside (pid 1), which no signal from inside reaches and which reaps.
    """

    argv: tuple[str, ...]
    stdin: bytes = b""
    cwd: Path | None = None
    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Limits | None = None
    places: Mapping[Path, Path] = field(default_factory=dict)
    init: bool = False

    @property
    def folder(self) -> Path:
        """The working folder, as it is seen inside."""
        if self.cwd is not None:
            return self.cwd
        return self.place(self.writable[0]) if self.writable else Path("/tmp")

    def place(self, folder: Path) -> Path:
        """Return where a folder of this machine is seen inside."""
        return self.places.get(folder, folder)


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    ``exit_code``: the command's own if ``status`` is "ok", 128 + n if signal n ended it, else None.
    ``seconds``: wall time, with the sandbox's start (milliseconds).  ``peak_memory``: the most
    resident bytes seen (every few milliseconds), or None.  ``reason``: why ``status`` is not "ok".
    """

    status: Status
    exit_code: int | None
    stdout: bytes
    stderr: bytes
    seconds: float
    peak_memory: int | None = None
    reason: str = ""


class Sandbox(Protocol):
    """Runs commands where they can do no harm."""

    async def run(self, command: Command) -> Result:
        """Run one command to its end or to its first broken limit, and leave nothing behind.

        The caller decides how many run at once.  Cancelled, it kills the run.  Raises `UsageError`
        if the command asks for a folder that is missing or must not be given.
        """

    def describe(self) -> dict[str, Any]:
        """Return kind, versions, protections and limits as a JSON mapping, for the record."""


def run_sync(sandbox: Sandbox, command: Command) -> Result:
    """Run one command from a thread that has no event loop; see `Sandbox.run`."""
    return asyncio.run(sandbox.run(command))
