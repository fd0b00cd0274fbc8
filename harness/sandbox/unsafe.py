"""Runs commands as plain processes with limits: no sandbox, only with ``--unsafe``.

The command has the user's privileges, files and network, and may outlive its session.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.sandbox import supervise, watch
from harness.sandbox.folders import checked
from harness.sandbox.programs import ENVIRONMENT, Lifeline, limited, program
from harness.sandbox.protocol import Command, Limits, Result


class Unsafe:
    """No sandbox; see `harness.sandbox.protocol.Sandbox` for what it stands in for."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Find the program that sets limits, or raise `UsageError`."""
        self.limits = limits or Limits()
        self._prlimit = program("prlimit", "install util-linux")

    def describe(self) -> dict[str, Any]:
        """Return the kind, and the limits (processes are not limited)."""
        return {"kind": "unsafe", "limits": self.limits.describe()}

    async def run(self, command: Command) -> Result:
        """Run one command; see `Sandbox.run`."""
        limits = command.limits or self.limits
        if command.places:
            raise UsageError("folders cannot be mounted at another path without a sandbox")
        checked((*command.writable, *command.readable), writable=False)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as private:
            cwd = command.folder if command.cwd or command.writable else Path(private)
            environment = {**ENVIRONMENT, "HOME": private, "TMPDIR": private, **command.environment}
            argv = [*limited(self._prlimit, limits), "--", *command.argv]
            process = supervise.start(argv, environment, cwd)
            return await supervise.finish(process, _Session(process), command.stdin, limits)


class _Session:
    """The processes of one session and their descendants, as far as they can be found."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._root = process.pid
        self._lifeline = Lifeline('kill -s KILL -- "-$1"', str(process.pid))

    def usage(self, memory_limit: int) -> watch.Usage:
        """Return what they use."""
        return watch.usage(self._root, memory_limit)

    def kill(self) -> None:
        """Kill the process group and what is below its first process."""
        for pid in watch.tree(self._root):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        self._lifeline.pull()

    async def gone(self) -> None:
        """Return when the group that the first process left has been killed."""
        self._lifeline.pull()
        await supervise.exited(self._lifeline.process)

    def exit_code(self, returncode: int) -> int:
        """Return the exit code as shells give it."""
        return returncode if returncode >= 0 else 128 - returncode
