"""``harness doctor``: what works on this machine and what to do about the rest."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from harness.cli import options


@click.command()
@click.option("--suite", help="Check the data of this suite or benchmark too.")
@click.option("--model", type=click.Path(path_type=Path), help="Check this checkpoint folder too.")
@options.data_root
@options.as_json
def doctor(suite: str | None, model: Path | None, data_root: Path | None, as_json: bool) -> int:
    """Check this machine; exit code 2 where something that was asked for will not work."""
    from benchmarks import suites
    from harness import backends
    from harness.install import doctor as checks
    from harness.protocols import Check

    found = list(checks.machine())
    kind, reason = backends.choose(backends.BackendSpec())
    found.append(Check("backend", "ok", f"{kind}: {reason}"))
    asked = [suites.benchmark(name, data_root) for name in suites.resolve([suite])] if suite else []
    needed = any(benchmark.declaration.needs_sandbox for benchmark in asked)
    found.append(checks.sandbox(needed=needed))
    found += [*checks.data(asked), *checks.demands(asked)]
    if model:
        found += checks.checkpoint(model)
    if as_json:
        click.echo(json.dumps({"checks": [dataclasses.asdict(check) for check in found]}))
    else:
        for check in found:
            click.echo(f"{check.status:<8} {check.name}: {check.text}")
    return 2 if any(check.status == "missing" for check in found) else 0
