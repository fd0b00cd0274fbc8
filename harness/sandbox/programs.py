"""The small programs around a command: find them, set limits, clean up after our own end."""

from __future__ import annotations

import contextlib
import math
import resource
import shutil
import subprocess
from collections.abc import Sequence

from harness.errors import UsageError
from harness.sandbox.protocol import MIB, Limits

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}

# Memory that is asked for and never touched (a thread's large stack) is not what is limited.
_UNTOUCHED = 1024 * MIB


def program(name: str, advice: str) -> str:
    """Return the path of a program, or raise `UsageError` with ``advice`` if it is missing."""
    path = shutil.which(name)
    if path is None:
        raise UsageError(f"the program {name} is missing: {advice}")
    return path


def limited(prlimit: str, limits: Limits) -> list[str]:
    """Return the arguments before a command that limit each of its processes."""
    soft, hard = cpu_seconds(limits)
    memory = limits.memory + _UNTOUCHED
    ours = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = limits.files if ours == resource.RLIM_INFINITY else min(limits.files, ours)
    return [
        prlimit,
        "--core=0",
        f"--fsize={limits.disk}",
        f"--data={memory}",
        f"--cpu={soft}:{hard}",
        f"--nofile={files}",
    ]


def cpu_seconds(limits: Limits) -> tuple[int, int]:
    """Return when a process gets SIGXCPU and when it is killed, in whole CPU seconds."""
    soft = math.ceil(limits.cpu_seconds)
    return soft, soft + 1


class Lifeline:
    """A shell that waits for our end, however it comes, and then runs its script (a clean-up)."""

    def __init__(self, script: str, *arguments: str) -> None:
        """Start it: ``script`` finds the arguments in ``$@``."""
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f"read -r _; {script}", "lifeline", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def pull(self) -> None:
        """Let the script run now; may be called more than once."""
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()


def output(argv: Sequence[str], seconds: float = 10.0) -> str | None:
    """Return what a command prints, stripped; None where it fails or does not answer."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
