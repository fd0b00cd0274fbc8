"""The embedded default as files: the trained model's folder and a data root, made once."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks.data.local.layout import NOTE
from benchmarks.data.local.receipt import NAME as RECEIPT
from harness.errors import UsageError
from harness.files.hashing import source_hash

LABEL = "micro world: generated scenes and traces, no evidence about real models"
"""Shown with every score on its data, and with every study of it."""

ITEMS = 200
"""Items of each benchmark: half of a 95 % interval is then 7 points at most."""


def prepare(directory: Path) -> tuple[Path, Path]:
    """Make the checkpoint ``directory/model`` and the data root ``directory/data``; return both.

    Those of another version of the world are replaced: the model, and in ``data`` the world's own
    data sets, unless something was pulled or imported in place of one.  The mark holds the version
    once all is there.  Raises `UsageError` for a ``model`` or ``data`` that no micro world wrote.
    """
    model, data = directory / "model", directory / "data"
    mark = directory / ".micro-world"
    version = _version()
    present = [path for path in (model, data) if path.exists()]
    if present and not mark.exists():
        raise UsageError(
            f"{present[0]} is not part of the micro world and was kept: give another folder"
        )
    if len(present) == 2 and mark.read_text() == version:
        return model, data
    directory.mkdir(parents=True, exist_ok=True)
    mark.write_text("unfinished")
    data.mkdir(exist_ok=True)
    from benchmarks.micro.model.build import WEIGHTS  # here: not needed where all is there

    with tempfile.TemporaryDirectory(dir=directory, prefix=".making-") as folder:
        made, old = Path(folder) / "data", Path(folder) / "old"
        old.mkdir()
        shutil.copytree(WEIGHTS, Path(folder) / "model")
        _write_data(made)
        _replace(model, Path(folder) / "model", old)
        for new in made.iterdir():
            if not (data / new.name / RECEIPT).exists():
                _replace(data / new.name, new, old)
    mark.write_text(version)
    return model, data


def _version() -> str:
    """Return the hash of the weights' record and of all that the data is made by."""
    here = Path(__file__).parent
    tasks = sorted((here / "data").rglob("*.yaml"))
    return source_hash(here / "model" / "weights" / "build.json", here, *tasks)


def _replace(target: Path, new: Path, old: Path) -> None:
    """Move a folder into its place, and what was there into ``old``."""
    if target.exists():
        shutil.move(target, old)
    shutil.move(new, target)


def _write_data(folder: Path) -> None:
    from benchmarks.micro.data import datasets, longbench, programs, repositories

    datasets.write(folder, n=ITEMS)
    longbench.write(folder)
    programs.write(folder)
    label(folder)
    repositories.write(folder)  # their benchmark is labelled already


def label(root: Path) -> None:
    """Write into every data set of a data root that it is of this world."""
    for benchmark in root.iterdir():
        (benchmark / NOTE).write_text(f"{LABEL}\n", encoding="utf-8")
