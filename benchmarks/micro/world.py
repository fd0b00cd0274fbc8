"""The embedded default as files: the trained model's folder and a data root, made once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.data.layout import NOTE
from harness.errors import UsageError
from harness.fingerprint import source_hash

LABEL = "micro world: generated scenes and traces, no evidence about real models"
"""What stands beside every score on its data, and beside every study of it."""

ITEMS = 200
"""Items of each benchmark: half of a 95 % interval is then 7 points at most."""


def prepare(directory: Path) -> tuple[Path, Path]:
    """Make ``directory/model`` and ``directory/data`` where they are not there yet.

    Those of another version of the world are made anew.  Each is written beside and then renamed,
    so that a half-made one is never taken for whole.

    Returns:
        The checkpoint folder and the data root.

    Raises:
        UsageError: There is a ``model`` or a ``data`` that no micro world wrote: it stays.
    """
    model, data = directory / "model", directory / "data"
    mark = directory / ".micro-world"
    version = _version()
    if not mark.exists():
        for strange in (path for path in (model, data) if path.exists()):
            raise UsageError(f"{strange} is not of the micro world and stays: give another folder")
        directory.mkdir(parents=True, exist_ok=True)
    elif mark.read_text() != version:
        for old in (model, data):
            shutil.rmtree(old, ignore_errors=True)
    mark.write_text(version)
    _made(model, _copy_model)
    _made(data, _write_data)
    return model, data


def _version() -> str:
    """Return the hash of the weights' record and of all that the data is made by."""
    here = Path(__file__).parent
    made_by = sorted((*here.glob("*.py"), *(p for p in (here / "tasks").rglob("*") if p.is_file())))
    return source_hash(here / "weights" / "build.json", *made_by)


def _made(target: Path, make: Callable[[Path], None]) -> Path:
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-") as folder:
            make(Path(folder) / "made")
            shutil.move(Path(folder) / "made", target)
    return target


def _copy_model(folder: Path) -> None:
    from benchmarks.micro.build import WEIGHTS

    shutil.copytree(WEIGHTS, folder)


def _write_data(folder: Path) -> None:
    from benchmarks.micro import datasets, longbench, programs, repositories

    datasets.write(folder, n=ITEMS)
    longbench.write(folder)
    programs.write(folder)
    label(folder)
    repositories.write(folder)  # their benchmark says itself what they are


def label(root: Path) -> None:
    """Write beside every data set of a data root that it is of this world."""
    for benchmark in root.iterdir():
        (benchmark / NOTE).write_text(f"{LABEL}\n", encoding="utf-8")
