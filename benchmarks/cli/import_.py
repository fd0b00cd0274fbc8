"""``harness import``: logs of other tools as run folders."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from benchmarks.cli.run import model_name_of
from benchmarks.imports.formats import FORMATS
from harness.cli import options
from harness.cli.options import option
from harness.cli.output import echo, print_result
from harness.errors import UsageError, nearest
from harness.files.text import counted

if TYPE_CHECKING:
    from benchmarks.imports.folders import Imported

T = TypeVar("T")


def _by_task(
    ctx: click.Context,
    param: click.Parameter,
    values: Sequence[str],
    read: Callable[[str], tuple[str | None, T]],
) -> dict[str | None, T]:
    """Return values written ``[TASK=]VALUE`` by task."""
    found: dict[str | None, T] = {}
    for words in values:
        try:
            task, value = read(words)
        except ValueError:
            raise click.BadParameter(
                f"{words!r}: write {param.make_metavar(ctx)}", ctx, param
            ) from None
        found[task] = value
    return found


def _scales(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> Mapping[Any, Any]:
    from benchmarks.imports.scales import parse_scale

    return _by_task(ctx, param, values, parse_scale)


def _benchmarks(
    ctx: click.Context, param: click.Parameter, values: Sequence[str]
) -> Mapping[Any, Any]:
    def read(words: str) -> tuple[str | None, str]:
        task, sep, benchmark = words.partition("=")
        if sep and not (task and benchmark):
            raise ValueError(words)
        return (task, benchmark) if sep else (None, words)

    return _by_task(ctx, param, values, read)


@click.command(name="import", epilog=f"Formats: {', '.join(FORMATS)}.")
@click.argument("words", nargs=-1, required=True, metavar="[FORMAT] PATH...")
@options.data_root
@options.out
@option(
    "--benchmark benchmarks",
    str,
    "Our benchmark, or your table, that a task of the log corresponds to, if its name does "
    "not say, as in my_vstar=vstar.",
    multiple=True,
    metavar="[TASK=]BENCHMARK",
    callback=_benchmarks,
)
@option("--tasks", str, "Import only these tasks of the logs.", metavar="A,B")
@option(
    "--metric",
    str,
    "Metric of the log to use as the score  [default: the task's first]",
    metavar="NAME",
)
@option(
    "--scale scales",
    str,
    "The range of a metric that is not in [0, 1].",
    multiple=True,
    metavar="[TASK=]LOW,HIGH",
    callback=_scales,
)
@option("--lower-is-better", bool, "Lower values of the metric are better.")
@option(
    "--source-scores",
    bool,
    "Use the log's own scores, also for benchmarks that we could score ourselves.",
)
@option(
    "--model-name",
    str,
    "Name of the model  [default: as in the log]",
    metavar="NAME",
    callback=model_name_of,
)
@option("--seed", int, "The training seed of the logs' model  [default: the log's seed]")
@options.as_json
def import_(words: tuple[str, ...], **given: Any) -> None:
    """Import the logs of other tools as runs.

    FORMAT is one of those below or an installed one; without it the logs are recognised.
    PATH is a log's file or folder; every evaluation in it becomes one run.
    """
    from benchmarks.imports.log_runs import import_all
    from benchmarks.imports.options import Options

    name, paths = _named(words)
    chosen = Options(
        **{key: given[key] for key in given if key not in ("as_json", "tasks")},
        tasks=None if given["tasks"] is None else frozenset(given["tasks"].split(",")),
    )
    name, imported = import_all(paths, name, chosen, lambda text: echo(f"note: {text}", err=True))
    print_result(json.dumps(_document(name, imported)) if given["as_json"] else _text(imported))


def _named(words: Sequence[str]) -> tuple[str | None, list[Path]]:
    """Return the format, None where none is named, and the paths, which must exist."""
    from benchmarks.imports import formats

    first = words[0]
    named = first in formats.names() and not (len(words) == 1 and Path(first).exists())
    paths = [Path(word) for word in words[named:]]
    if not paths:
        raise UsageError(f"harness import {first} PATH...: the log's file or folder is missing")
    for path in paths:
        if not path.exists():
            is_word = path == Path(first) and len(words) > 1 and path.name == first
            hint = f"; of formats, {nearest(first, formats.names())}" if is_word else ""
            raise UsageError(f"there is no file or folder {path}{hint}")
    return (first if named else None), paths


def _document(name: str, imported: Sequence[Imported]) -> dict[str, Any]:
    return {
        "format": name,
        "runs": [
            {
                "run": str(each.path),
                "model": each.model,
                "seed": each.seed,
                "notes": list(each.notes),
                "benchmarks": [dataclasses.asdict(row) for row in each.rows],
            }
            for each in imported
        ],
    }


def _text(imported: Sequence[Imported]) -> str:
    from harness.cli.tables import result_table

    lines = [result_table(list(each.rows), each.path) for each in imported]
    seeds: dict[str, list[Imported]] = {}
    for each in imported:
        seeds.setdefault(each.model, []).append(each)
    for model, several in seeds.items():
        if len({each.seed for each in several}) == len(several) > 1:
            runs = " ".join(str(each.path) for each in several)
            lines.append(
                f"{model}: {counted(len(several), 'seed')}; as a side of `harness compare`: --a "
                f"{runs}"
            )
    return "\n\n".join(lines)
