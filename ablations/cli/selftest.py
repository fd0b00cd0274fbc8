"""``harness selftest``: one command for the first hour on a new machine."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options
from harness.cli.options import option
from harness.cli.output import echo, print_result
from harness.cli.tables import aligned
from harness.errors import UsageError

if TYPE_CHECKING:
    from ablations.selftest.trials import Finding

SCHEMA = 1
LONGEST = {True: 5.0, False: 15.0}  # minutes of a trial, with --gpu and without


@click.command()
@option("--gpu", bool, "Use the GPUs, and try what needs them.")
@option("--part parts", ["serve", "generate", "train", "study"], "Try only this part; repeatable.",
        multiple=True)  # fmt: skip
@option("--minutes", options.Finite(min=0), "Start no new trial after this time.", default=20.0)
@option("--trial-minutes", options.Finite(min=0),
        "Time limit of a trial; a longer one counts as failed  [default: 5 with --gpu, else "
        "15]")  # fmt: skip
@options.as_json
def selftest(
    gpu: bool, parts: tuple[str, ...], minutes: float, trial_minutes: float | None, as_json: bool
) -> int:
    """Try serving, generation, training and a study on this machine, and measure them.

    Needs no data, model or network: models are the embedded one and random ones.  A trial that
    cannot run here is skipped with the reason; one that fails stops no other.  Exit code 1 if any
    failed, 2 if all were skipped.  Attach the document that --json prints to a report of a problem.
    """
    from ablations.selftest.machine import describe, doctor
    from ablations.selftest.trials import TRIALS, findings
    from harness.runs.manifest import now

    begun, date = time.monotonic(), now()
    machine = describe()
    gpus = len(machine["gpus"]) if gpu else None
    if gpus == 0:
        why = machine.get("torch", "torch sees none")
        raise UsageError(f"--gpu: no GPU can be used here ({why}); leave it out to try the rest")
    chosen = [trial for trial in TRIALS if not parts or trial.part in parts]
    folder = Path(tempfile.mkdtemp(prefix="selftest-"))
    longest = LONGEST[gpu] if trial_minutes is None else trial_minutes
    checks, found = doctor(), []
    say = partial(echo, err=True)
    for finding in findings(chosen, gpus, folder, (60 * longest, 60 * minutes), say):
        say(f"{finding.part} {finding.trial}: {finding.status}, {finding.seconds:.0f} s")
        found.append(finding)
    failed = sum(finding.status == "failed" for finding in found)
    if not failed:
        shutil.rmtree(folder, ignore_errors=True)
    document = {
        "selftest": SCHEMA,
        "date": date,
        "gpu": gpu,
        "machine": machine,
        "checks": checks,
        "results": list(map(asdict, found)),
        "failed": failed,
        "seconds": time.monotonic() - begun,
        "logs": str(folder) if failed else None,
    }
    print_result(json.dumps(document) if as_json else text(document, found))
    if all(finding.status == "skipped" for finding in found):
        raise UsageError(
            f"nothing was tried, every trial was skipped; the first: {found[0].reason}"
        )
    return int(failed > 0)


def text(document: dict[str, Any], found: Sequence[Finding]) -> str:
    """Return the result as text: the machine, what doctor misses, a line a trial."""
    machine = document["machine"]
    gpus = ", ".join(f"{gpu['name']} ({gpu['memory_gb']} GB)" for gpu in machine["gpus"])
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    lines = [
        f"{document['date']}, {machine['platform']}, Python {machine['python']}",
        f"{machine['cpus']} CPU cores, {machine['memory_gb']} GB; GPUs: {gpus or 'none'}; "
        f"driver {machine['driver'] or 'none'}",
        packages,
    ]
    checks = (check for check in document["checks"] if check["status"] != "ok")
    lines += [f"doctor: {check['status']} {check['name']}: {check['text']}" for check in checks]
    rows = [
        (f"{each.part} {each.trial}", each.status, f"{each.seconds:.0f} s", each.text())
        for each in found
    ]
    lines += aligned(rows, left=(0, 1, 3))
    if document["failed"]:
        lines.append(f"{document['failed']} failed; logs: {document['logs']}")
    return "\n".join(lines)
