"""Runs a program on tests, one process per test: the part that runs inside the sandbox.

Reads a job from standard input and writes one report per test with the program's answer; the
expected answers never get here.  Standard library only, Python 3.9 or later.  The interpreter
starts and imports once; each test is a fork with descriptors 0, 1 and 2 of its own.
"""

from __future__ import annotations

import contextlib
import decimal
import gc
import json
import numbers
import os
import resource
import select
import signal
import site
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


def main() -> None:
    """Run the tests in order and stop at the first that shows a failure by itself."""
    job, inputs = _job(_read_all(0))
    channel = os.dup(1)
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    stack = _STACK if hard == resource.RLIM_INFINITY else min(_STACK, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (stack, hard))
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(_DIGITS)
    sys.path.append(job["packages"])
    site.setquit()  # exit and quit
    program = types.ModuleType("solution" if job["function"] else "__main__")
    exec(HEADER, program.__dict__)
    if not _works():
        return None
    _write_all(channel, b"ready\n")
    gc.freeze()  # what is there now is not gone through when a test ends
    sent = 0
    for given in inputs:
        test = _Test(given)
        if not test.start():  # this is the test's own process
            test.take_over(bool(job["function"]))
            return _play(job, program, given)
        report, answer = test.watch(job["seconds"], job["output"])
        _write_all(channel, json.dumps({**report, "size": len(answer)}).encode() + b"\n" + answer)
        sent += len(answer)
        if report["status"] != "ended" or report["code"] != 0 or sent > _OUTPUT:
            return None
    return None


def _works() -> bool:
    """Whether a test can be run here: what goes wrong later is the program's doing."""
    test = _Test(b"")
    if not test.start():
        os._exit(0)
    report, _ = test.watch(5.0, 1)
    return (report["status"], report["code"]) == ("ended", 0)


def _job(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Split the job: one line of JSON, then the inputs one after another."""
    head, _, rest = data.partition(b"\n")
    job = json.loads(head)
    inputs, start = [], 0
    for size in job["sizes"]:
        inputs.append(rest[start : start + size])
        start += size
    return job, inputs


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
        os.dup2(self.stdin, 0)
        os.dup2(self.complaints, 2)
        if function:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(self.answers, _RESULT)
        else:
            os.dup2(self.answers, 1)
        os.closerange(_RESULT + function, 256)

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
        self._kill(code is None)
        code = self._wait(0) if code is None else code
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

    def _kill(self, alive: bool) -> None:
        with contextlib.suppress(OSError):  # nobody is left in its session, or it has none yet
            os.killpg(self.pid, signal.SIGKILL)
        if alive:
            os.kill(self.pid, signal.SIGKILL)


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
    _write_all(_RESULT, json.dumps(_plain(result)).encode())


def _plain(value: Any) -> Any:
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
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {"dict": [[_plain(key), _plain(item)] for key, item in value.items()]}
    return {"other": type(value).__name__}


def _read_all(descriptor: int) -> bytes:
    chunks = []
    while chunk := os.read(descriptor, 1 << 20):
        chunks.append(chunk)
    return b"".join(chunks)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


if __name__ == "__main__":
    main()
