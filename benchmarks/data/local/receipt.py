"""``source.json``: where data came from that this project pulled or imported."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from harness.errors import UsageError
from harness.files.hashing import write_atomically
from harness.files.typed_json import parse

NAME = "source.json"
Origin = Literal["hub", "mirror", "release"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a local data set came from.

    ``revision`` is the hub's commit, None where a mirror or a release does not tell one;
    ``fingerprint`` is the content hash of the data files when they were put there.
    """

    repository: str
    revision: str | None
    origin: Origin
    fingerprint: str

    def __str__(self) -> str:
        where = f"{self.repository} at {self.revision or 'an unknown commit'}"
        return where if self.origin == "hub" else f"a {self.origin} of {where}"


def read_receipt(folder: Path) -> Receipt | None:
    """Return the receipt of a benchmark's folder, None where the data came by other ways.

    Raises:
        UsageError: the receipt is corrupt.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        value = parse(path.read_bytes())
        return Receipt(
            repository=str(value["repository"]),
            revision=None if value["revision"] is None else str(value["revision"]),
            origin=value["origin"],
            fingerprint=str(value["fingerprint"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is corrupt: delete it, or download it again") from error


def install(staging: Path, target: Path, receipt: Receipt) -> None:
    """Put a finished data set in its place, and remove the one that was there.

    Nothing half written is ever in the place.  Between two renames it is empty for a moment; who
    is killed just then leaves the old one aside, and `recover` puts it back.

    Raises:
        UsageError: the file system refuses.
    """
    recover(target)
    old = _aside(target)
    try:
        write_atomically(staging / NAME, json.dumps(asdict(receipt), indent=2) + "\n")
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        staging.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UsageError(f"cannot write {target} ({error.strerror or error})") from error


def recover(target: Path) -> None:
    """Put back the data set that an `install` which was killed had set aside.

    Raises:
        UsageError: the file system refuses.
    """
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
    """Make a folder and its parents.

    Raises:
        UsageError: the file system refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot write to {path.parent} ({error.strerror}): choose another --data-root"
        ) from error
