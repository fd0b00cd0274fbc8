"""Detect what a path is, make its page, and write it in every form."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ablations import results
from ablations.results import RunPath
from ablations.statistics.comparison.models import ModelsComparison
from ablations.statistics.comparison.sides import Comparison
from ablations.statistics.release.gate import Gate
from ablations.statistics.release.stored import read_saved
from harness.errors import UsageError
from harness.files.atomic import write_text
from harness.files.text import counted, visible
from reports import (
    comparison_page,
    draw,
    gate_page,
    models_page,
    review_page,
    run_page,
    study_page,
    tables,
)
from reports.html import render
from reports.pages import Page, Pictured
from reports.read.flips import Flips
from reports.read.runs import Run, open_run
from reports.read.study import read
from reports.study_page import Pictures
from reports.tables import Column, Table

Record = Comparison | ModelsComparison | Gate
Source = RunPath | Record


def page_of(
    paths: Sequence[Path], data_root: Path | None, exclude: Path | None = None
) -> tuple[Page, Path]:
    """Return the page of a study, run, saved comparison or gate, or two runs, and its folder.

    ``data_root`` is where the items' images are; None: the study's or the default one. ``exclude``
    lists items to exclude when comparing two runs. `UsageError` if a path is none of these.
    """
    for path in paths:
        if not path.exists():
            raise UsageError(
                f"{path} does not exist: give a study, a run, a saved comparison or gate"
            )
    if len(paths) > 2:
        found = results.compare_models(paths, exclude=exclude)
        return _of_record(found, counted(len(paths), "model"), data_root), Path()
    if len(paths) == 2:
        two = results.compare(*paths, exclude=exclude)
        return _of_record(
            two, " and ".join(path.resolve().name for path in paths), data_root
        ), Path()
    if exclude is not None:
        raise UsageError(
            "--exclude is for two runs: a study and a saved comparison were made with theirs"
        )
    path = paths[0]
    if path.is_file():
        return _of_record(read_saved(path), path.name, data_root), path.parent
    if (path / "manifest.json").exists():
        return run_page.page(open_run(path, path.resolve().name)), path
    study = read(path)
    stored = (study.plan.get("paths") or {}).get("data_root")
    root = data_root or (Path(stored) if stored else None)
    first = study.models[0].run if study.models else None
    return study_page.page(study, _pictures(first, root)), path


def _of_record(comparison: Record, name: str, data_root: Path | None) -> Page:
    if isinstance(comparison, Gate):
        return gate_page.page(comparison, name)
    if isinstance(comparison, ModelsComparison):
        return models_page.page(comparison, name)
    runs, _ = comparison_page.runs_of(comparison)
    return comparison_page.page(comparison, _pictures(runs[0] if runs else None, data_root), name)


def _pictures(run: Run | None, data_root: Path | None) -> Pictures:
    """Return a function that makes thumbnails (data URIs) of shown flips from a run's data."""

    def pictures(flips: Flips) -> dict[tuple[str, str], str]:
        from reports.read.thumbnails import thumbnails

        if run is None or not flips.shown:
            return {}
        entries = run.manifest["benchmarks"]
        fingerprints = {name: entry.get("data_fingerprint") for name, entry in entries.items()}
        items = [(flip.benchmark, flip.id) for flip in flips.shown]
        return thumbnails(items, fingerprints, data_root)

    return pictures


def write(
    source: Source | Sequence[RunPath],
    out: str | os.PathLike[str],
    *,
    data_root: str | os.PathLike[str] | None = None,
    latex: str | os.PathLike[str] | None = None,
    csv: str | os.PathLike[str] | None = None,
    figures: str | os.PathLike[str] | None = None,
) -> str:
    """Write the report of ``source`` to the file ``out`` as HTML; return its headline.

    ``source`` is a run, a study's folder, a saved comparison or gate, several runs, or a record
    from `ablations.compare` or `compare_models`. ``data_root`` is where the items' images are.
    ``latex`` and ``csv`` are files for the tables, ``figures`` a folder for the figures as SVG.
    `UsageError` if the source is none of these, or a file cannot be written.
    """
    root = None if data_root is None else Path(data_root)
    if isinstance(source, Record):
        page = _of_record(source, Path(out).stem, root)
    else:
        several = [source] if isinstance(source, str | os.PathLike) else source
        page, _ = page_of(list(map(Path, several)), root)
    save(page, Path(out), *(None if form is None else Path(form) for form in (latex, csv, figures)))
    return page.headline


def save(
    page: Page,
    out: Path,
    latex_file: Path | None,
    csv_file: Path | None,
    figures_folder: Path | None,
) -> None:
    """Write a page in every requested form; of figures each as an SVG file named after it."""
    html(page, out)
    if latex_file is not None:
        latex(page, latex_file)
    if csv_file is not None:
        csv(page, csv_file)
    if figures_folder is not None:
        for figure in page.figures:
            _write(figures_folder / f"{figure.id}.svg", draw.file(figure))


def review(folder: Path, path: Path) -> None:
    """Write the page on which a person decides about a build's uncertain pairs."""
    _write(path, review_page.render(folder))


def html(page: Page, path: Path) -> None:
    """Write the page, and beside it the file of all items gained and lost, removed if none."""
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
    ids = ("scores", "contrasts", "waterfall-table", "rules", "gate", "needs")
    shown = [t for t in page.tables if t.id in ids or t.id.startswith("delta-")]
    _write(path, tables.to_latex(shown))


def csv(page: Page, path: Path) -> None:
    """Write all tables as one CSV, plus every flip."""
    _write(path, tables.to_csv([*page.tables, *_flip_tables(page)]))


def _flip_tables(page: Page) -> list[Table]:
    blocks = [block for section in page.sections for block in section.blocks]
    return [_flip_table(block.flips) for block in blocks if isinstance(block, Pictured)]


def _flip_table(flips: Flips) -> Table:
    columns = tuple(Column(name, name) for name in ("benchmark", "item", flips.minus, flips.plus))
    rows = [
        {"benchmark": each.benchmark, "item": each.id}
        | {flips.minus: each.before, flips.plus: each.after}
        for each in flips.rows
    ]
    return Table("flips", "All items gained and lost", columns, rows)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, visible(text))
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
