"""``harness score``: score existing responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options
from harness.cli.progress import open_progress
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
def score(**given: Any) -> None:
    """Score the responses in a JSONL file of {"id": ..., "response": ...} on BENCHMARK."""
    from harness.cli import tables
    from harness.runs import run as runs

    command = _Command(**given)
    plan = command.plan()
    rows = runs.finished(plan)
    if rows is None:
        rows = command.execute(plan)
    if command.as_json:
        click.echo(tables.result_json(rows, plan.path, items=True))
    else:
        click.echo(tables.result_table(rows, plan.path))


@dataclass(frozen=True)
class _Command:
    """The options of the command."""

    benchmark: str
    responses: Path
    settings: Sequence[str]
    sandbox_image: str | None
    unsafe: bool
    data_root: Path | None
    out: Path
    judge_url: str | None
    judge_model: str | None
    no_native: bool
    as_json: bool

    def plan(self) -> RunPlan:
        """Return the plan of a run whose responses are those of the file."""
        from benchmarks import suites
        from benchmarks.options import split
        from harness.errors import UsageError
        from harness.files.hashing import json_hash
        from harness.runs.engine import Settings
        from harness.runs.replay import Replay, read_responses

        name, *more = suites.resolve(self.benchmark)
        if more:
            raise UsageError(f"{self.benchmark} is a suite; give one benchmark, for example {name}")
        texts = read_responses(self.responses)
        asked = split(self.settings, [name]).get(name, {})
        replay = Replay(suites.benchmark(name, self.data_root, images=False, options=asked), texts)
        identity = ModelIdentity(self.responses.stem, json_hash(texts), verified=True)
        judge = options.judge_of(self.judge_url, self.judge_model, [replay])
        how = Settings(judge=judge, native=not self.no_native)
        plan = plan_run(identity, name, [replay], [replay], how, self.out)
        return replace(plan, notes=suites.notes([name], self.data_root))

    def execute(self, plan: RunPlan) -> list[BenchmarkSummary]:
        """Score what has no score yet."""
        from harness.runs import run as runs
        from harness.runs.replay import NoModel

        options.check_judge(plan.settings.judge)
        tools = options.tools_of(self.sandbox_image, self.unsafe, plan.chosen)
        progress = open_progress()
        try:
            plan = replace(plan, settings=replace(plan.settings, tools=tools))
            return runs.execute(plan, NoModel, {"kind": "responses"}, progress)
        finally:
            progress.close()
