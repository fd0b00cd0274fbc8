"""A run of sums against a server, as a program that a test can kill: URL, OUT, N as arguments."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.backends.http.endpoint import EndpointModel
from harness.runs import run as runs
from harness.runs.identity import ModelIdentity
from harness.runs.plan import RunPlan, plan_run
from harness.runs.todo import Settings
from tests.sums import Quiet, Sums


def plan_of(out: Path, n: int) -> RunPlan:
    """Return the plan that every start of the program has."""
    identity = ModelIdentity("adder", "fingerprint", verified=True)
    benchmarks = [Sums(n), Sums(n, id="more-sums")]
    settings = Settings(concurrency=8)
    return plan_run(identity, "arithmetic", benchmarks, benchmarks, settings, out)


if __name__ == "__main__":
    url, folder, count = sys.argv[1:]
    plan = plan_of(Path(folder), int(count))
    if runs.finished(plan) is None:
        runs.execute(plan, lambda: EndpointModel(url), {"kind": "endpoint"}, Quiet())
