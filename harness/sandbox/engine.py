"""Container engines, and what keeps containers from outliving the process that started them.

Each container carries its owner, a process, as a label.  A shell that waits for the owner's end
removes its containers; what that misses is removed when the next process begins.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.errors import UsageError
from harness.files.text import last_line
from harness.sandbox.programs import Lifeline, output

# How an engine shows that it answers: docker's client alone knows no server version.
_VERSION = {
    "docker": ("version", "--format", "{{.Server.Version}}"),
    "podman": ("info", "--format", "{{.Version.Version}}"),
    "singularity": ("--version",),
}
# Whether containers get a filter of system calls: docker lists "name=seccomp,profile=builtin".
_FILTER = {
    "docker": ("info", "--format", "{{json .SecurityOptions}}"),
    "podman": ("info", "--format", "{{.Host.Security.SECCOMPEnabled}}"),
}
OWNER = "harness.owner"  # the label
# Exit codes by signals with which a container is ended from outside.
KILLED = frozenset(128 + n for n in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
# A client that was starting a container when its owner ended may finish a little later.
_REMOVE_OURS = """engine=$1
for _ in 1 2 3 4 5 6 7 8 9 10; do
  ids=$("$engine" ps --all --quiet --filter "label=$2")
  if [ -n "$ids" ]; then "$engine" rm --force --volumes $ids; fi
  sleep 1
done"""


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine that answers."""

    name: str
    program: str
    version: str

    def check_filter(self) -> None:
        """Raise `UsageError` where containers run without the engine's filter of system calls."""
        said = output([self.program, *_FILTER[self.name]], seconds=30.0) or ""
        unfiltered = "name=seccomp" not in said or "profile=unconfined" in said
        # One that says nothing fails in its own words when a container starts.
        if said in ("false", "null") or (said.startswith("[") and unfiltered):
            raise UsageError(
                f"the {self.name} engine starts containers without its seccomp filter, so that "
                "programs reach all of the kernel: take seccomp-profile=unconfined out of its "
                "settings"
            )

    def state(self, container: str, field: str) -> str | None:
        """Return a field of a container's state; None where container or engine is gone."""
        inspect = [self.program, "inspect", f"--format={{{{.State.{field}}}}}", container]
        return output(inspect, seconds=60.0)

    def was_killed(self, container: str, since: float) -> bool:
        """Return whether a signal was sent to a container since then (seconds of the epoch)."""
        # Whole seconds: to see this one, the engine waits for its end.
        window = [f"--since={int(since)}", f"--until={int(time.time()) + 1}"]
        listed = [self.program, "events", *window, f"--filter=container={container}"]
        return " container kill " in (output(listed, seconds=60.0) or "")

    def ended_itself(self, container: str) -> bool:
        """Whether what ran in a stopped container ended it: out of memory, or its first process.

        Programs can have the kernel choose that process when memory runs out, or trace it.
        """
        if self.state(container, "OOMKilled") == "true":
            return True
        code = self.state(container, "ExitCode")
        return code is not None and int(code) not in KILLED

    def why_gone(self, container: str) -> str:
        """Return what became of a container that does not run, for a message."""
        if engine(self.name) is None:
            return f"the {self.name} engine does not answer any more"
        if self.state(container, "OOMKilled") == "true":
            return "the container was out of memory"
        return "the container was stopped or removed from outside"


def find_engine() -> Engine | None:
    """Return the first engine that answers, docker before podman."""
    return engine("docker") or engine("podman")


def engine(name: str) -> Engine | None:
    """Return the engine of that name (docker, podman, singularity), or None if none answers."""
    path = shutil.which(name)
    version = output([path, *_VERSION[name]], seconds=30.0) if path else None
    return Engine(name, path, version) if path and version else None


def client_error(stderr: bytes) -> str:
    """Return what an engine's client complains of: its last line that is not advice."""
    lines = stderr.decode(errors="replace").splitlines()
    # matches "Run 'docker run --help' for more information" and "See 'docker run --help'."
    last = last_line("\n".join(line for line in lines if not re.match("(Run|See) '", line)))
    # matches 'time="2026-01-01T00:00:00Z" level=error msg="error waiting: unexpected EOF"'
    logged = re.match(r'time=\S+ level=\w+ msg="(.*)"', last)
    return logged[1] if logged else last.removeprefix("docker: ")


def owner() -> str:
    """Return the name of this process among all processes of all machines, as a label's value."""
    pid = os.getpid()
    return f"{_machine()}.{pid}.{_started(pid)}"


def has_ended(name: str) -> bool:
    """Return whether a process of this machine has ended; False where that cannot be known."""
    machine, _, process = name.partition(".")
    pid, _, started = process.partition(".")
    if machine != _machine() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass  # another user's process
    now = _started(int(pid))
    return now is not None and now != started


@cache
def remove_leftovers(program: str) -> Lifeline:
    """Remove the containers of processes that have ended, and see that ours end with us.

    Works once in a process for each engine; to be called before the first container.
    """
    of_any = ["--filter", f"label={OWNER}"]
    listed = (output([program, "ps", "--all", "--quiet", *of_any], seconds=60.0) or "").split()
    owned = f'{{{{.Id}}}} {{{{index .Config.Labels "{OWNER}"}}}}'
    lines = _lines([program, "inspect", f"--format={owned}", *listed]) if listed else []
    left = [id for id, _, name in (line.partition(" ") for line in lines) if has_ended(name)]
    if left:
        _lines([program, "rm", "--force", "--volumes", *left])
    ours = f"{OWNER}={owner()}"
    atexit.register(_remove_ours, program, ours)
    return Lifeline(_REMOVE_OURS, program, ours)


def _remove_ours(program: str, label: str) -> None:
    """Remove the containers with a label: in a container the lifeline dies when we end."""
    listed = output([program, "ps", "--all", "--quiet", "--filter", f"label={label}"]) or ""
    if ids := listed.split():
        output([program, "rm", "--force", "--volumes", *ids])


def _lines(argv: list[str]) -> list[str]:
    """Return what a command prints; some of the containers may be gone by then."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    return done.stdout.splitlines()


@cache
def _machine() -> str:
    """Return a name for the boot and the process namespace, in which process ids are ours."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}-{Path('/proc/self/ns/pid').stat().st_ino}"


def _started(pid: int) -> str | None:
    """Return when a process started, in the kernel's ticks: "0" if it has ended, None if unknown.

    A process that nobody has waited for has ended.
    """
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "0" if state in "ZX" else fields[18]
