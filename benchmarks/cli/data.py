"""``harness data``: download data sets, import official releases, verify local copies."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.cli.own import benchmark_files
from harness.cli import options
from harness.cli.options import FOLDER, option
from harness.cli.output import echo, print_result
from harness.errors import UsageError
from harness.files.text import counted

if TYPE_CHECKING:
    from benchmarks.data.fetch.pull import Pulled


@click.group()
def data() -> None:
    """Download, import and verify benchmark data."""


@data.command()
@click.argument("name", metavar="SUITE|BENCHMARK|FILE")
@options.data_root
@benchmark_files
@option("--revision", str, "Commit, branch or tag to use instead of the pinned commit.")
@option("--from local", FOLDER, "Use local copies instead of the Hub.", metavar="DIR")
@option("--force", bool, "Replace existing data.")
def pull(
    name: str, data_root: Path | None, revision: str | None, local: Path | None, force: bool
) -> int:
    """Download the data of a suite or benchmark at pinned commits.

    --from DIR may hold Hub repositories as DIR/OWNER/NAME, be a copy of a single repository, or be
    the Hub client's cache.
    """
    from huggingface_hub.utils import disable_progress_bars

    from benchmarks import suites
    from benchmarks.data import data_root as root_of
    from benchmarks.data.catalog.sources import GENERATED, has_source
    from benchmarks.data.fetch.pull import pull as pull_one

    names = suites.resolve(name)
    if revision and len(names) > 1:
        raise UsageError(
            "--revision applies to a single benchmark: a suite has one commit per benchmark"
        )
    if not sys.stderr.isatty():
        disable_progress_bars()
    root, failed = root_of(data_root), 0
    for number, benchmark in enumerate(names, start=1):
        if benchmark in GENERATED:
            echo(f"{benchmark}: items are generated from a seed, no data needed")
            continue
        if not has_source(benchmark):
            echo(f"{benchmark}: a benchmark of your own, which brings its data itself")
            continue
        echo(f"[{number}/{len(names)}] {benchmark} ...", err=True)
        alone = len(names) == 1
        try:
            done = pull_one(
                benchmark, root, revision=revision, local=local, alone=alone, force=force
            )
        except UsageError as error:
            if alone:
                raise
            failed += 1
            echo(f"harness: {benchmark}: {error}", err=True)
            continue
        failed += not _genuine(benchmark, done)
    return 2 if failed else 0


def _genuine(benchmark: str, pulled: Pulled) -> bool:
    """Say what was pulled, and return whether it can be what its commit says."""
    from benchmarks.data.local.receipt import PRETENDS, TEXTS, pretends

    state = "downloaded" if pulled.new else "already present:"
    where = f"{pulled.receipt}, in {pulled.folder}; {TEXTS[pulled.content]}"
    echo(f"{benchmark}: {state} {counted(pulled.rows, 'item')}, {where}")
    if pretended := pretends(benchmark, pulled.folder, pulled.receipt.revision):
        echo(f"harness: {benchmark}: {PRETENDS}", err=True)
    return not pretended


@data.command("import")
@click.argument("benchmark")
@click.argument("folder", type=FOLDER)
@options.data_root
@option("--split", str, "Import only this split  [default: all splits with complete images]")
@option("--force", bool, "Replace existing data.")
def import_(
    benchmark: str, folder: Path, data_root: Path | None, split: str | None, force: bool
) -> None:
    """Import an official release.

    Supported are those of MathVision, MathVista and MathVerse, and the raw files of
    LiveCodeBench v6 and LongBench v2.  docs/data.md lists the files.
    """
    from benchmarks.data import data_root as root_of
    from benchmarks.data.fetch.import_release import bring

    done = bring(benchmark, folder, root_of(data_root), split=split, force=force)
    for reason in done.skipped:
        echo(reason, err=True)
    for name, rows in done.splits.items():
        echo(f"{benchmark}: imported split {name}, {counted(rows, 'item')}, to {done.folder}")


@data.command()
@click.argument("name", metavar="SUITE|BENCHMARK|FILE")
@options.data_root
@options.settings
@benchmark_files
@option("--images", bool, "Decode every image instead of a sample.")
@options.as_json
def verify(
    name: str, data_root: Path | None, settings: tuple[str, ...], images: bool, as_json: bool
) -> int:
    """Check row counts, columns, images and hashes.  Exit code 2 on any problem."""
    from benchmarks import suites
    from benchmarks.data import data_root as root_of
    from benchmarks.data.local.receipt import TEXTS
    from benchmarks.options import split

    root, suite = root_of(data_root), suites.suite(name)
    asked = split(settings, suite.members, suite.options)
    reports = []
    for benchmark in suite.members:
        given = asked.get(benchmark, {})
        report = suites.verify(benchmark, root, all_images=images, options=given)
        reports.append(report)
        for problem in report.problems:
            echo(f"harness: {problem}", err=True)
        if not as_json and not report.folder:
            echo(f"{benchmark}: {report.notes[0]}")
        if as_json or report.fingerprint is None:
            continue
        counts = ", ".join(
            f"{t.rows}/{t.official}" if t.official else str(t.rows) for t in report.tables[:3]
        )
        more = " ..." if len(report.tables) > 3 else ""
        compared = report.content != "not compared" or report.revision or report.notes
        texts = [TEXTS[report.content]] if compared else []
        notes = "".join(f"; {note}" for note in (*texts, *report.notes))
        echo(f"{benchmark}: {counts}{more} rows, fingerprint {report.fingerprint}{notes}")
    wrong = any(report.problems for report in reports)
    if as_json:
        rows = [dataclasses.asdict(report) for report in reports]
        print_result(json.dumps({"ok": not wrong, "benchmarks": rows}))
    return 2 if wrong else 0
