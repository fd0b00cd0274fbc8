"""Runs commands with bubblewrap: Linux namespaces, no daemon, no image, milliseconds to start.

As root the command runs under another user id; otherwise in a user namespace.  /usr, a minimal
/etc and /dev and the Python interpreter of this machine are visible, read-only.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Self

from harness.errors import UsageError
from harness.sandbox import cgroup, seccomp, supervise, watch
from harness.sandbox.folders import Owners, checked, python_prefixes
from harness.sandbox.programs import ENVIRONMENT, limited, output, program
from harness.sandbox.protocol import Command, Limits, Result

INSTALL = "install bubblewrap 0.7 or later (Debian, Ubuntu: apt-get install bubblewrap)"
CONTAINER = (
    "start this container with --security-opt seccomp=unconfined --security-opt "
    "apparmor=unconfined --security-opt systempaths=unconfined (docs/docker.md)"
)
_CONTAINERS = (Path("/.dockerenv"), Path("/run/.containerenv"))  # docker's and podman's marks

_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "mime.types")
_NAMESPACES = ("ipc", "pid", "net", "uts", "cgroup-try")
_USER = 1000  # inside a user namespace
_COUNTS_PROCESSES_PER_NAMESPACE = (5, 14)  # this Linux and later ones


def remedy() -> str:
    """Return what makes bubblewrap work here: it is installed, or its container allows it."""
    inside = shutil.which("bwrap") and any(mark.exists() for mark in _CONTAINERS)
    return CONTAINER if inside else INSTALL


class Bubblewrap:
    """A sandbox of Linux namespaces; see `harness.sandbox.protocol.Sandbox`."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Find the programs that are needed; raises `UsageError` if one is missing."""
        self.limits = limits or Limits()
        self._bwrap = program("bwrap", INSTALL)
        self._prlimit = program("prlimit", "install util-linux")
        self._owners = Owners() if os.geteuid() == 0 else None
        self._setpriv = program("setpriv", "install util-linux") if self._owners else ""
        self._filter = seccomp.program()
        self._groups = cgroup.groups()
        if self._groups:
            weakref.finalize(self, self._groups.remove)
        if not watch.available():
            raise UsageError("/proc does not list child processes here: memory cannot be monitored")
        self.version = (output([self._bwrap, "--version"]) or "unknown").split()[-1]

    def describe(self) -> dict[str, Any]:
        """Return kind, version, what protects, and the limits."""
        return {
            "kind": "bubblewrap",
            "version": self.version,
            "user": "another id" if self._owners else "user namespace",
            "seccomp": self._filter is not None,
            "cgroup": self._groups is not None,
            "limits_processes": self._limits_processes,
            "limits": self.limits.describe(),
        }

    @property
    def _limits_processes(self) -> bool:
        """Whether a limit on processes counts the run's own alone."""
        kernel = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))
        return bool(self._owners) or kernel >= _COUNTS_PROCESSES_PER_NAMESPACE

    async def run(self, command: Command) -> Result:
        """Run one command; see `Sandbox.run`."""
        limits = command.limits or self.limits
        uid = self._owner(command)
        with contextlib.ExitStack() as stack:
            files = _Files(stack)
            argv = [self._bwrap, "--json-status-fd", files.status()]
            argv += self._inside(command, files, uid)
            group = self._groups.take(limits) if self._groups else None
            process = supervise.start(argv, _environment(command), Path("/"), files.passed)
            if group:
                stack.enter_context(group).add(process.pid)
            namespace = stack.enter_context(_Namespace(process, files.started(), group))
            result = await supervise.finish(process, namespace, command.stdin, limits)
            if group and group.broke() and result.status in ("ok", "signal", "error"):
                reason = f"more than {limits.memory} bytes of memory, the kernel's own included"
                return dataclasses.replace(result, status="memory", exit_code=None, reason=reason)
            return result

    def popen(
        self, command: Command, errors: IO[bytes], links: Mapping[Path, Path] = MappingProxyType({})
    ) -> subprocess.Popen[bytes]:
        """Start a command to talk to through its pipes; stderr goes to the file ``errors``.

        ``links`` are symbolic links to make inside, with their targets.  The caller ends it by
        `kill`.  Its time, memory and output are limited by nothing but the kernel's limits per
        process.  It dies with the *thread* that calls this: that one must outlive it.  Raises
        `UsageError` as `Sandbox.run` does.
        """
        uid = self._owner(command)
        with contextlib.ExitStack() as stack:
            files = _Files(stack)
            argv = [self._bwrap, *self._inside(command, files, uid, links)]
            return subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment(command),
                cwd="/",
                pass_fds=files.passed,
            )

    def _owner(self, command: Command) -> int | None:
        """Return the user id that the command runs under; None in a user namespace."""
        writable = checked(command.writable, writable=True)
        return self._owners.hand_over(writable) if self._owners else None

    def _inside(
        self,
        command: Command,
        files: _Files,
        uid: int | None,
        links: Mapping[Path, Path] = MappingProxyType({}),
    ) -> list[str]:
        """Return bubblewrap's arguments: who the command is, what it sees, and itself.

        Raises `UsageError` for a folder that is missing or must not be given.
        """
        limits = command.limits or self.limits
        writable = checked(command.writable, writable=True)
        readable = checked(command.readable, writable=False)
        argv = _isolation(uid)
        argv += ["--as-pid-1"] if command.init else []
        if self._filter is not None:
            argv += ["--seccomp", files.holding(self._filter)]
        argv += _system(limits)
        for path, text in _etc(_USER if uid is None else uid).items():
            argv += ["--perms", "0444", "--file", files.holding(text.encode()), path]
        argv += _shown(readable, writable, command.places)
        for link, target in links.items():
            argv += ["--dir", str(link.parent), "--symlink", str(target), str(link)]
        argv += ["--remount-ro", "/", "--chdir", str(command.folder.absolute()), "--"]
        return [*argv, *self._limited(command, uid), *command.argv]

    def _limited(self, command: Command, uid: int | None) -> list[str]:
        """Return the arguments before the command that set its limits and take its rights away."""
        limits = command.limits or self.limits
        argv = limited(self._prlimit, limits)
        if self._limits_processes:
            # Bubblewrap's own first process, where there is one, may have the same user.
            ours = int(uid is None and not command.init)
            argv.append(f"--nproc={limits.processes + ours}")
        if uid is not None:
            argv += [self._setpriv, f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
            argv += ["--bounding-set=-all", "--inh-caps=-all"]
            # A change of user id cancels bubblewrap's --die-with-parent.
            argv += ["--pdeathsig=KILL"] if command.init else []
        return [*argv, "--"]


def _environment(command: Command) -> dict[str, str]:
    return {**ENVIRONMENT, **command.environment}


class _Files:
    """The open files that bubblewrap is given beside its arguments; the stack closes them."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self.passed: list[int] = []

    def holding(self, data: bytes) -> str:
        """Return the number of a new file in memory that holds ``data``."""
        file = self._stack.enter_context(os.fdopen(os.memfd_create("sandbox"), "w+b", buffering=0))
        file.write(data)
        file.seek(0)
        return self._pass(file.fileno())

    def status(self) -> str:
        """Return the number of a new pipe's end for bubblewrap to say how things go."""
        read, write = os.pipe()
        self._read = self._stack.enter_context(os.fdopen(read, "rb", buffering=0))
        self._write = self._stack.enter_context(os.fdopen(write, "wb", buffering=0))
        return self._pass(write)

    def started(self) -> int:
        """Return our end of that pipe, once bubblewrap has its own."""
        self._write.close()
        return self._read.fileno()

    def _pass(self, number: int) -> str:
        self.passed.append(number)
        return str(number)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill bubblewrap and all below it, also while it starts.

    Its first process would wait for it for ever: that asks to die with its parent only later.
    Once stopped, bubblewrap starts no process that we have not seen.
    """
    with contextlib.suppress(ProcessLookupError, ChildProcessError):  # it ended already
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        for pid in reversed(watch.tree(process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class _Namespace:
    """The process namespace of one run: when its first process dies, the kernel kills the rest."""

    def __init__(
        self, process: subprocess.Popen[bytes], status: int, group: cgroup.Group | None
    ) -> None:
        self._process, self._status, self._group = process, status, group
        self._killed = False
        self._pidfd: int | None = None
        self._exit_code: int | None = None
        self._root: int | None = None

    def __enter__(self) -> Self:
        self._listener = asyncio.ensure_future(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.cancel()
        if self._pidfd is not None:
            os.close(self._pidfd)

    def usage(self, memory_limit: int) -> watch.Usage | None:
        """Return what they use; None before the first process is known."""
        if self._root is None:
            return None
        kernel = self._group.kernel_memory() if self._group else 0
        return watch.usage(self._root, memory_limit, kernel, own_network=True)

    def kill(self) -> None:
        """Kill the first process, and so all; before it is known, bubblewrap and its children."""
        self._killed = True
        if self._pidfd is None:
            kill(self._process)
        else:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def gone(self) -> None:
        """Return when the first process has ended: the kernel ends it after all the others."""
        await self._listener
        if self._pidfd is not None:
            await supervise.ready(self._pidfd)

    def exit_code(self, returncode: int) -> int | None:
        """Return the exit code that bubblewrap reported; None where the command never began."""
        return self._exit_code

    async def _listen(self) -> None:
        """Follow bubblewrap's reports: one JSON document per line."""
        os.set_blocking(self._status, False)
        rest = b""
        while True:
            await supervise.ready(self._status)
            chunk = os.read(self._status, 4096)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for report in map(json.loads, lines):
                self._exit_code = report.get("exit-code", self._exit_code)
                if "child-pid" in report:
                    self._begun(report["child-pid"])

    def _begun(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it ended already
            self._pidfd = os.pidfd_open(pid)
            self._root = pid
        if self._killed:
            self.kill()


def _isolation(uid: int | None) -> list[str]:
    """Return the namespaces, and who the command is: ``uid``, or None for a user namespace."""
    argv = ["--die-with-parent", "--new-session", "--hostname", "sandbox"]
    argv += [f"--unshare-{name}" for name in _NAMESPACES]
    if uid is None:
        return [*argv, "--unshare-user", "--uid", str(_USER), "--gid", str(_USER)]
    for right in ("SETUID", "SETGID", "SETPCAP"):  # for setpriv, which gives them up
        argv += ["--cap-add", f"CAP_{right}"]
    return argv


def _system(limits: Limits) -> list[str]:
    """Return the mounts that every run sees."""
    argv = ["--ro-bind", "/usr", "/usr"]
    for path in (Path("/") / name for name in _SYSTEM):
        if path.is_symlink():
            argv += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            argv += ["--ro-bind", str(path), str(path)]
    argv += ["--dir", "/etc"]
    for name in _ETC:
        argv += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    in_memory = ["--perms", "1777", "--size", str(limits.disk), "--tmpfs"]
    argv += ["--proc", "/proc", "--dev", "/dev", *in_memory, "/dev/shm"]
    argv += ["--remount-ro", "/dev", *in_memory, "/tmp"]
    return [*argv, "--dir", "/var", "--symlink", "../tmp", "/var/tmp"]


def _etc(uid: int) -> dict[str, str]:
    """Return the files by which names are found: users, groups, hosts."""
    return {
        "/etc/passwd": f"root:x:0:0::/:/bin/sh\nsandbox:x:{uid}:{uid}::/tmp:/bin/sh\n",
        "/etc/group": f"root:x:0:\nsandbox:x:{uid}:\n",
        "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }


def _shown(
    readable: Iterable[Path], writable: Iterable[Path], places: Mapping[Path, Path]
) -> list[str]:
    """Return the mounts of the interpreter and of the command's folders, outer ones first."""
    kinds = dict.fromkeys([*python_prefixes(), *readable], "--ro-bind")
    kinds |= dict.fromkeys(writable, "--bind")
    inside = {path: places.get(path, path) for path in kinds}
    unmoved = [path for path in kinds if inside[path] == path]
    argv: list[str] = []
    for path in sorted(kinds, key=lambda path: len(inside[path].parts)):
        target = inside[path]
        if kinds[path] == "--ro-bind" and path == target and path.is_relative_to("/usr"):
            continue
        if not any(target.is_relative_to(outer) for outer in unmoved if outer != path):
            # Folders on the way that bubblewrap makes by itself would be closed to other ids.
            argv += ["--dir", str(target.parent)]
        argv += [kinds[path], str(path), str(target)]
    return argv
