"""``harness run``: evaluate a model on a suite."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click

from harness.backends.reasoning_tags import named_tags
from harness.cli import options
from harness.cli.output import print_result
from harness.cli.progress import AnyProgress, open_progress
from harness.reasoning import extra_tags
from harness.runs.identity import identify
from harness.runs.plan import plan_run

if TYPE_CHECKING:
    from harness.backends import BackendSpec
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
    "--api-key-env",
    metavar="NAME",
    help="endpoint: environment variable that holds its API key  [default: OPENAI_API_KEY, for "
    "api.openai.com only]",
)
@click.option(
    "--revision", help="Model revision: resolved for a Hub id, recorded as given for an endpoint."
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
@click.option(
    "--reasoning-parser",
    metavar="NAME",
    help="vLLM: its parser of this model's reasoning (such as deepseek_r1), kept apart from the "
    "response.",
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
@click.option(
    "--images",
    type=click.Choice(["white", "native"]),
    help="Transparent images on white and 16-bit grey scaled, or converted as lmms-eval does"
    "  [default: white]",
)
@options.settings
@options.sandbox
@options.judge
@options.reasoning_tags
@options.native
@options.max_errors
@options.data_root
@options.out
@click.option("--fresh", is_flag=True, help="Start a new run folder; the old one is kept.")
@click.option(
    "--same-model",
    is_flag=True,
    help="Continue although the endpoint's URL or its /v1/models entry changed.",
)
@click.option(
    "--dry-run", is_flag=True, help="Show what would be run, without sending any request."
)
@click.option("--items", is_flag=True, help="With --json, include per-item rows.")
@options.as_json
def run(**values: Any) -> Path:
    """Evaluate a model on a suite.

    Responses are stored as they complete: rerun the command to resume an interrupted run.
    """
    given = SimpleNamespace(**values)
    _refuse_idle_options(given)
    plan = _plan(given)
    folder = Path(given.tokenizer) if given.tokenizer else plan.identity.checkpoint
    named = named_tags(folder)
    plan = replace(plan, named_tags=named.pairs if folder else None)
    with extra_tags(given.reasoning_tags or named.tags):
        if given.dry_run:
            _show_plan(plan, given)
            return plan.path
        notes = () if given.reasoning_tags else named.notes
        return evaluate(plan, given, partial(_execute, given, notes))


def evaluate(
    plan: RunPlan,
    given: SimpleNamespace,
    execute: Callable[[RunPlan, AnyProgress], list[BenchmarkSummary]],
) -> Path:
    """Fill a run where it is not finished, print its scores, and return its folder.

    Raises:
        UsageError: the run cannot be filled, or more answers are errors than ``--max-errors``.
    """
    from harness.cli import tables
    from harness.runs.run import finished
    from harness.runs.summary import check_errors

    rows = finished(plan)
    if rows is None:
        options.check_judge(plan.settings.judge)
        tools = options.tools_of(given.sandbox_image, given.unsafe, plan.chosen)
        plan = replace(plan, settings=replace(plan.settings, tools=tools))
        progress = open_progress()
        try:
            rows = execute(plan, progress)
        except KeyboardInterrupt:
            progress.note(
                "interrupted; all responses so far are stored: rerun the command to resume"
            )
            raise
        finally:
            progress.close()
    if given.as_json:
        print_result(tables.result_json(rows, plan.path, items=given.items))
    else:
        print_result(tables.result_table(rows, plan.path))
    check_errors(((row.benchmark, row.errors, row.answers) for row in rows), given.max_errors)
    return plan.path


def _plan(given: SimpleNamespace) -> RunPlan:
    from benchmarks import suites
    from benchmarks.options import split
    from harness.errors import UsageError
    from harness.runs.todo import Settings

    members = chosen = suites.resolve([given.suite])
    if given.benchmarks is not None:
        chosen = suites.chosen(members, given.benchmarks.split(","))
    asked = split(given.settings, members)
    if given.images is not None:
        with_images = [name for name in members if "image_conversion" in suites.options(name)]
        if not with_images:
            raise UsageError(f"--images has no effect on {given.suite}; remove it")
        for name in with_images:
            asked.setdefault(name, {}).setdefault("image_conversion", given.images)
    built = {
        name: suites.benchmark(name, given.data_root, options=asked.get(name, {}))
        for name in members
    }
    to_run = [built[name] for name in chosen]
    settings = Settings(
        limit=given.limit,
        repeats=given.repeats,
        seed=given.seed,
        temperature=given.temperature,
        max_tokens=given.max_tokens,
        concurrency=given.concurrency,
        native=not given.no_native,
        judge=options.judge_of(given, to_run),
    )
    identity = identify(given.model, given.endpoint, given.revision)
    plan = plan_run(identity, given.suite, list(built.values()), to_run, settings, given.out)
    plan = replace(plan, context=given.max_model_len)
    return replace(described(plan, given), fresh=given.fresh, same_model=given.same_model)


def described(plan: RunPlan, given: SimpleNamespace) -> RunPlan:
    """Return a plan with what is known of its local data."""
    from benchmarks import suites

    members = [benchmark.declaration.id for benchmark in plan.members]
    return replace(
        plan,
        notes=suites.notes(members, given.data_root),
        revisions=suites.revisions(members, given.data_root),
    )


def _refuse_idle_options(given: SimpleNamespace) -> None:
    """Raise for options that would have no effect, and for an invalid endpoint."""
    from harness import backends
    from harness.backends.urls import base_url, key_for
    from harness.errors import UsageError

    if given.endpoint is not None:
        # Before it is stored in a manifest: it may contain a password.
        key_for(base_url(given.endpoint), given.api_key_env, over_http=given.key_over_http)
    elif given.same_model:
        raise UsageError("--same-model requires --endpoint")
    if given.endpoint and given.backend:
        raise UsageError("--endpoint URL and --backend are mutually exclusive")
    if given.items and not given.as_json:
        raise UsageError("--items requires --json")
    kind, reason = backends.choose(_spec(given, None))
    for name in backends.OPTIONS:
        if getattr(given, name) is not None and name not in backends.BACKENDS[kind].options:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} has no effect with the {kind} backend ({reason}); remove it"
            )


def _spec(given: SimpleNamespace, plan: RunPlan | None) -> BackendSpec:
    from harness.backends import OPTIONS, BackendSpec

    values = {name: getattr(given, name) for name in OPTIONS}
    return BackendSpec(
        kind=given.backend or "auto",
        checkpoint=plan.identity.checkpoint if plan else None,
        endpoint=given.endpoint,
        key_over_http=given.key_over_http,
        model=given.model if given.endpoint or not plan else plan.identity.name,
        log_path=plan.path / "vllm.log" if plan else None,
        **{name: value for name, value in values.items() if value is not None},
    )


def _execute(
    given: SimpleNamespace, notes: Sequence[str], plan: RunPlan, progress: AnyProgress
) -> list[BenchmarkSummary]:
    from harness import backends
    from harness.runs.run import execute

    spec = _spec(given, plan)
    kind, reason = backends.choose(spec)
    progress.note(f"backend {kind}: {reason}")
    progress.note(f"run {plan.path}")
    for note in notes:
        progress.note(note)
    if given.repeats > 1 and given.temperature == 0:
        progress.note("repeats are identical under greedy decoding; set --temperature")
    backend = {
        "kind": kind,
        "reason": reason,
        "options": {name: getattr(given, name) for name in backends.BACKENDS[kind].options},
        "concurrency": given.concurrency,
        "endpoint": given.endpoint,
        "versions": dict(backends.versions(kind)),
    }
    return execute(plan, lambda: backends.open_model(spec, progress.note), backend, progress)


def _show_plan(plan: RunPlan, given: SimpleNamespace) -> None:
    from harness import backends
    from harness.runs.preview import preview

    kind, reason = backends.choose(_spec(given, plan))
    document = preview(plan, f"{kind} ({reason})")
    print_result(json.dumps(document) if given.as_json else document_text(document))


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
