"""``harness export``: scores, answers and comparisons for other tools."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options
from harness.cli.options import FOLDER, option
from harness.cli.output import echo, print_result
from harness.errors import UsageError
from harness.files.text import counted

if TYPE_CHECKING:
    from harness.runs.trackers import Library
    from reports.export.source import Source

Writer = Callable[["Source", Path], list[Path]]
FILES: Mapping[str, str] = {
    "csv": "reports.export.tables:csv",
    "parquet": "reports.export.tables:parquet",
    "eee": "reports.export.eee:eee",
    "model-index": "reports.export.model_index:model_index",
}
"""Format -> the function that writes its files."""
TRACKERS: Mapping[str, Library] = {"wandb": "wandb", "trackio": "trackio"}
OF_TRACKERS = ("project", "offline", "rows", "data_root")


@click.command()
@click.argument("form", metavar="FORMAT", type=click.Choice([*FILES, *TRACKERS]))
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path),
        metavar="PATH [PATH...]")  # fmt: skip
@option("--out", FOLDER,
        "Folder for the files  [default: NAME-FORMAT; of wandb and trackio their "
        "own]")  # fmt: skip
@option("--project", str, "wandb, trackio: name of the project.", default="contextrl")
@option("--offline", bool, "wandb: only write files; `wandb sync` uploads them.")
@option("--rows", click.IntRange(0),
        "wandb, trackio: log at most this many answers of each benchmark.",
        default=1000)  # fmt: skip
@options.data_root
@options.as_json
def export(form: str, paths: tuple[Path, ...], out: Path | None, **given: Any) -> None:
    """Write runs, a study or a saved `compare --json` for another tool.

    FORMAT is csv, parquet (scores, parts, samples, differences: a file each), eee (Every Eval
    Ever's records), model-index (metadata of a Hugging Face model card), wandb or trackio (scores,
    answers with images, the report).  PATH is a run, a study or, for csv and parquet, a saved
    comparison.  docs/export.md describes the files.
    """
    from reports.export.source import joined, open_source

    source = joined([open_source(path) for path in paths])
    if form in TRACKERS:
        from reports.export import trackers

        trackers.track(source, trackers.tracker(TRACKERS[form], source.name, out=out, **given))
        written: list[Path] = []
    else:
        _refuse_options(form)
        written = _files(form, source, out or Path(f"{source.name}-{form}"))
    if given["as_json"]:
        print_result(json.dumps({"files": list(map(str, written))}))
    elif written:
        echo("\n".join(map(str, written)))
    else:
        echo(f"{counted(len(source.runs), 'run')} logged to {form}, project {given['project']}")


def _refuse_options(form: str) -> None:
    context = click.get_current_context()
    for name in OF_TRACKERS:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name.replace('_', '-')} is for wandb and trackio, not for {form}")


def _files(form: str, source: Source, folder: Path) -> list[Path]:
    from importlib import import_module

    module, _, name = FILES[form].partition(":")
    write: Writer = getattr(import_module(module), name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return write(source, folder)
    except OSError as error:
        raise UsageError(f"cannot write {error.filename or folder}: {error.strerror}") from error
