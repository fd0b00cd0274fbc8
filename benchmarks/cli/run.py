"""``harness run``: evaluate a checkpoint on a suite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from harness.cli import options
from harness.cli.progress import open_progress
from harness.runs.identity import identify
from harness.runs.plan import plan_run

if TYPE_CHECKING:
    from harness.backends import BackendSpec, Kind
    from harness.runs.plan import RunPlan
    from harness.runs.summary import BenchmarkSummary


class _Limit(click.ParamType[int | str]):
    """A number of tokens, or the word ``native``."""

    name = "N|native"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if value != "native" and not (str(value).isdecimal() and int(value) > 0):
            self.fail(f"{value!r} is neither a positive number nor 'native'", param, ctx)
        return "native" if value == "native" else int(value)


@click.command()
@click.option("--model", required=True, help="Checkpoint folder, hub id, or served name.")
@options.suite
@click.option(
    "--backend",
    type=click.Choice(["auto", "vllm", "transformers"]),
    help="Who runs the checkpoint  [default: auto]",
)
@click.option("--endpoint", metavar="URL", help="Ask this OpenAI-compatible server instead.")
@click.option(
    "--tokenizer",
    metavar="FOLDER|HUB_ID",
    help="endpoint: its model's tokenizer, where the server has no /tokenize.",
)
@click.option("--revision", help="The model's revision: of a hub id, or stated of an endpoint.")
@click.option("--replicas", type=click.IntRange(min=1), help="vllm: data-parallel replicas.")
@click.option("--tensor-parallel", type=click.IntRange(min=1), help="vllm: GPUs a replica.")
@click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    help="vllm, transformers: number format of the weights  [default: auto]",
)
@click.option(
    "--max-model-len",
    type=click.IntRange(min=1),
    help="vllm, transformers: longest context in tokens.",
)
@click.option("--batch-size", type=click.IntRange(min=1), help="transformers: prompts a batch.")
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Requests in flight.",
)
@click.option("--max-tokens", type=_Limit(), help="Token limit, or 'native' for each task's own.")
@click.option("--temperature", type=options.Finite(min=0), default=0.0, show_default=True)
@click.option("--repeats", type=click.IntRange(min=1), default=1, help="Answers an item.")
@click.option("--seed", type=int, default=0, show_default=True)
@options.settings
@options.sandbox
@options.judge
@options.data_root
@options.out
@click.option("--dry-run", is_flag=True, help="Say what would be asked of whom; ask nothing.")
@click.option("--items", is_flag=True, help="With --json: one row an item as well.")
@options.as_json
def run(**words: Any) -> Path:
    """Evaluate a checkpoint on a suite.

    What is stored is never asked again: the same command continues an interrupted run, and shows
    a finished one at once.
    """
    return _Command(**words).go()


@dataclass(frozen=True)
class _Command:
    """The options of one call."""

    model: str
    suite: str
    benchmarks: str | None
    limit: int | None
    backend: str | None
    endpoint: str | None
    tokenizer: str | None
    revision: str | None
    replicas: int | None
    tensor_parallel: int | None
    dtype: str | None
    max_model_len: int | None
    batch_size: int | None
    concurrency: int
    max_tokens: int | str | None
    temperature: float
    repeats: int
    seed: int
    settings: Sequence[str]
    sandbox_image: str | None
    unsafe: bool
    judge_url: str | None
    judge_model: str | None
    data_root: Path | None
    out: Path
    dry_run: bool
    items: bool
    as_json: bool

    def go(self) -> Path:
        """Plan, then show what is there, what would be, or what came out; return the run folder."""
        from harness.runs.run import finished

        self._refuse_idle_options()
        plan = self._plan()
        if self.dry_run:
            self._show_plan(plan)
            return plan.path
        rows = finished(plan)
        if rows is None:
            tools = options.tools_of(self.sandbox_image, self.unsafe, plan.chosen)
            settings = replace(plan.settings, tools=tools)
            rows = self._execute(replace(plan, settings=settings))
        self._show(plan, rows)
        return plan.path

    def _plan(self) -> RunPlan:
        from benchmarks import suites
        from benchmarks.options import split
        from harness.runs.engine import Settings

        members = suites.resolve([self.suite])
        chosen = members
        if self.benchmarks is not None:
            chosen = suites.chosen(members, self.benchmarks.split(","))
        given = split(self.settings, members)
        built = {
            name: suites.benchmark(name, self.data_root, options=given.get(name, {}))
            for name in members
        }
        settings = Settings(
            limit=self.limit,
            repeats=self.repeats,
            seed=self.seed,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            concurrency=self.concurrency,
            judge=options.judge_of(
                self.judge_url, self.judge_model, [built[name] for name in chosen]
            ),
        )
        identity = identify(self.model, self.endpoint, self.revision)
        return plan_run(
            identity,
            self.suite,
            list(built.values()),
            [built[name] for name in chosen],
            settings,
            self.out,
            suites.notes(members, self.data_root),
        )

    def _refuse_idle_options(self) -> None:
        """Raise for options that this call would not heed, and for an address that is none."""
        from harness import backends
        from harness.backends.urls import base_url
        from harness.errors import UsageError

        if self.endpoint is not None:
            base_url(self.endpoint)  # before a manifest holds it: it may hold a password
        if self.endpoint and self.backend:
            raise UsageError("--endpoint URL and --backend exclude each other: give one of them")
        if self.items and not self.as_json:
            raise UsageError("--items goes with --json")
        kind, reason = backends.choose(self._spec(None))
        for name in backends.OPTIONS:
            if getattr(self, name) is not None and name not in backends.BACKENDS[kind].options:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option} is not for the backend {kind} ({reason}): leave it out")

    def _spec(self, plan: RunPlan | None) -> BackendSpec:
        from harness.backends import OPTIONS, BackendSpec

        given = {name: getattr(self, name) for name in OPTIONS}
        return BackendSpec(
            kind=cast("Kind", self.backend or "auto"),
            checkpoint=plan.identity.checkpoint if plan else None,
            endpoint=self.endpoint,
            model=self.model if self.endpoint or not plan else plan.identity.name,
            log_path=plan.path / "vllm.log" if plan else None,
            **{name: value for name, value in given.items() if value is not None},
        )

    def _execute(self, plan: RunPlan) -> list[BenchmarkSummary]:
        from harness import backends
        from harness.runs.run import execute

        options.check_judge(plan.settings.judge)
        spec = self._spec(plan)
        kind, reason = backends.choose(spec)
        progress = open_progress()
        progress.note(f"backend {kind}: {reason}")
        progress.note(f"run {plan.path}")
        if self.repeats > 1 and self.temperature == 0:
            progress.note("greedy repeats answer alike: give --temperature to draw different ones")
        backend = {"kind": kind, "reason": reason, **self._backend_options(kind)}
        try:
            return execute(
                plan, lambda: backends.open_model(spec, progress.note), backend, progress
            )
        except KeyboardInterrupt:
            progress.note(
                "interrupted; every answer so far is stored: the same command continues the run"
            )
            raise
        finally:
            progress.close()

    def _backend_options(self, kind: Kind) -> dict[str, Any]:
        """Return what the manifest keeps of the backend."""
        from harness import backends

        return {
            "options": {name: getattr(self, name) for name in backends.BACKENDS[kind].options},
            "concurrency": self.concurrency,
            "endpoint": self.endpoint,
            "versions": dict(backends.versions(kind)),
        }

    def _show(self, plan: RunPlan, rows: Sequence[BenchmarkSummary]) -> None:
        from harness.cli import tables

        if self.as_json:
            click.echo(tables.result_json(rows, plan.path, items=self.items))
        else:
            click.echo(tables.result_table(rows, plan.path))

    def _show_plan(self, plan: RunPlan) -> None:
        from harness import backends
        from harness.runs.preview import preview

        kind, reason = backends.choose(self._spec(plan))
        document = preview(plan, f"{kind} ({reason})")
        click.echo(json.dumps(document) if self.as_json else document_text(document))


def document_text(document: dict[str, Any]) -> str:
    """Return the preview of a run as text."""
    lines = [f"model {document['model']} by {document['backend']}", f"run {document['run']}"]
    for row in document["benchmarks"]:
        judge = f", judged by {row['judge']}" if row["judge"] else ""
        lines.append(
            f"  {row['benchmark']:<22} {row['to_ask']:>6} to ask, {row['stored']:>6} stored, "
            f"at most {row['max_tokens']} tokens each{judge}"
        )
    for example in document["examples"]:
        lines.append(f"--- {example['benchmark']}/{example['id']}")
        lines.extend(example["prompt"])
    return "\n".join(lines)
