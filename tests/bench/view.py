"""Ten thousand items of two runs: what ``harness view`` takes to write, and Chromium to use.

Responses have a thought of 400 words; the runs are written first, which is not measured.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.files.typed_json import parse, record
from harness.records import Response, Sample, Score
from harness.runs.store import encode
from tests.reports.viewed import write

ITEMS = 10_000
WORDS = "the object left of it is red and not blue so option seems right wait again".split()


def main() -> None:
    """Print what the page of many items takes to write, and to use."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(folder)
        size = sum(_enlarge(folder / "runs" / name) for name in ("one", "two"))
        program = "from harness.cli.main import main; main()"
        words = ["view", "runs/one", "runs/two", "--no-images", "--out", "view.html"]
        began = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-c", program, *words], cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"harness view ended with exit code {child.returncode}")
        page = folder / "view.html"
        print(f"{ITEMS} items of two runs, {size / 1e6:.0f} MB of samples:")
        print(f"  harness view    {seconds:6.2f} s ({used.ru_utime + used.ru_stime:.2f} s of CPU)")
        print(f"  peak memory     {used.ru_maxrss / 1024:6.0f} MiB")
        print(f"  view.html       {page.stat().st_size / 1e6:6.2f} MB")
        _browse(page)


def _enlarge(run: Path) -> int:
    """Replace a run's samples by many; return their bytes."""
    rng, path = np.random.default_rng(len(str(run.name))), run / "samples" / "own.jsonl"
    first = record(Sample, parse(path.read_text().splitlines()[10]))
    with path.open("w") as stream:
        for number in range(ITEMS):
            thought = " ".join(rng.choice(WORDS, 400)) + (" needle" if number == ITEMS - 3 else "")
            sample = replace(
                first, id=f"i{number}", response=Response(f"<think>{thought}</think>\n(A)"),
                score=Score(float(rng.random() < 0.5), "scored", "A", "why"),
            )  # fmt: skip
            stream.write(encode(sample))
    return path.stat().st_size


def _browse(page: Path) -> None:
    """Print how long Chromium takes to load the page, to show an item, to filter and to search."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("  no Chromium here")
        return
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab, began = browser.new_page(), time.perf_counter()
        count, lines = tab.locator("#count"), []

        def step(name: str) -> None:
            nonlocal began
            lines.append(f"  {name:<15} {time.perf_counter() - began:6.2f} s")
            began = time.perf_counter()

        tab.goto(page.as_uri())
        expect(count).to_have_text(f"{ITEMS:,} of {ITEMS:,} items", timeout=60_000)
        step("loaded")
        tab.locator("#list button").nth(9).click()
        expect(tab.locator("#item h2")).to_have_text("own/i9")
        step("an item")
        tab.locator("select").first.select_option("right")
        expect(count).not_to_have_text(f"{ITEMS:,} of {ITEMS:,} items")
        step("a filter")
        tab.locator("select").first.select_option("")
        tab.locator("#words").fill("needle")
        expect(count).to_have_text(f"1 of {ITEMS:,} items", timeout=60_000)
        step("a search")
        browser.close()
    print("\n".join(lines))
