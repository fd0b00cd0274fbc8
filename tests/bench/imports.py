"""Two imported logs with half a million answers each: seconds and peak memory of commands.

Each command is a process of its own, as a user runs it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

ANSWERS = 500_000
_PROGRAM = "from harness.cli.main import main; main()"


def main() -> None:
    """Print what the imports of two large logs and their comparison take."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "runs"
        for model, share in (("a", 0.5), ("b", 0.502)):
            log = Path(folder) / f"{model}.jsonl"
            _write(log, model, share)
            _timed("import", str(log), "--out", str(out))
        _timed("compare", *map(str, sorted(out.iterdir())))


def _write(path: Path, model: str, share: float) -> None:
    rng = Random(model)
    with path.open("w") as stream:
        for n in range(ANSWERS):
            stream.write(
                f'{{"id": "q{n}", "response": "I think that it is {n % 7}.", "target": "{n % 7}", '
                f'"score": {int(rng.random() < share)}, "benchmark": "quiz", "model": "{model}"}}\n'
            )


def _timed(*arguments: str) -> None:
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *arguments], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"harness {arguments[0]} ended with exit code {child.returncode}")
    cpu, memory = used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20
    print(f"harness {arguments[0]:<8} {seconds:7.1f} s ({cpu:.1f} s of CPU), {memory:.2f} GB")
