"""``harness run``: evaluate a model on a suite."""

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
    """A number of tokens, or ``native``."""

    name = "N|native"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if value != "native" and not (str(value).isdecimal() and int(value) > 0):
            self.fail(f"{value!r} is neither a positive integer nor 'native'", param, ctx)
        return "native" if value == "native" else int(value)


@click.command()
@click.option(
    "--model", required=True, help="Checkpoint folder, Hub id, or name served at --endpoint."
)
@options.suite
@click.option(
    "--backend",
    type=click.Choice(["auto", "vllm", "transformers"]),
    help="Inference backend  [default: auto]",
)
@click.option(
    "--endpoint",
    metavar="URL",
    help="Use this OpenAI-compatible server instead of loading a checkpoint.",
)
@click.option(
    "--tokenizer",
    metavar="FOLDER|HUB_ID",
    help="endpoint: tokenizer to use if the server has no /tokenize.",
)
@click.option(
    "--revision",
    help="Model revision: resolved for a Hub id, recorded as given for an endpoint.",
)
@click.option("--replicas", type=click.IntRange(min=1), help="vLLM: data-parallel replicas.")
@click.option("--tensor-parallel", type=click.IntRange(min=1), help="vLLM: GPUs per replica.")
@click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    help="vLLM, transformers: weight dtype  [default: auto]",
)
@click.option(
    "--max-model-len",
    type=click.IntRange(min=1),
    help="vLLM, transformers: maximum context length in tokens.",
)
@click.option("--batch-size", type=click.IntRange(min=1), help="transformers: maximum batch size.")
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Concurrent requests.",
)
@click.option(
    "--max-tokens", type=_Limit(), help="Token limit per response, or 'native' for each task's own."
)
@click.option(
    "--temperature",
    type=options.Finite(min=0),
    default=0.0,
    show_default=True,
    help="Sampling temperature; 0 is greedy.",
)
@click.option("--repeats", type=click.IntRange(min=1), default=1, help="Samples per item.")
@click.option("--seed", type=int, default=0, show_default=True, help="Sampling seed.")
@options.settings
@options.sandbox
@options.judge
@options.native
@options.data_root
@options.out
@click.option(
    "--dry-run", is_flag=True, help="Show what would be run, without sending any request."
)
@click.option("--items", is_flag=True, help="With --json, include per-item rows.")
@options.as_json
def run(**values: Any) -> Path:
    """Evaluate a model on a suite.

    Responses are stored as they complete: rerun the command to resume an interrupted run.
    """
    return _Command(**values).go()


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
    no_native: bool
    data_root: Path | None
    out: Path
    dry_run: bool
    items: bool
    as_json: bool

    def go(self) -> Path:
        """Plan the run, then preview, execute or show it; return the run folder."""
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
            native=not self.no_native,
            judge=options.judge_of(
                self.judge_url, self.judge_model, [built[name] for name in chosen]
            ),
        )
        identity = identify(self.model, self.endpoint, self.revision)
        plan = plan_run(
            identity,
            self.suite,
            list(built.values()),
            [built[name] for name in chosen],
            settings,
            self.out,
        )
        return replace(plan, notes=suites.notes(members, self.data_root))

    def _refuse_idle_options(self) -> None:
        """Raise for options that would have no effect, and for an invalid endpoint."""
        from harness import backends
        from harness.backends.urls import base_url
        from harness.errors import UsageError

        if self.endpoint is not None:
            base_url(self.endpoint)  # before it is stored in a manifest: it may contain a password
        if self.endpoint and self.backend:
            raise UsageError("--endpoint URL and --backend are mutually exclusive")
        if self.items and not self.as_json:
            raise UsageError("--items requires --json")
        kind, reason = backends.choose(self._spec(None))
        for name in backends.OPTIONS:
            if getattr(self, name) is not None and name not in backends.BACKENDS[kind].options:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(
                    f"{option} has no effect with the {kind} backend ({reason}); remove it"
                )

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
            progress.note("repeats are identical under greedy decoding; set --temperature")
        backend = {
            "kind": kind,
            "reason": reason,
            **self._backend_options(kind),
            "changes": spec.changes,  # the backend fills it until the manifest is last written
        }
        try:
            return execute(
                plan, lambda: backends.open_model(spec, progress.note), backend, progress
            )
        except KeyboardInterrupt:
            progress.note(
                "interrupted; all responses so far are stored: rerun the command to resume"
            )
            raise
        finally:
            progress.close()

    def _backend_options(self, kind: Kind) -> dict[str, Any]:
        """Return the backend's entry in the manifest."""
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
    """Return the preview of a run as text, for terminals."""
    lines = [f"model {document['model']} by {document['backend']}", f"run {document['run']}"]
    for row in document["benchmarks"]:
        judge = f", judged by {row['judge']}" if row["judge"] else ""
        lines.append(
            f"  {row['benchmark']:<22} {row['to_ask']:>6} pending, {row['stored']:>6} done, "
            f"max {row['max_tokens']} tokens{judge}"
        )
    for example in document["examples"]:
        lines.append(f"--- {example['benchmark']}/{example['id']}")
        lines.extend(example["prompt"])
    return "\n".join(lines)
