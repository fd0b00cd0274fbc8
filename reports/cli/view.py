"""``harness view``: the items of a run, or of two side by side, as a page or served."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options
from harness.cli.options import FILE, option
from harness.cli.output import echo
from harness.errors import UsageError
from harness.files.text import counted

if TYPE_CHECKING:
    from reports.view.images import Prompts
    from reports.view.items import Place, View


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path),
        metavar="PATH [PATH]")  # fmt: skip
@option("--serve", bool, "Serve the page to this machine's browser instead of writing it.")
@option("--port", click.IntRange(0, 65535), "Port of --serve; 0: a free one.", default=0)
@option("--out", FILE,
        "Output file (overwritten if it exists); images go to NAME_files beside it  [default: "
        "view.html in PATH, next to a file, or in the working folder for two runs]")  # fmt: skip
@option("--benchmarks", str, "Show only these benchmarks.", metavar="A,B")
@option("--no-images", bool, "Leave images out.")
@option("--suite", str,
        "The file of your own benchmarks that the run was made on, for its images.",
        metavar="FILE")  # fmt: skip
@options.data_root
def view(paths: tuple[Path, ...], serve: bool, out: Path | None, **given: Any) -> None:
    """Look at items one by one: question, images, response, prediction, target and why.

    PATH is a run, two runs to see side by side, or a saved `compare --json` of two runs. The page
    searches all texts and filters by benchmark, verdict, status, and where runs or scorers
    disagree.  docs/view.md explains it.
    """
    from reports.view.images import Prompts
    from reports.view.items import open_view

    if serve and out is not None:
        raise UsageError("--serve writes no page: leave out --out, or --serve")
    if given["suite"] is not None:
        from benchmarks import suites

        suites.suite(given["suite"])
    names = [name.strip() for name in (given["benchmarks"] or "").split(",") if name.strip()]
    opened = open_view(paths, names)
    prompts = None if given["no_images"] else Prompts(opened, given["data_root"])
    if serve:
        _serve(opened, prompts, given["port"])
        return
    from reports.view.page import write

    home = Path() if len(paths) == 2 else paths[0] if paths[0].is_dir() else paths[0].parent
    target = out or home / "view.html"
    write(opened, prompts, target, _progress)
    for note in prompts.notes.values() if prompts else ():
        echo(note, err=True)
    echo(f"{counted(len(opened.places), 'item', ',')}\n{target}")


def _progress(places: Sequence[Place]) -> AbstractContextManager[Iterable[Place]]:
    return click.progressbar(places, label="items", file=sys.stderr, show_pos=True)


def _serve(opened: View, prompts: Prompts | None, port: int) -> None:
    from reports.view.serve import Server

    try:
        server = Server(opened, prompts, port)
    except OSError as error:
        raise UsageError(f"--port {port} cannot be opened: {error.strerror}") from error
    with server:
        server.prepare(_progress)
        echo(f"{counted(len(opened.places), 'item', ',')}; Ctrl-C ends it\n{server.url}")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            echo("ended", err=True)
