"""``harness score``: score existing responses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click

from benchmarks.cli.run import evaluate
from harness.cli import options
from harness.cli.progress import AnyProgress
from harness.runs.identity import ModelIdentity
from harness.runs.plan import RunPlan, plan_run

if TYPE_CHECKING:
    from harness.runs.summary import BenchmarkSummary


@click.command()
@click.argument("benchmark")
@click.argument("responses", type=click.Path(path_type=Path, dir_okay=False))
@options.settings
@options.sandbox
@options.data_root
@options.out
@options.judge
@options.native
@options.as_json
def score(**values: Any) -> None:
    """Score the responses in a JSONL file of {"id": ..., "response": ...} on BENCHMARK."""
    given = SimpleNamespace(**values, items=True)
    evaluate(_plan(given), given, _execute)


def _plan(given: SimpleNamespace) -> RunPlan:
    from benchmarks import suites
    from benchmarks.options import split
    from harness.errors import UsageError
    from harness.files.hashing import json_hash
    from harness.runs.responses import read_responses
    from harness.runs.todo import Settings

    name, *more = suites.resolve(given.benchmark)
    if more:
        raise UsageError(f"{given.benchmark} is a suite; give one benchmark, for example {name}")
    texts = read_responses(given.responses)
    asked = split(given.settings, [name]).get(name, {})
    benchmark = suites.benchmark(name, given.data_root, images=False, options=asked)
    settings = Settings(
        judge=options.judge_of(given.judge_url, given.judge_model, [benchmark]),
        native=not given.no_native,
        responses=texts,
    )
    identity = ModelIdentity(given.responses.stem, json_hash(texts), verified=True)
    plan = plan_run(identity, name, [benchmark], [benchmark], settings, given.out)
    notes = suites.notes([name], given.data_root)
    return replace(plan, notes=notes, revisions=suites.revisions([name], given.data_root))


def _execute(
    plan: RunPlan, given: SimpleNamespace, progress: AnyProgress
) -> list[BenchmarkSummary]:
    from harness.runs.run import execute

    return execute(plan, None, {"kind": "responses"}, progress)
