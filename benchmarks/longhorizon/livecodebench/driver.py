"""Runs a program on tests, one process per test: the part that runs inside the sandbox.

Reads a job from standard input and writes one report per test with the program's answer; the
expected answers never get here.  Standard library only, Python 3.9 or later.  The interpreter
starts and imports once; each test is a fork with descriptors 0, 1 and 2 of its own.

The program runs under the same user id and is not trusted.  In a sandbox the driver is process 1,
which no signal from inside reaches, and other processes cannot read its memory or descriptors.
A test's process has nothing to find in its copy of the driver's memory: the next input, and the
token that a report must have, are read when the test has ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import decimal
import gc
import json
import numbers
import os
import resource
import select
import signal
import site
import struct
import sys
import tempfile
import time
import types
from typing import Any

# What the official runner puts before every program (testing_util.py, import_string).
NAMES = tuple(
    "string re datetime collections heapq bisect copy math random statistics itertools functools "
    "operator io sys json".split()
)
HEADER = "\n".join(
    [
        *(f"from {name} import *" for name in (*NAMES, "builtins", "typing")),
        *(f"import {name}" for name in NAMES),
        "sys.setrecursionlimit(50000)",
    ]
)

# The official runner allows so many digits where a number is read or printed.
_DIGITS = 50000
# The C stack of the main thread: judges allow deep recursion, the usual 8 MiB do not.  More than
# this is not there once the interpreter runs (Linux leaves 128 MiB below the stack).
_STACK = 100 << 20
_REPORTED = 1000  # characters of standard error
_OUTPUT = 64 << 20  # bytes of answers of one job; the tests beyond are left for another job
_RESULT = 3  # the descriptor on which a function's result leaves
# linux/prctl.h, linux/seccomp.h
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Run the tests in order and stop at the first that shows a failure by itself."""
    # The tests' processes are kept away from this one: its files in /proc are root's.
    _prctl(_PR_SET_DUMPABLE, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # process 1 gets a signal if it has a handler
    jobs, channel = os.dup(0), os.dup(1)
    _empty_stdin()
    job = json.loads(_frame(jobs) or b"")
    _refuse(bytes.fromhex(job["filter"]))
    _set_limits()
    sys.path.append(job["packages"])
    site.setquit()  # exit and quit
    program = types.ModuleType("solution" if job["function"] else "__main__")
    exec(HEADER, program.__dict__)
    if not _works():
        return None
    _write_all(channel, b"ready\n")
    gc.freeze()  # what is there now is not gone through when a test ends
    sent, more = 0, True
    while more and (given := _frame(jobs)) is not None:
        test = _Test(given)
        if not test.start():  # this is the test's own process
            test.take_over(bool(job["function"]))
            return _play(job, program, given)
        report, answer = test.watch(job["seconds"], job["output"])
        sent += len(answer)
        more = (report["status"], report["code"]) == ("ended", 0) and sent <= _OUTPUT
        report["more"] = more = more and not _files_are_left()
        report["token"] = (_frame(jobs) or b"").decode()
        _write_all(channel, json.dumps({**report, "size": len(answer)}).encode() + b"\n" + answer)
    return None


def _set_limits() -> None:
    """Set the limits that a process of ours has by itself: its stack, and the digits of numbers."""
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    stack = _STACK if hard == resource.RLIM_INFINITY else min(_STACK, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (stack, hard))
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(_DIGITS)


def _refuse(program: bytes) -> None:
    """Refuse system calls by a BPF program, for all that this process starts; b"": do nothing."""
    if program:
        code = ctypes.create_string_buffer(program, len(program))
        header = struct.pack("HP", len(program) // 8, ctypes.addressof(code))  # struct sock_fprog
        pointer = ctypes.create_string_buffer(header, len(header))
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(pointer))


def _prctl(option: int, *values: int) -> None:
    if _LIBC.prctl(option, *(ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4])):
        raise OSError(ctypes.get_errno(), "prctl")


def _empty_stdin() -> None:
    """Make standard input empty, and `sys.stdin` one that can seek in the file put there later."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    text: Any = open(0, encoding="utf-8", newline="\n", closefd=False)  # noqa: SIM115
    text.buffer.raw.name = "<stdin>"
    sys.stdin = text
    setattr(sys, "__stdin__", text)  # noqa: B010  (it is not to be assigned to, for mypy)


def _frame(descriptor: int) -> bytes | None:
    """Read the next frame, its length and then its bytes; None at the end.

    Not a byte more is read: what is in memory is there in the test's process too.
    """
    size = _read(descriptor, 8)
    return _read(descriptor, *struct.unpack(">Q", size)) if size else None


def _files_are_left() -> bool:
    """Whether a test left a file behind: the next test must run in a sandbox of its own."""
    folders = [tempfile.gettempdir()]
    if os.getpid() == 1:  # nobody else's files are here
        folders += filter(os.path.isdir, ("/dev/shm", "/dev/mqueue"))
    try:
        return any(map(os.listdir, folders))
    except OSError:  # the program closed the folder
        return True


def _works() -> bool:
    """Whether a test can be run here: what goes wrong later is the program's doing."""
    test = _Test(b"")
    if not test.start():
        os._exit(0)
    report, _ = test.watch(5.0, 1)
    return (report["status"], report["code"]) == ("ended", 0)


class _Test:
    """One test: its process, and the descriptors between it and the driver."""

    def __init__(self, given: bytes) -> None:
        self.given = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (closed in start)
        self.stdin = self.given.fileno()
        _write_all(self.stdin, given)
        os.lseek(self.stdin, 0, os.SEEK_SET)
        self.answer, self.answers = os.pipe()
        self.errors, self.complaints = os.pipe()

    def start(self) -> int:
        """Fork; return the process id, 0 in the new process."""
        self.began = time.monotonic()
        self.pid = os.fork()
        if self.pid:
            self.given.close()
            os.close(self.answers)
            os.close(self.complaints)
        return self.pid

    def take_over(self, function: bool) -> None:
        """Make the test's descriptors this process's standard ones, and close all others."""
        os.setsid()
        os.dup2(self.complaints, 2)
        if function:  # its standard input stays empty
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(self.answers, _RESULT)
        else:
            os.dup2(self.stdin, 0)
            os.dup2(self.answers, 1)
        os.closerange(_RESULT + function, 256)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _prctl(_PR_SET_DUMPABLE, 1)  # or it could not open /dev/stdin

    def watch(self, seconds: float, limit: int) -> tuple[dict[str, Any], bytes]:
        """Read until the process has ended, the time is up or the answer is too long."""
        answer, errors = bytearray(), bytearray()
        kept = {self.answer: answer, self.errors: errors}
        status, code = "ended", None
        while True:
            left = self.began + seconds - time.monotonic()
            if left <= 0:
                status = "timeout"
                break
            pause = 0.02 if kept else 0.0005
            ready = select.select(list(kept), [], [], min(left, pause))[0]
            for descriptor in ready:
                chunk = os.read(descriptor, 1 << 16)
                kept[descriptor].extend(chunk)
                if not chunk:
                    del kept[descriptor]
            del errors[:-_REPORTED]
            if len(answer) > limit:
                status = "output"
                break
            if code is None:
                code = self._wait(os.WNOHANG)
            if code is not None and not ready:
                break
        taken = time.monotonic() - self.began
        if status == "ended" and taken > seconds:
            status = "timeout"
        code = self._kill(code)
        os.close(self.answer)
        os.close(self.errors)
        report = {
            "status": status,
            "code": code,
            "seconds": round(taken, 4),
            "stderr": errors.decode(errors="replace"),
        }
        return report, bytes(answer[:limit])

    def _wait(self, how: int) -> int | None:
        """Return the exit code, or minus the signal; None while it runs."""
        pid, status = os.waitpid(self.pid, how)
        return os.waitstatus_to_exitcode(status) if pid else None

    def _kill(self, code: int | None) -> int | None:
        """End all that the test started; return its exit code, ``code`` if it had ended."""
        with contextlib.suppress(OSError):  # nobody is left in its session, or it has none yet
            os.killpg(self.pid, signal.SIGKILL)
        if code is None:
            os.kill(self.pid, signal.SIGKILL)
            code = self._wait(0)
        if os.getpid() == 1:  # nobody else's processes are here
            with contextlib.suppress(OSError):
                os.kill(-1, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while os.wait():
                    pass
        return code


def _play(job: dict[str, Any], program: types.ModuleType, given: bytes) -> None:
    """Run the program in the test's own process; what it raises ends the interpreter."""
    sys.modules[program.__name__] = program
    sys.argv = ["solution.py"]
    code = compile(job["code"], "solution.py", "exec", dont_inherit=True)
    with contextlib.suppress(SystemExit):  # the official runner takes any as the program's end
        exec(code, program.__dict__)
        if job["function"]:
            _call(job["function"], program, given)


def _call(name: str, program: types.ModuleType, given: bytes) -> None:
    """Call the function, or the method of ``Solution``, and send what it returns."""
    holder = program.Solution() if hasattr(program, "Solution") else program
    function = getattr(holder, name)
    arguments = [json.loads(line) for line in given.decode().split("\n") if line.strip()]
    result = function(*arguments)
    # The official runner takes a tuple for a list, at the top level alone.
    result = list(result) if isinstance(result, tuple) else result
    _write_all(_RESULT, json.dumps(plain(result)).encode())


def plain(value: Any) -> Any:
    """Return a JSON value from which the harness makes an equal one; see `compare.value`."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, numbers.Integral):
        number = int(value)
        return number if abs(number) < 1 << 63 else {"int": hex(number)}
    if isinstance(value, (numbers.Real, decimal.Decimal)):
        real = float(value)
        return real if real == value else {"other": type(value).__name__}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {"dict": [[plain(key), plain(item)] for key, item in value.items()]}
    return {"other": type(value).__name__}


def _read(descriptor: int, size: int) -> bytes:
    """Read ``size`` bytes, fewer at the end."""
    chunks = []
    while size and (chunk := os.read(descriptor, min(size, 1 << 20))):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


if __name__ == "__main__":
    main()
