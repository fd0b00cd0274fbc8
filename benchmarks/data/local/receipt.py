"""``source.json``: the origin of data that this project pulled or imported.

Files are compared with the published hashes of a data set at its pinned commit.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from benchmarks.data.catalog.sources import source
from benchmarks.data.local.layout import fingerprint
from harness.errors import UsageError
from harness.files.atomic import write_json
from harness.files.hashing import file_hash
from harness.files.trees import check_tree
from harness.files.typed_json import parse, record

NAME = "source.json"
Origin = Literal["hub", "mirror", "release"]
Content = Literal["compared", "different", "not compared"]
TEXTS: dict[Content, str] = {
    "compared": "content compared with the pinned hash",
    "different": "content is not that of the pinned commit",
    "not compared": "content not compared: no hash of it is published",
}
PRETENDS = (
    "the files are not those of the commit that the copy names (their sha256 sums differ from the "
    "published ones): delete them and get the data again, with --revision for another commit"
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Origin of a local data set.

    ``revision`` is the Hub's commit, None if a mirror or a release does not state one;
    ``fingerprint`` is the content hash of the data files when they were installed.
    """

    repository: str
    revision: str | None
    origin: Origin
    fingerprint: str

    def __str__(self) -> str:
        where = f"{self.repository} at {self.revision or 'an unknown commit'}"
        return where if self.origin == "hub" else f"a {self.origin} of {where}"


def read_receipt(folder: Path) -> Receipt | None:
    """Return a folder's receipt, None if the data came by other ways; UsageError if corrupt."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        return record(Receipt, parse(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is corrupt: delete it, or download it again") from error


def compare(benchmark_id: str, folder: Path) -> Content:
    """Return whether the files in a folder are those of the pinned commit.

    "not compared" if no hash of a file there is known: folder names do not prove content.
    """
    there = {folder / name: digest for name, digest in source(benchmark_id).hashes.items()}
    files = {path: digest for path, digest in there.items() if path.is_file()}
    if not files:
        return "not compared"
    same = all(file_hash(path) == digest for path, digest in files.items())
    return "compared" if same else "different"


def pretends(benchmark_id: str, folder: Path, revision: str | None) -> bool:
    """Whether files claimed to be of the pinned commit are known not to be."""
    pinned = source(benchmark_id).revision
    return revision == pinned is not None and compare(benchmark_id, folder) == "different"


def known_revision(benchmark_id: str, root: Path) -> str | None:
    """Return the Hub commit of a benchmark's data; None if unknown.

    It is known for data pulled from the Hub, or from a copy that states its commit, if unchanged
    since and matching the published hashes, if any.
    """
    folder = root / benchmark_id
    try:
        receipt = read_receipt(folder)
        if receipt is None or receipt.fingerprint != fingerprint(benchmark_id, root):
            return None
        false = pretends(benchmark_id, folder, receipt.revision)
    except UsageError:
        return None
    return None if false else receipt.revision


def install(staging: Path, target: Path, receipt: Receipt) -> None:
    """Move a finished data set to its folder, replacing the previous one.

    A process that is killed between two renames leaves the old one aside, and `recover` restores
    it. Raises `UsageError` if the file system fails.
    """
    recover(target)
    old = _aside(target)
    try:
        write_json(staging / NAME, asdict(receipt))
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        staging.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UsageError(f"cannot write {target} ({error.strerror or error})") from error


def recover(target: Path) -> None:
    """Restore the data set that a killed `install` set aside; UsageError if the disk fails."""
    old = _aside(target)
    if target.exists() or not old.is_dir():
        return
    try:
        old.rename(target)
    except OSError as error:
        raise UsageError(
            f"cannot move {old} back to {target.name} ({error.strerror}): move it yourself"
        ) from error


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def make_folder(path: Path) -> None:
    """Create a folder or go on with what is in it; UsageError for links and disk failures."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        check_tree(path)
    except OSError as error:
        raise UsageError(
            f"cannot write to {path.parent} ({error.strerror}): choose another --data-root"
        ) from error
