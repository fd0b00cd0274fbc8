"""``harness doctor``: what works on this machine, and how to fix the rest."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from benchmarks.cli.own import benchmark_files
from harness.cli import options
from harness.cli.output import echo, print_result


@click.command()
@click.option("--suite", help="Also check what this suite, benchmark or file needs.")
@click.option("--model", type=click.Path(path_type=Path), help="Also check this checkpoint folder.")
@options.data_root
@benchmark_files
@options.as_json
def doctor(suite: str | None, model: Path | None, data_root: Path | None, as_json: bool) -> int:
    """Check packages, backends and the sandbox; exit code 2 if something required is missing.

    Without --suite and --model only what reads, compares and reports is required.
    """
    from benchmarks import suites
    from harness import backends
    from harness.install import doctor as checks
    from harness.protocols import Check

    results = list(checks.machine(("run",) if suite or model else ()))
    kind, reason = backends.choose(backends.BackendSpec())
    results.append(Check("backend", "ok", f"{kind}: {reason}"))
    asked = []
    if suite and not any(each.status == "missing" for each in results):
        asked = [suites.benchmark(name, data_root) for name in suites.resolve([suite])]
    needed = any(benchmark.declaration.needs_sandbox for benchmark in asked)
    results.append(checks.sandbox(needed=needed))
    results.append(checks.native_sandbox())
    results += [*checks.data(asked), *checks.demands(asked)]
    if model:
        results += checks.checkpoint(model)
    if as_json:
        print_result(json.dumps({"checks": [dataclasses.asdict(check) for check in results]}))
    else:
        for check in results:
            echo(f"{check.status:<8} {check.name}: {check.text}")
    return 2 if any(check.status == "missing" for check in results) else 0
