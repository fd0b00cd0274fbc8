"""``harness score``: score existing responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from harness.cli import options
from harness.cli.progress import open_progress
from harness.runs.identity import ModelIdentity
from harness.runs.plan import plan_run


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
def score(
    benchmark: str,
    responses: Path,
    settings: Sequence[str],
    sandbox_image: str | None,
    unsafe: bool,
    data_root: Path | None,
    out: Path,
    judge_url: str | None,
    judge_model: str | None,
    no_native: bool,
    as_json: bool,
) -> None:
    """Score the responses in a JSONL file of {"id": ..., "response": ...} on BENCHMARK."""
    from benchmarks import suites
    from benchmarks.options import split
    from harness.cli import tables
    from harness.errors import UsageError
    from harness.files.hashing import json_hash
    from harness.runs import run as runs
    from harness.runs.engine import Settings
    from harness.runs.replay import NoModel, Replay, read_responses

    name, *more = suites.resolve(benchmark)
    if more:
        raise UsageError(f"{benchmark} is a suite; give one benchmark, for example {name}")
    texts = read_responses(responses)
    given = split(settings, [name]).get(name, {})
    replay = Replay(suites.benchmark(name, data_root, images=False, options=given), texts)
    identity = ModelIdentity(responses.stem, json_hash(texts), verified=True)
    judge = options.judge_of(judge_url, judge_model, [replay])
    how = Settings(judge=judge, native=not no_native)
    notes = suites.notes([name], data_root)
    plan = plan_run(identity, name, [replay], [replay], how, out, notes)
    rows = runs.finished(plan)
    if rows is None:
        options.check_judge(how.judge)
        tools = options.tools_of(sandbox_image, unsafe, [replay])
        plan = replace(plan, settings=replace(how, tools=tools))
        progress = open_progress()
        try:
            rows = runs.execute(plan, NoModel, {"kind": "responses"}, progress)
        finally:
            progress.close()
    if as_json:
        click.echo(tables.result_json(rows, plan.path, items=True))
    else:
        click.echo(tables.result_table(rows, plan.path))
