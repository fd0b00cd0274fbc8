"""``harness pairs trajectories``: pairs from trajectories of coding agents."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from ablations.cli.pairs import built
from harness.cli import options
from harness.cli.options import COUNT, option
from harness.errors import UsageError

PATH: click.Path = click.Path(path_type=Path)
SHARE = click.FloatRange(0, 1)


@click.command()
@click.argument("sources", nargs=-1, required=True, type=PATH, metavar="SOURCE...")
@built.out
@option("--tasks", PATH,
        "File or folder with the tasks (instance_id, problem_statement, patch, ...); repeatable.",
        multiple=True)  # fmt: skip
@option("--task-patch", ["auto", "fix", "fault"],
        "Whether patches of SWE-smith tasks fix the bug or introduce it; auto compares with what "
        "agents submitted.", default="auto")  # fmt: skip
@option("--same", ["function", "file"], "What both patches must change: function or class.",
        default="function")  # fmt: skip
@option("--measure", str,
        "Similarity of issues: bm25, or a sentence-transformers model (folder or hub id).",
        default="bm25", metavar="bm25|MODEL")  # fmt: skip
@option("--related", SHARE, "Lowest similarity of related issues  [default: bm25 0.08, model 0.5]")
@option("--duplicate", SHARE,
        "Similarity from which issues are duplicates  [default: bm25 0.9, model 0.97]")  # fmt: skip
@option("--resolved", bool, "Use only trajectories that resolved their issue.")
@option("--both-directions", bool, "Ask about each issue: two pairs from every two instances.")
@option("--keep-issue", bool, "Keep the issue in the contexts; it gives the answer away.")
@option("--limit", COUNT, "Mask and judge at most N pairs, drawn by the seed.")
@built.seed
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
        manifest = build.finished
        if manifest is None:
            options.check_judge(judge)
            manifest = build_pairs(build, sources, tasks, settings, judge, built.note)
    return built.shown(manifest, values.out, as_json=values.as_json)


def _settings(values: SimpleNamespace) -> Any:
    from ablations.pairs.trajectories.instances import Settings
    from ablations.pairs.trajectories.relating import BM25, BOUNDS

    low, high = BOUNDS[BM25 if values.measure == BM25 else "embedding"]
    low = low if values.related is None else values.related
    high = high if values.duplicate is None else values.duplicate
    if low >= high:
        raise UsageError(f"--related {low} must be below --duplicate {high}")
    names = """same measure resolved both_directions keep_issue task_patch limit judge_model"""
    named = {name: getattr(values, name) for name in names.split()}
    return Settings(related=low, duplicate=high, **named)
