"""``harness score``: score existing responses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from benchmarks.cli.own import benchmark_files
from benchmarks.cli.run import described, evaluate
from benchmarks.imports.formats.predictions import answers
from harness.cli import options
from harness.errors import UsageError
from harness.files.hashing import json_hash
from harness.reasoning import extra_tags
from harness.runs.identity import ModelIdentity
from harness.runs.plan import RunPlan, plan_run


@click.command()
@click.argument("benchmark")
@click.argument("responses", type=click.Path(path_type=Path, dir_okay=False))
@options.settings
@benchmark_files
@options.sandbox
@options.data_root
@options.out
@options.judge
@options.reasoning_tags
@options.native
@options.max_errors
@options.as_json
def score(**values: Any) -> None:
    """Score the responses in a JSONL file of {"id": ..., "response": ...} on BENCHMARK."""
    from harness.runs.run import execute

    given = SimpleNamespace(**values, items=True)
    with extra_tags(given.reasoning_tags):
        evaluate(
            _plan(given),
            given,
            lambda plan, progress: execute(plan, None, {"kind": "responses"}, progress),
        )


def _plan(given: SimpleNamespace) -> RunPlan:
    from benchmarks import suites
    from benchmarks.options import split
    from harness.runs.todo import Settings

    suite = suites.suite(given.benchmark)
    name, *more = suite.members
    if more:
        raise UsageError(f"{given.benchmark} is a suite; give one benchmark, for example {name}")
    texts = read_responses(given.responses)
    asked = split(given.settings, [name], suite.options).get(name, {})
    benchmark = suites.benchmark(name, given.data_root, images=False, options=asked)
    judge = options.judge_of(given, [benchmark])
    settings = Settings(judge=judge, native=not given.no_native, responses=texts)
    identity = ModelIdentity(given.responses.stem, json_hash(texts), verified=True)
    plan = plan_run(identity, suite.name, [benchmark], [benchmark], settings, given.out)
    return described(plan, given)


def read_responses(path: Path) -> dict[str, str]:
    """Return texts by id from lines ``{"id": ..., "response": ...}``; UsageError for others."""
    responses: dict[str, str] = {}
    for item_id, text, _, where in answers(path):
        if item_id in responses:
            raise UsageError(f"{where}: duplicate response for item {item_id}")
        responses[item_id] = text
    if not responses:
        raise UsageError(f"{path} holds no responses")
    return responses
