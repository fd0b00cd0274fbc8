"""A study with a million item rows: seconds, peak memory and size of ``harness report``.

Five arms with five seeds on twelve benchmarks, 3,400 items each; the study is written and analysed
first, which is not measured.  The report is a process of its own, as a user runs it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.reports.studies import EFFECTS, SELECTION, Planted, write

ARMS = ("grpo", "da-rl", "da-sft", "contextrl-shuffled", "contextrl")
SEEDS, ITEMS = 5, 3400


def main() -> None:
    """Print what the report of a large study takes."""
    planted = Planted(
        {arm: EFFECTS[arm] for arm in ARMS}, seeds=SEEDS, items=ITEMS, selection=SELECTION
    )
    rows = len(ARMS) * SEEDS * ITEMS * len(planted.benchmarks)
    with tempfile.TemporaryDirectory() as folder:
        study = write(Path(folder) / "large", planted)
        program = "from harness.cli.main import main; main()"
        began = time.perf_counter()
        child = subprocess.Popen([sys.executable, "-c", program, "report", str(study)])
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"harness report ended with exit code {child.returncode}")
        size = (study / "report.html").stat().st_size
    print(f"{rows} item rows:")
    print(f"  harness report  {seconds:6.2f} s ({used.ru_utime + used.ru_stime:.2f} s of CPU)")
    print(f"  peak memory     {used.ru_maxrss / 1024:6.0f} MiB")
    print(f"  report.html     {size / 1e6:6.2f} MB")
