"""Which files of a folder hold training rows, and the names of their rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from harness.files.typed_json import parse

MANIFEST, PAIRS = "manifest.json", "pairs.jsonl"
"""Names in the folder of a build of pairs; its other JSON-lines files hold no accepted pairs."""
SUFFIXES = (".parquet", ".jsonl")
_HELD_OUT = {"test", "val", "valid", "validation", "dev", "eval"}


def training_files(folder: Path) -> list[Path]:
    """Return the parquet and JSON-lines files of a folder to train on, in order.

    Hidden files are skipped, as are all files of a build except its pairs. Held-out splits are left
    out if any other file remains. Raises `ValueError` if a ``manifest.json`` is not JSON.
    """
    files = [
        file
        for file in sorted(folder.rglob("*"))
        if file.suffix in SUFFIXES
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]
    manifests = (file for file in folder.rglob(MANIFEST) if file.is_file())
    builds = [file.parent for file in manifests if is_manifest(parse(file.read_bytes()))]
    files = [
        file
        for file in files
        if not any(file.is_relative_to(build) and file != build / PAIRS for build in builds)
    ]
    return [file for file in files if not _held_out(file.relative_to(folder))] or files


def labels(folder: Path, files: Sequence[Path]) -> list[str]:
    """Return a name for each file: its path in the folder, with a suffix if needed."""
    paths = [file.relative_to(folder) for file in files]
    stems = [path.with_suffix("").as_posix() for path in paths]
    times = Counter(stems)
    return [
        stem if times[stem] == 1 else path.as_posix()
        for stem, path in zip(stems, paths, strict=True)
    ]


def is_manifest(document: object) -> bool:
    """Whether the JSON value of a ``manifest.json`` is that of a build of pairs."""
    return isinstance(document, dict) and "funnel" in document


def _held_out(path: Path) -> bool:
    """Whether a path names a held-out split; the last part naming any split decides."""
    for part in reversed(path.parts):
        tokens = re.split(r"[^a-z]+", part.lower())
        if any(token.startswith("train") for token in tokens):
            return False
        if not _HELD_OUT.isdisjoint(tokens):
            return True
    return False
