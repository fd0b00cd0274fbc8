"""Finds out what a path is, makes its page, and writes the page in every form."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from harness.errors import UsageError
from harness.files.atomic import write_text
from harness.files.text import visible
from reports import comparison_page, draw, review_page, run_page, study_page, tables
from reports.html import render
from reports.pages import Page, Pictured
from reports.read.flips import Flips
from reports.read.runs import Run, open_run
from reports.read.study import read
from reports.study_page import Pictures
from reports.tables import Column, Table


def page_of(
    paths: Sequence[Path], data_root: Path | None, exclude: Path | None = None
) -> tuple[Page, Path]:
    """Return the page of a study, run, saved comparison or two runs, and the folder for it.

    ``data_root`` is where images of items are, None for the study's or the default one.
    ``exclude`` lists items that two runs are compared without.
    `UsageError` where a path is none of these.
    """
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist: give a study, a run or a saved comparison")
    if len(paths) == 2:
        return _two_runs(paths[0], paths[1], data_root, exclude), Path()
    if exclude is not None:
        raise UsageError(
            "--exclude is for two runs: a study and a saved comparison were made with theirs"
        )
    if len(paths) != 1:
        raise UsageError(
            "give one path, or two runs; for several seeds per side, save `harness compare --json`"
        )
    path = paths[0]
    if path.is_file():
        comparison = comparison_page.load(path)
        runs, _ = comparison_page.runs_of(comparison)
        pictures = _pictures(runs[0] if runs else None, data_root)
        return comparison_page.page(comparison, pictures, path.name), path.parent
    if (path / "manifest.json").exists():
        return run_page.page(open_run(path, path.resolve().name)), path
    study = read(path)
    stored = (study.plan.get("paths") or {}).get("data_root")
    root = data_root or (Path(stored) if stored else None)
    first = study.models[0].run if study.models else None
    return study_page.page(study, _pictures(first, root)), path


def _two_runs(a: Path, b: Path, data_root: Path | None, exclude: Path | None) -> Page:
    from ablations.statistics import compare
    from ablations.statistics.contrasts import Rules
    from ablations.statistics.exclusions import read_exclusions

    items = None if exclude is None else read_exclusions(exclude)
    compared = partial(compare.checkpoints, a, b, Rules())
    comparison = compared() if items is None else compare.excluding(compared, items)
    (before,), (after,) = comparison_page.runs_of(comparison)
    name = f"{before.label} and {after.label}"
    return comparison_page.page(comparison, _pictures(before, data_root), name)


def _pictures(run: Run | None, data_root: Path | None) -> Pictures:
    """Return what makes thumbnails of shown flips, from the data that a run was made on.

    They are data URIs by benchmark and item id.
    """

    def pictures(flips: Flips) -> dict[tuple[str, str], str]:
        from reports.read.thumbnails import thumbnails

        if run is None or not flips.shown:
            return {}
        entries = run.manifest["benchmarks"]
        fingerprints = {name: entry.get("data_fingerprint") for name, entry in entries.items()}
        items = [(flip.benchmark, flip.id) for flip in flips.shown]
        return thumbnails(items, fingerprints, data_root)

    return pictures


def review(folder: Path, path: Path) -> None:
    """Write the page on which a person decides about the uncertain pairs of a build."""
    _write(path, review_page.render(folder))


def html(page: Page, path: Path) -> None:
    """Write the page, and next to it all items gained and lost, of which it shows some.

    Where this page has none, that file of an older page is removed.
    """
    _write(path, render(page))
    beside = path.with_name(f"{path.name.removesuffix('.html')}.flips.csv")
    flipped = _flip_tables(page)
    if flipped:
        _write(beside, tables.to_csv(flipped))
        return
    try:
        beside.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"cannot remove {beside}: {error.strerror}") from error


def latex(page: Page, path: Path) -> None:
    """Write the tables of numbers as LaTeX."""
    ids = ("scores", "contrasts", "waterfall-table", "rules")
    shown = [t for t in page.tables if t.id in ids or t.id.startswith("delta-")]
    _write(path, tables.to_latex(shown))


def csv(page: Page, path: Path) -> None:
    """Write all tables as one CSV, and every flip."""
    _write(path, tables.to_csv([*page.tables, *_flip_tables(page)]))


def _flip_tables(page: Page) -> list[Table]:
    blocks = [block for section in page.sections for block in section.blocks]
    return [_flip_table(block.flips) for block in blocks if isinstance(block, Pictured)]


def _flip_table(flips: Flips) -> Table:
    columns = tuple(Column(name, name) for name in ("benchmark", "item", flips.minus, flips.plus))
    rows = [
        {
            "benchmark": flip.benchmark,
            "item": flip.id,
            flips.minus: flip.before,
            flips.plus: flip.after,
        }
        for flip in flips.rows
    ]
    return Table("flips", "All items gained and lost", columns, rows)


def figures(page: Page, folder: Path) -> None:
    """Write each figure as an SVG file of its name."""
    for figure in page.figures:
        _write(folder / f"{figure.id}.svg", draw.file(figure))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, visible(text))
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
