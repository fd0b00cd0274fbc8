"""Programs that try to do harm, and how each must end.

A table, and a ground on which they are let loose: a file, a listening port and a secret that they
must not reach.  Standard library alone: `test_bubblewrap.py` also runs this file as another user,
with the system's Python: ``python hostile.py`` prints what each case came to, as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.sandbox.protocol import MIB, Command, Limits, Result, Sandbox, Status

LIMITS = Limits(
    seconds=10, cpu_seconds=10, memory=150 * MIB, processes=24, output=100_000, disk=20 * MIB
)
SHORT = Limits(
    seconds=1, cpu_seconds=10, memory=150 * MIB, processes=24, output=100_000, disk=20 * MIB
)
LITTLE_CPU = Limits(
    seconds=20, cpu_seconds=1, memory=150 * MIB, processes=24, output=100_000, disk=20 * MIB
)

# Before every program: what it knows of the ground, and a way to try something forbidden.
PRELUDE = """
import ctypes, errno, os, signal, socket, subprocess, sys, threading, time
MARK, OUTSIDE, PORT, PARENT = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def attempt(action):
    try:
        print('done:', action())
    except OSError as error:
        print(errno.errorcode[error.errno])
def system_call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)
"""

# Sends to a socket as much as it takes while nobody reads from the other.
FILL = """
kept = []
def fill(a, b):
    kept.append((a, b))
    for end in (a, b):
        end.setblocking(False)
        try:
            while True: end.send(bytes(1 << 16))
        except BlockingIOError: pass
"""


@dataclass(frozen=True)
class Case:
    """A program, the status (or statuses) it must end with, and a pattern of what it printed."""

    name: str
    program: str
    status: Status = "ok"
    printed: str = ".*"
    exit_code: int | None = 0
    limits: Limits = LIMITS
    stdin: bytes = b""
    reason: str = ""
    or_status: Status | None = None

    def wrong(self, result: Result) -> str:
        """Return what is wrong with a result; empty where it is as it must be."""
        text = result.stdout.decode(errors="replace")
        if result.status not in (self.status, self.or_status):
            return f"status {result.status} ({result.reason}), printed {text!r} {result.stderr!r}"
        if result.exit_code != self.exit_code:
            return f"exit code {result.exit_code}, {result.stderr!r}"
        if not re.fullmatch(self.printed, text, re.DOTALL):
            return f"printed {text!r} {result.stderr!r}"
        if self.reason not in result.reason:
            return f"reason {result.reason!r}"
        return "" if result.seconds < self.limits.seconds + 3 else f"took {result.seconds} s"


def killed(status: Status, name: str, program: str, **more: object) -> Case:
    """Return a case that must be killed with ``status``."""
    return Case(name, program, status=status, exit_code=None, **more)  # type: ignore[arg-type]


CASES = [
    killed(
        "timeout",
        "fork bomb",
        "while True:\n    try: os.fork()\n    except OSError: pass",
        limits=SHORT,
        or_status="memory",  # the kernel may hold the dead for a while, and counts them
    ),
    Case(
        "processes are counted",
        "n = 1\n"
        "try:\n"
        "    while os.fork(): n += 1\n"
        "    time.sleep(60)\n"
        "except OSError as error: print(n, errno.errorcode[error.errno])",
        printed="24 EAGAIN\n",
    ),
    Case(
        "threads are counted",
        "n = 1\n"
        "try:\n"
        "    while True:\n"
        "        threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); n += 1\n"
        "except RuntimeError: print(n, flush=True); os._exit(0)",
        printed="24\n",
    ),
    killed(
        "memory",
        "memory bomb",
        "kept = []\nwhile True: kept.append(b'x' * (1 << 20))",
    ),
    killed(
        "memory",
        "memory bomb in many processes",
        "for _ in range(5):\n"
        "    if os.fork() == 0: break\n"
        "kept = b'x' * (40 << 20)\n"
        "time.sleep(60)",
    ),
    Case(
        "memory shared by forks counts once",
        "kept = b'x' * (80 << 20)\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0: time.sleep(0.3); os._exit(0)\n"
        "time.sleep(0.3); print('fine')",
        printed="fine\n",
    ),
    Case(
        "memory that no process holds",
        "attempt(lambda: os.memfd_create('x'))\n"
        "attempt(lambda: system_call('shmget', 0, 1 << 30, 0o1600))",
        printed="ENOSYS\nENOSYS\n",
    ),
    Case(
        "queues that no process holds",
        "attempt(lambda: system_call('msgget', 0, 0o1600))\n"
        "attempt(lambda: system_call('semget', 0, 1, 0o1600))\n"
        "attempt(lambda: system_call('mq_open', b'/x', os.O_CREAT | os.O_RDWR, 0o600, 0))",
        printed="ENOSYS\n" * 3,
    ),
    Case(
        "few open files",
        "kept = []\n"
        "try:\n"
        "    while True: kept += socket.socketpair()\n"
        "except OSError as error: print(errno.errorcode[error.errno], len(kept) > 200)",
        printed="EMFILE True\n",
    ),
    killed(
        "memory",
        "sockets full of data",
        FILL + "for _ in range(3): os.fork()\n"
        "while True:\n"
        "    try: fill(*socket.socketpair())\n"
        "    except OSError: time.sleep(60)",
    ),
    killed(
        "memory",
        "connections full of data",
        FILL + "server = socket.create_server(('127.0.0.1', 0), backlog=99)\n"
        "while True:\n"
        "    a = socket.create_connection(server.getsockname())\n"
        "    fill(a, server.accept()[0])",
    ),
    Case(
        "a larger buffer is not made",
        "a, b = socket.socketpair()\n"
        "before = a.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)\n"
        "a.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)\n"
        "print(a.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == before)",
        printed="True\n",
    ),
    killed(
        "memory",
        "page tables of pages that are not resident",
        "import mmap\n"
        "kinds = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000\n"
        "kept = mmap.mmap(-1, 120 << 30, flags=kinds, prot=mmap.PROT_READ)\n"
        "for n in range(60 << 10): kept[n << 21]\n"
        "time.sleep(60)",
    ),
    Case(
        "other processes",
        "handle = os.pidfd_open(os.getppid() or 1)\n"
        "attempt(lambda: system_call('pidfd_getfd', handle, 1, 0))\n"
        "attempt(lambda: system_call('ptrace', 16, 1, 0, 0))\n"
        "attempt(lambda: system_call('process_vm_readv', 1, 0, 0, 0, 0, 0))\n"
        "attempt(lambda: system_call('process_vm_writev', 1, 0, 0, 0, 0, 0))\n"
        "attempt(lambda: os.kill(1, 0))",
        printed="ENOSYS\n" * 4 + "EPERM\n",
    ),
    Case(
        "sockets that no network namespace holds",
        "kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_RAW)\n"
        "usual = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)\n"
        "for family in set(range(64)) - {*usual}:\n"
        "    for kind in kinds: attempt(lambda: socket.socket(family, kind))",
        printed="(EAFNOSUPPORT\n)+",
    ),
    killed(
        "output",
        "endless output",
        "while True: print('x' * 1000)",
        printed="[x\n]{100000}",
    ),
    killed("output", "endless complaints", "while True: sys.stderr.write('x' * 1000)"),
    killed("timeout", "endless loop", "while True: pass", limits=SHORT),
    killed(
        "timeout", "endless loop in CPU time", "while True: pass", limits=LITTLE_CPU, reason="CPU"
    ),
    killed(
        "timeout",
        "endless loops in many processes",
        "for _ in range(7): os.fork()\nwhile True: pass",
        limits=Limits(seconds=20, cpu_seconds=1, memory=300 * MIB, processes=200),
        reason="CPU",
    ),
    killed(
        "timeout",
        "endless sleep",
        "print('early', flush=True); time.sleep(1000)",
        limits=SHORT,
        printed="early\n",
    ),
    killed("timeout", "stopped", "os.kill(os.getpid(), signal.SIGSTOP)", limits=SHORT),
    killed(
        "timeout",
        "deaf to signals",
        "for n in range(1, 65):\n"
        "    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "while True: time.sleep(1)",
        limits=SHORT,
    ),
    Case(
        "writing outside",
        "for path in (OUTSIDE, '/x', '/usr/x', '/etc/passwd', '/dev/x', '/proc/sys/kernel/x',\n"
        "             sys.prefix + '/x', sys.base_prefix + '/x'):\n"
        "    attempt(lambda: open(path, 'w'))",
        printed="(ENOENT|EROFS|EACCES|EPERM)\n(EROFS\n|EACCES\n|EPERM\n|ENOENT\n){7}",
    ),
    Case(
        "what is mounted for writing",
        "mounts = [line.split() for line in open('/proc/mounts')]\n"
        "found = {m[1] for m in mounts if 'rw' in m[3].split(',')}\n"
        "devices = {p for p in found if p.startswith('/dev/') and p != '/dev/shm'}\n"
        "print(found - devices == {'/proc', '/dev/shm', '/tmp', os.getcwd()} or found)",
        printed="True\n",
    ),
    Case("reading outside", "attempt(lambda: open(OUTSIDE).read())", printed="ENOENT\n"),
    Case(
        "reading the shadow file",
        "attempt(lambda: open('/etc/shadow').read())\n"
        "attempt(lambda: os.listdir('/run'))\n"
        "attempt(lambda: os.listdir('/sys'))",
        printed="ENOENT\n" * 3,
    ),
    Case(
        "sockets to this machine and to the world",
        "for address in (('127.0.0.1', PORT), ('1.1.1.1', 80)):\n"
        "    attempt(lambda: socket.create_connection(address, timeout=3))\n"
        "attempt(lambda: socket.socket(socket.AF_UNIX).connect('\\0' + MARK))",
        printed="ECONNREFUSED\nENETUNREACH\nECONNREFUSED\n",
    ),
    Case(
        "killing others",
        "attempt(lambda: os.kill(PARENT, 9))\n"
        "try: os.kill(1, 9)\n"
        "except PermissionError: pass\n"
        "try: os.kill(-1, 9)\n"
        "except OSError: pass\n"
        "print('alone:', len([name for name in os.listdir('/proc') if name.isdigit()]) <= 3)",
        printed="ESRCH\nalone: True\n",
    ),
    Case(
        "secrets of the environment",
        "print(sorted(os.environ))\n"
        "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
        "    try: print(b'HUSH' in open(f'/proc/{pid}/environ', 'rb').read())\n"
        "    except OSError: pass",
        printed=r"\['HOME', ('LC_CTYPE', )?'LANG', ('LC_CTYPE', )?'PATH', 'PWD'\]\n(False\n)+",
    ),
    Case(
        "inherited files",
        "print([n for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')])",
        printed=r"\['0', '1', '2'\]\n",
    ),
    Case(
        "more rights",
        "attempt(lambda: os.setuid(0))\n"
        "attempt(lambda: system_call('unshare', 0x10000000))\n"
        "attempt(lambda: system_call('mount', b'none', b'/tmp', b'tmpfs', 0, 0))\n"
        "attempt(lambda: os.chroot('/tmp'))",
        printed="(EPERM|EINVAL)\nENOSYS\nEPERM\nEPERM\n",
    ),
    Case(
        "a daemon that holds the output",
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0: time.sleep(1000)\n"
        "    os._exit(0)\n"
        "os.wait(); print('left one')",
        printed="left one\n",
    ),
    Case("input that nobody reads", "print('no')", printed="no\n", stdin=b"x" * 30_000_000),
    Case(
        "input that is read",
        "print(len(sys.stdin.buffer.read()))",
        printed="30000000\n",
        stdin=b"x" * 30_000_000,
    ),
    killed(
        "timeout",
        "input that is waited for",
        "time.sleep(100)",
        limits=SHORT,
        stdin=b"x" * 30_000_000,
    ),
    Case(
        "closed outputs",
        "os.close(1); os.close(2); os.close(0); os._exit(7)",
        exit_code=7,
        printed="",
    ),
    killed(
        "timeout",
        "closed outputs and no end",
        "os.close(1); os.close(2)\nwhile True: time.sleep(1)",
        limits=SHORT,
    ),
    Case(
        "filling the private folders",
        "for folder in ('/tmp', '/dev/shm'):\n"
        "    total = 0\n"
        "    try:\n"
        "        for n in range(1000):\n"
        "            with open(f'{folder}/{n}', 'wb') as f: total += f.write(bytes(1 << 20))\n"
        "    except OSError as error: print(errno.errorcode[error.errno], total >> 20)",
        printed="ENOSPC (19|20)\nENOSPC (19|20)\n",
    ),
    Case(
        "one large file",
        "with open('/tmp/x', 'wb') as file: attempt(lambda: file.truncate(21 << 20))",
        printed="EFBIG\n",
    ),
    killed(
        "output",
        "filling the disk",
        "for n in range(400):\n"
        "    with open(f'{n}', 'wb') as file: file.write(bytes(1 << 20))\n"
        "time.sleep(60)",
    ),
    Case(
        "killed by itself",
        "os.kill(os.getpid(), 9)",
        status="signal",
        exit_code=137,
        reason="SIGKILL",
    ),
    Case("crash", "ctypes.string_at(0)", status="signal", exit_code=139, reason="SIGSEGV"),
    Case(
        "links out of the working folder",
        "os.symlink(OUTSIDE, 'link')\n"
        "os.symlink('/etc', 'folder')\n"
        "attempt(lambda: open('link', 'w'))\n"
        "attempt(lambda: os.link('/etc/hosts', 'hard'))",
        printed="(ENOENT|EACCES|EROFS)\n(EXDEV|EPERM)\n",
    ),
]

NORMAL = Case(
    "normal",
    "import os, sys; open('here', 'w').write('x'); print(sys.stdin.read()[::-1], os.listdir('.'))",
    printed=r"olleh \['here'\]\n",
    stdin=b"hello",
)


@dataclass
class Ground:
    """What the programs must not reach, and the mark by which their processes are found."""

    folder: Path
    outside: Path
    port: int
    python: str = sys.executable
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def command(self, case: Case, folder: Path) -> Command:
        """Return the command that runs ``case`` in an empty working folder."""
        known = (self.mark, str(self.outside), str(self.port), str(os.getpid()))
        argv = (self.python, "-c", PRELUDE + case.program, *known)
        return Command(argv, stdin=case.stdin, writable=(folder,), limits=case.limits)

    async def attack(self, sandbox: Sandbox, case: Case) -> str:
        """Run a case and then a normal program; return what is wrong, empty where nothing is."""
        for each in (case, NORMAL):
            folder = Path(tempfile.mkdtemp(dir=self.folder))
            result = await sandbox.run(self.command(each, folder))
            wrong = each.wrong(result) or self._harm()
            if wrong:
                return f"{each.name}: {wrong}"
        return ""

    def _harm(self) -> str:
        if self.outside.read_text() != "untouched":
            return "the file outside was changed"
        left = marked(self.mark)
        return f"processes {left} are left" if left else ""


def marked(mark: str) -> list[int]:
    """Return the processes of this machine that have ``mark`` among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if mark.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
    return found


@contextlib.contextmanager
def ground() -> Iterator[Ground]:
    """Prepare the ground: a folder, a file, two listening sockets, a secret."""
    with (
        tempfile.TemporaryDirectory(prefix="sandbox-test-") as folder,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        work, outside = Path(folder) / "work", Path(folder) / "elsewhere" / "outside"
        work.mkdir()
        outside.parent.mkdir()
        outside.write_text("untouched")
        outside.chmod(0o666)
        here = Ground(work, outside, server.getsockname()[1])
        unix.bind("\0" + here.mark)
        unix.listen()
        yield here


def main() -> None:
    """Print what is wrong with each case here, as JSON."""
    from harness.sandbox.bubblewrap import Bubblewrap

    with ground() as here:
        sandbox = Bubblewrap()
        found = {case.name: asyncio.run(here.attack(sandbox, case)) for case in CASES}
        print(json.dumps({"sandbox": sandbox.describe(), "wrong": found}))


if __name__ == "__main__":
    main()
