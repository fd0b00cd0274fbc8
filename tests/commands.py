"""The command line in tests: called in this process, or started as a process of its own.

`harness` answers nearly every question at a fraction of the time: libraries are imported once.
`process` is for what only a process shows: its exit, its environment, signals, encodings, imports.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TextIO

from harness.cli.main import run_command

ROOT = Path(__file__).parents[1]
PROGRAM = "from harness.cli.main import main; main()"


@dataclass(frozen=True)
class Finished:
    """How a command ended, and what it and its children wrote."""

    returncode: int
    stdout: str
    stderr: str


def _stream(descriptor: int) -> TextIO:
    return open(descriptor, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)


# They outlive a command: libraries keep the stream that they found when they were imported.
_OUT, _ERR = _stream(1), _stream(2)


@contextmanager
def _into(stream: TextIO, file: IO[bytes]) -> Iterator[None]:
    """Lead a stream's descriptor into a file, so that children write there as well."""
    before = os.dup(stream.fileno())
    try:
        os.dup2(file.fileno(), stream.fileno())
        yield
    finally:
        stream.flush()
        os.dup2(before, stream.fileno())
        os.close(before)


def harness(*arguments: object) -> Finished:
    """Call a command in this process."""
    streams = sys.stdout, sys.stderr
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with _into(_OUT, out), _into(_ERR, err):
            sys.stdout, sys.stderr = _OUT, _ERR
            try:
                code = run_command(list(map(str, arguments)))
            finally:
                sys.stdout, sys.stderr = streams
        out.seek(0)
        err.seek(0)
        return Finished(code, out.read().decode(), err.read().decode())


def process(*arguments: object, **environment: str) -> Finished:
    """Run a command as a process of its own, with these additional environment variables."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def modules_of(*arguments: object) -> set[str]:
    """Return the top-level modules that a command imports."""
    program = (
        "import sys\nfrom harness.cli.main import main\n"
        "try:\n    main()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}


def one_line(done: Finished, *pieces: str, after_progress: bool = False) -> str:
    """Return the line in which a command refuses its input; it holds all pieces.

    The line is all that the command writes, but for lines of progress with ``after_progress``.
    """
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1 or after_progress, done.stderr
    assert [line for line in lines if line.startswith("harness: ")] == lines[-1:]
    for piece in pieces:
        assert piece in lines[-1], lines[-1]
    return lines[-1]
