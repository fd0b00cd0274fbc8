"""``harness run``: evaluate a model on a suite."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click

from benchmarks.cli.ids import read_ids
from benchmarks.cli.own import benchmark_files
from harness.backends.reasoning_tags import named_tags
from harness.cli import options
from harness.cli.groups import PanelCommand
from harness.cli.options import COUNT, option
from harness.cli.output import echo, print_result
from harness.cli.progress import AnyProgress, open_progress
from harness.cli.settings import model_settings, settings_in_force
from harness.errors import UsageError
from harness.files.names import is_own_name, is_title
from harness.files.text import counted
from harness.reasoning import extra_tags
from harness.runs.identity import identify
from harness.runs.plan import plan_run, preview

if TYPE_CHECKING:
    from harness.backends import BackendSpec
    from harness.backends.models.resolve import InForce
    from harness.protocols import Progress
    from harness.runs.identity import ModelIdentity
    from harness.runs.plan import RunPlan
    from harness.runs.summary import BenchmarkSummary


def _run_name(ctx: click.Context, _: click.Parameter, name: str | None) -> str | None:
    if name is not None and not is_own_name(name):
        raise click.UsageError(f"--run-name {name!r}: use letters, digits, dots, - and _", ctx)
    return name


def model_name_of(ctx: click.Context, _: click.Parameter, name: str | None) -> str | None:
    """Return the name that ``--model-name`` gives a model; click's error where it is no line."""
    if name is not None and not is_title(name):
        raise click.UsageError(f"--model-name {name!r}: use a line of up to 200 characters", ctx)
    return name and name.strip()


_DTYPES = ["auto", "float32", "bfloat16", "float16"]
PANELS = {
    "Model": "model model-name revision adapter model-settings config backend",
    "Items": "suite benchmarks ids limit repeats set benchmark-file images data-root",
    "Sampling": """temperature top-p top-k min-p presence-penalty repetition-penalty max-tokens seed
        generation-config""",
    "Prompt": """system-prompt prompt-suffix chat-template chat-template-kwargs min-pixels
        max-pixels""",
    "Server": """endpoint api-key-env key-over-http tokenizer extra-body concurrency same-model""",
    "vLLM and transformers": """dtype max-model-len tensor-parallel replicas reasoning-parser
        vllm-arg batch-size""",
    "Scoring": """no-native judge judge-model judge-key-env reasoning-tags sandbox-image unsafe
        max-errors""",
    "Output": "run-name out fresh dry-run report-to items json",
}


@click.command(
    cls=PanelCommand,
    panels=PANELS,
    epilog="Example: harness run --model path/to/ckpt --suite vqa12 --limit 50",
)
@option("--model", str, "Checkpoint folder, Hub id, or name served at --endpoint.", required=True)
@option(
    "--model-name",
    str,
    "Name of the model in runs, tables and reports  [default: its folder's; of a trained "
    "checkpoint its study, arm and seed]",
    metavar="NAME",
    callback=model_name_of,
)
@option(
    "--run-name",
    str,
    "Name of the run's folder in --out  [default: MODEL-SUITE-KEY]",
    metavar="NAME",
    callback=_run_name,
)
@options.suite
@options.ids
@option(
    "--backend",
    str,
    "Inference backend: auto, vllm, transformers, the name of an installed one, or a Python "
    "file, whose code runs  [default: auto]",
    metavar="NAME|FILE.py",
)
@option(
    "--endpoint",
    str,
    "Use this OpenAI-compatible server instead of loading a checkpoint.",
    metavar="URL",
)
@option(
    "--tokenizer",
    str,
    "endpoint: tokenizer to use if the server has no /tokenize.",
    metavar="FOLDER|HUB_ID",
)
@option(
    "--api-key-env",
    str,
    "endpoint: environment variable that holds its API key  [default: OPENAI_API_KEY, for "
    "api.openai.com only]",
    metavar="NAME",
)
@option(
    "--revision", str, "Model revision: resolved for a Hub id, recorded as given for an endpoint."
)
@option("--replicas", COUNT, "vLLM: data-parallel replicas  [default: 1]")
@option("--tensor-parallel", COUNT, "vLLM: GPUs per replica  [default: 1]")
@option("--dtype", _DTYPES, "vLLM, transformers: weight dtype  [default: auto]")
@option(
    "--max-model-len",
    COUNT,
    "vLLM, transformers: maximum context length in tokens  [default: the model's]",
)
@option(
    "--reasoning-parser",
    str,
    "vLLM: parser that splits the reasoning off the response, such as deepseek_r1.",
    metavar="NAME",
)
@option("--batch-size", COUNT, "transformers: maximum batch size.")
@option("--concurrency", COUNT, "Concurrent requests.", default=64)
@model_settings
@option("--repeats", COUNT, "Samples per item.", default=1)
@option("--seed", int, "Sampling seed.", default=0)
@option(
    "--images",
    ["white", "native"],
    "Image conversion: transparent images on white and wide grey scaled, or lmms-eval's own"
    "  [default: white]",
)
@options.settings
@benchmark_files
@options.sandbox
@options.judge
@options.reasoning_tags
@options.native
@options.max_errors
@options.data_root
@options.out
@option("--fresh", bool, "Start a new run folder; the old one is kept.")
@option(
    "--same-model", bool, "Continue even if the endpoint's URL or its /v1/models entry changed."
)
@option("--dry-run", bool, "Show what would be run, without sending any request.")
@option(
    "--report-to",
    ["wandb", "trackio"],
    "Log progress and scores to this tracker during the run  [default: none]",
)
@option("--items", bool, "With --json, include per-item rows.")
@options.as_json
def run(**values: Any) -> Path:
    """Evaluate a model on a suite.

    Responses are stored as they complete: rerun the command to resume an interrupted run.
    """
    given = SimpleNamespace(**values)
    refuse_idle_options(given)
    plan = _plan(given)
    folder = Path(given.tokenizer) if given.tokenizer else plan.identity.checkpoint
    named = named_tags(folder, plan.settings.model.template_text())
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
    """Fill a run if need be, print its scores, return its folder; UsageError at too many errors."""
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
    elif library := vars(given).get("report_to"):
        echo(f"nothing left to follow: harness export {library} {plan.path} logs the run", err=True)
    if given.as_json:
        print_result(tables.result_json(rows, plan.path, items=given.items))
    else:
        print_result(tables.result_table(rows, plan.path))
    check_errors(((row.benchmark, row.errors, row.answers) for row in rows), given.max_errors)
    return plan.path


def _plan(given: SimpleNamespace) -> RunPlan:
    from benchmarks import suites
    from harness.backends import BACKENDS, versions
    from harness.runs.todo import Settings

    suite = suites.suite(given.suite)
    members = chosen = suite.members
    if given.benchmarks is not None:
        chosen = suites.chosen(members, given.benchmarks.split(","))
    asked = _asked_options(given, members, suite.options)
    built = {
        name: suites.benchmark(name, given.data_root, options=asked.get(name, {}))
        for name in members
    }
    only = None if given.ids is None else read_ids(given.ids, [built[name] for name in chosen])
    to_run = [built[name] for name in chosen if only is None or name in only]
    ours = given.backend in (None, "auto", *BACKENDS)
    own = None if ours else versions(given.backend)["source"]
    identity = identify(given.model, given.endpoint, given.revision, own, given.adapter)
    if given.model_name is not None:
        identity = replace(identity, name=given.model_name)
    force = settings_in_force(click.get_current_context(), identity.checkpoint)
    refuse_unsupported(force, given)
    _refuse_adapter(identity, given)
    if given.dry_run:
        try_settings(force, identity.checkpoint, given)
    settings = Settings(
        limit=given.limit,
        only=only,
        repeats=given.repeats,
        seed=given.seed,
        model=force.settings,
        concurrency=given.concurrency,
        native=not given.no_native,
        judge=options.judge_of(given, to_run),
    )
    plan = plan_run(identity, suite.name, list(built.values()), to_run, settings, given.out)
    adapted = {"adapter": "--adapter" if given.adapter else "--model"} if identity.adapter else {}
    origins = {**force.origins, **adapted}
    # Of a model that is only a name, its fingerprint covers the code.
    code = own if identity.checkpoint else None
    plan = replace(
        plan, context=given.max_model_len, code=code, run_name=given.run_name, origins=origins
    )
    return replace(described(plan, given), fresh=given.fresh, same_model=given.same_model)


def _asked_options(
    given: SimpleNamespace, members: Sequence[str], of_suite: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """Return the options asked of every benchmark: --set, those of the suite, and --images."""
    from benchmarks import suites
    from benchmarks.options import split

    asked = split(given.settings, members, of_suite)
    if given.images is not None:
        with_images = [name for name in members if "image_conversion" in suites.options(name)]
        if not with_images:
            raise UsageError(f"--images has no effect on {given.suite}; remove it")
        for name in with_images:
            asked.setdefault(name, {}).setdefault("image_conversion", given.images)
    return asked


def described(plan: RunPlan, given: SimpleNamespace) -> RunPlan:
    """Return a plan with what is known of its local data."""
    from benchmarks import suites

    members = [benchmark.declaration.id for benchmark in plan.members]
    return replace(
        plan,
        notes=suites.notes(members, given.data_root),
        revisions=suites.revisions(members, given.data_root),
    )


def refuse_idle_options(given: SimpleNamespace) -> None:
    """Raise for options that would have no effect, and for an invalid endpoint."""
    from harness import backends
    from harness.backends.http.urls import base_url, key_for

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
    for name in (*backends.OPTIONS, "adapter"):
        if getattr(given, name) is not None:
            backends.refuse_unknown(name, kind, reason)


def refuse_unsupported(force: InForce, given: SimpleNamespace) -> None:
    """Raise for a setting in force that the backend cannot heed, or no backend."""
    from harness import backends

    kind, reason = backends.choose(_spec(given, None))
    for name, origin in force.origins.items():
        backends.refuse_unknown(name, kind, reason if origin == "command line" else origin)


def try_settings(force: InForce, checkpoint: Path | None, given: SimpleNamespace) -> None:
    """Raise for a setting that the checkpoint's processor or chat template does not take."""
    from harness.backends import checkpoint as checkpoints

    ours = given.backend in (None, "auto", "transformers", "vllm")
    if checkpoint is not None and given.endpoint is None and ours:
        checkpoints.try_settings(checkpoint, force.settings)


def _refuse_adapter(identity: ModelIdentity, given: SimpleNamespace) -> None:
    """Raise if the model is an adapter and the backend has no adapters."""
    from harness import backends

    kind, reason = backends.choose(_spec(given, None))
    if identity.adapter is not None and "adapter" not in backends.backend(kind).settings:
        raise UsageError(
            f"{given.model} is an adapter, which the {kind} backend puts on no model ({reason}); "
            "merge it into its checkpoint"
        )


def _spec(given: SimpleNamespace, plan: RunPlan | None) -> BackendSpec:
    from harness.backends import OPTIONS, BackendSpec
    from harness.backends.spec import AS_IT_IS, Setup

    values = {name: getattr(given, name) for name in OPTIONS}
    return BackendSpec(
        kind=given.backend or "auto",
        checkpoint=plan.identity.checkpoint if plan else None,
        endpoint=given.endpoint,
        key_over_http=given.key_over_http,
        model=given.model if given.endpoint or not plan else plan.identity.name,
        log_path=plan.path / "vllm.log" if plan else None,
        setup=Setup(plan.settings.model, plan.identity.adapter) if plan else AS_IT_IS,
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
    if given.repeats > 1 and not plan.settings.model.temperature:
        progress.note("repeats are identical under greedy decoding; set --temperature")
    backend = {
        "kind": kind,
        "reason": reason,
        "options": {name: getattr(given, name) for name in backends.backend(kind).options},
        "concurrency": given.concurrency,
        "endpoint": given.endpoint,
        "versions": dict(backends.versions(kind)),
    }

    def fill(told: Progress) -> list[BenchmarkSummary]:
        return execute(plan, lambda: backends.open_model(spec, progress.note), backend, told)

    if given.report_to is None:
        return fill(progress)
    from harness.runs.trackers import followed

    return followed(given.report_to, plan, backend, progress, fill)


def _show_plan(plan: RunPlan, given: SimpleNamespace) -> None:
    from harness import backends
    from harness.backends.models.resolve import suitable

    kind, reason = backends.choose(_spec(given, plan))
    document = preview(plan, f"{kind} ({reason})")
    if plan.identity.checkpoint is not None and not given.recommended:
        document["recommended"] = suitable(plan.identity.checkpoint)
    print_result(json.dumps(document) if given.as_json else document_text(document))


def _left_out(row: dict[str, Any]) -> str:
    """Return what --limit and --ids leave out of a benchmark, "" where nothing."""
    left = row["n_data"] - row["wanted"]
    return f"; {row['wanted']} of {row['n_data']} items, {left} left out" if left else ""


def document_text(document: dict[str, Any]) -> str:
    """Return the preview of a run as text, for terminals."""
    lines = [f"model {document['model']} by {document['backend']}", f"run {document['run']}"]
    for name, setting in document["settings"].items():
        value = setting["value"]
        shown = value if isinstance(value, str) else json.dumps(value)
        lines.append(f"  {name:<22} {shown}  ({setting['from']})")
    if document.get("recommended"):
        names = " or ".join(document["recommended"])
        lines.append(f"the model authors' settings: --model-settings {names}")
    for row in document["benchmarks"]:
        judge = f", judged by {row['judge']}" if row["judge"] else ""
        lines.append(
            f"  {row['benchmark']:<22} {row['to_ask']:>6} pending, {row['stored']:>6} done, "
            f"max {counted(row['max_tokens'], 'token')}{judge}{_left_out(row)}"
        )
    for example in document["examples"]:
        lines.append(f"--- {example['benchmark']}/{example['id']}")
        lines.extend(example["prompt"])
    return "\n".join(lines)
