"""``harness pairs trajectories`` and ``harness pairs filter``."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from ablations.cli.pairs_built import shown
from harness.cli import options
from harness.cli.options import COUNT, FOLDER, option
from harness.cli.output import echo, print_result
from harness.errors import UsageError

PATH: click.Path = click.Path(path_type=Path)
SHARE = click.FloatRange(0, 1)
out = option("--out", FOLDER, "Folder of the build; rerun to resume.", required=True)
seed = option("--seed", int, "Seed of all draws.", default=0)


@click.command()
@click.argument("sources", nargs=-1, required=True, type=PATH, metavar="SOURCE...")
@out
@option(
    "--tasks",
    PATH,
    "File or folder with the tasks (instance_id, problem_statement, patch, ...); repeatable.",
    multiple=True,
)
@option(
    "--task-patch",
    ["auto", "fix", "fault"],
    "Whether patches of SWE-smith tasks mend the fault or introduce it; auto compares with what "
    "agents submitted.",
    default="auto",
)
@option(
    "--same", ["function", "file"], "What both patches must change: function or class.",
    default="function",
)  # fmt: skip
@option(
    "--measure",
    str,
    "How alike issues are: bm25, or a sentence-transformers model (folder or hub id).",
    default="bm25",
    metavar="bm25|MODEL",
)
@option("--related", SHARE, "Least likeness of related issues  [default: bm25 0.08, model 0.5]")
@option(
    "--duplicate", SHARE, "Likeness from which issues are the same  [default: bm25 0.9, model 0.97]"
)
@option("--resolved", bool, "Use only trajectories that resolved their issue.")
@option("--both-directions", bool, "Ask about either issue: two pairs of each two instances.")
@option("--keep-issue", bool, "Leave the issue in the contexts; it tells which one is meant.")
@option("--limit", COUNT, "Mask and judge at most N pairs, drawn by the seed.")
@seed
@options.judge
@options.as_json
def trajectories(sources: tuple[Path, ...], tasks: tuple[Path, ...], **given: Any) -> int:
    """Build pairs from trajectories of coding agents.

    SOURCE is a file or folder: SWE-smith's data set (parquet or JSONL), mini-swe-agent's
    .traj.json files, or JSONL with messages.  docs/pairs.md describes each step.
    """
    from ablations.pairs.build import open_build
    from ablations.pairs.trajectories.cascade import build_pairs, plan_of

    values = SimpleNamespace(**given)
    judge = options.judge_given(values)
    settings = _settings(values)
    with open_build(values.out, plan_of(sources, tasks, settings, values.seed)) as build:
        if build.finished is None:
            options.check_judge(judge)
        manifest = build_pairs(
            build, sources, tasks, settings, judge, lambda text: echo(text, err=True)
        )
    return shown(manifest, values.out, as_json=values.as_json)


def _settings(values: SimpleNamespace) -> Any:
    from ablations.pairs.trajectories.instances import Settings
    from ablations.pairs.trajectories.relating import BM25, BOUNDS

    low, high = BOUNDS[BM25 if values.measure == BM25 else "embedding"]
    low = low if values.related is None else values.related
    high = high if values.duplicate is None else values.duplicate
    if low >= high:
        raise UsageError(f"--related {low} must be below --duplicate {high}")
    return Settings(
        same=values.same,
        measure=values.measure,
        related=low,
        duplicate=high,
        resolved=values.resolved,
        both_directions=values.both_directions,
        keep_issue=values.keep_issue,
        task_patch=values.task_patch,
        limit=values.limit,
        judge_model=values.judge_model,
    )


@click.command(name="filter")
@click.argument("source")
@out
@option("--model", str, "Checkpoint folder, Hub id, or name served at --endpoint.", required=True)
@option("--backend", ["auto", "vllm", "transformers"], "Inference backend  [default: auto]")
@option("--endpoint", str, "Ask this OpenAI-compatible server instead.", metavar="URL")
@option("--api-key-env", str, "endpoint: variable that holds its API key.", metavar="NAME")
@option("--revision", str, "Model revision, as for 'harness run'.")
@option("--dtype", ["auto", "float32", "bfloat16", "float16"], "Weight dtype  [default: auto]")
@option("--max-model-len", COUNT, "Maximum context length in tokens.")
@option("--by", ["letters", "logprobs"], "What counts as a selection.", default="letters")
@option("--tries", COUNT, "letters: answers per pair, half of them in either order.", default=8)
@option(
    "--keep", (SHARE, SHARE), "Lowest and highest share of right selections.",
    default=(0.25, 0.63), metavar="LOW HIGH",
)  # fmt: skip
@option("--temperature", options.Finite(min=0), "letters: sampling temperature.", default=1.0)
@option("--max-tokens", COUNT, "letters: token limit per answer.", default=2048)
@option("--limit", COUNT, "Look at the first N pairs only.")
@option("--concurrency", COUNT, "Concurrent requests.", default=64)
@seed
@options.columns
@options.as_json
def filter_(source: str, **given: Any) -> int:
    """Keep the pairs of SOURCE that the model to be trained finds neither easy nor hopeless.

    SOURCE is as for 'harness pairs check'.  The pairs then belong to this model.
    """
    from ablations.pairs.build import open_build
    from ablations.pairs.filter import filter_pairs, plan_of
    from harness.backends import open_model
    from harness.runs.identity import identify

    values = SimpleNamespace(**given)
    settings = _difficulty(values)
    pairs, content = _opened(source, values)
    identity = identify(values.model, values.endpoint, values.revision)
    plan = plan_of(content, identity.fingerprint, settings, values.seed)
    spec = _spec(values, identity)
    with open_build(values.out, plan) as build:
        manifest = filter_pairs(
            build,
            pairs,
            settings,
            lambda: open_model(spec, lambda text: echo(text, err=True)),
            values.concurrency,
        )
    return shown(manifest, values.out, as_json=values.as_json)


def _difficulty(values: SimpleNamespace) -> Any:
    from ablations.pairs.filter import Settings

    low, high = values.keep
    return Settings(values.by, values.tries, low, high, values.temperature, values.max_tokens)


def _opened(source: str, values: SimpleNamespace) -> tuple[Any, str]:
    """Return the pairs of a source, and what identifies them."""
    from ablations.data.sources import row_counts
    from benchmarks.pair_sources import content_of, open_pairs
    from harness.files.hashing import json_hash

    pairs = open_pairs(source, columns=options.columns_of(values.mapped))
    if written := row_counts(pairs).get("selection"):
        raise UsageError(
            f"{source}: {written} written prompts; only pairs with two contexts are filtered"
        )
    if values.limit is not None:
        pairs = pairs[: values.limit]
    return pairs, json_hash([content_of(source), len(pairs), values.mapped])


def _spec(values: SimpleNamespace, identity: Any) -> Any:
    from harness.backends import BackendSpec

    if values.endpoint and values.backend:
        raise UsageError("--endpoint URL and --backend are mutually exclusive")
    return BackendSpec(
        kind=values.backend or "auto",
        checkpoint=identity.checkpoint,
        endpoint=values.endpoint,
        model=values.model if values.endpoint else identity.name,
        dtype=values.dtype or "auto",
        max_model_len=values.max_model_len,
        api_key_env=values.api_key_env,
        log_path=values.out / "vllm.log",
    )


@click.command()
@click.argument("build", type=FOLDER)
@option(
    "--decisions",
    click.Path(path_type=Path, dir_okay=False),
    "File that the page saved: move the pairs that were accepted or rejected.",
)
@options.as_json
def review(build: Path, decisions: Path | None, as_json: bool) -> int:
    """Decide about the pairs of BUILD of which the judge was uncertain.

    Writes a page with a button to accept and one to reject each pair; --decisions then reads what
    the page saved.
    """
    from ablations.pairs.review import decide, uncertain
    from ablations.study.children import FailedError, child

    if decisions is not None:
        return shown(decide(build, decisions), build, as_json=as_json)
    number, page = len(uncertain(build)), build / "review.html"
    if number:
        try:
            child(("report", str(build), "--out", str(page)), build / "review.log")
        except FailedError as error:
            raise UsageError(f"no page: {error}") from error
    if as_json:
        print_result(json.dumps({"uncertain": number, "page": str(page) if number else None}))
    elif number:
        echo(f"{number} pairs to review: open {page}")
        echo(f"then: harness pairs review {build} --decisions FILE")
    else:
        echo(f"{build} has no pair that waits for a decision")
    return 0
