"""``harness score``: score existing responses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from benchmarks.cli.run import described, evaluate
from harness.cli import options
from harness.errors import UsageError
from harness.files.hashing import json_hash
from harness.files.plain import read_given
from harness.files.typed_json import parse
from harness.reasoning import extra_tags
from harness.runs.identity import ModelIdentity
from harness.runs.plan import RunPlan, plan_run


@click.command()
@click.argument("benchmark")
@click.argument("responses", type=click.Path(path_type=Path, dir_okay=False))
@options.settings
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

    name, *more = suites.resolve(given.benchmark)
    if more:
        raise UsageError(f"{given.benchmark} is a suite; give one benchmark, for example {name}")
    texts = read_responses(given.responses)
    asked = split(given.settings, [name]).get(name, {})
    benchmark = suites.benchmark(name, given.data_root, images=False, options=asked)
    settings = Settings(
        judge=options.judge_of(given, [benchmark]),
        native=not given.no_native,
        responses=texts,
    )
    identity = ModelIdentity(given.responses.stem, json_hash(texts), verified=True)
    plan = plan_run(identity, name, [benchmark], [benchmark], settings, given.out)
    return described(plan, given)


def read_responses(path: Path) -> dict[str, str]:
    """Return response texts by item id from JSON lines ``{"id": ..., "response": ...}``.

    Raises:
        UsageError: the file is missing, empty, or a line is not such an object or repeats an id.
    """
    try:
        lines = read_given(path).decode().split("\n")  # not at U+2028 within a text
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    responses: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            _add(responses, line, f"{path}, line {number}")
    if not responses:
        raise UsageError(f"{path} holds no responses")
    return responses


def _add(responses: dict[str, str], line: str, where: str) -> None:
    form = f'{where} is not {{"id": ..., "response": ...}}'
    try:
        row = parse(line)
    except ValueError as error:
        raise UsageError(f"{form}: not JSON ({error})") from error
    if not isinstance(row, dict):
        raise UsageError(f"{form}: not an object")
    for name in ("id", "response"):
        if name not in row:
            raise UsageError(f"{form}: it has no {name!r}")
    item_id, text = str(row["id"]), row["response"]
    if not isinstance(text, str):
        raise UsageError(f"{where}: the response is not text")
    if item_id in responses:
        raise UsageError(f"{where}: duplicate response for item {item_id}")
    responses[item_id] = text
