"""Compares files with the hashes that are published of a data set at its pinned commit."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from benchmarks.data.catalog.sources import Source
from harness.files.hashing import file_hash

Content = Literal["compared", "different", "not compared"]


def compare(origin: Source, folder: Path) -> Content:
    """Return whether the files in a folder are those of the pinned commit.

    "not compared" where no hash of a file there is known: folders' names say nothing of content.
    """
    there = {folder / name: digest for name, digest in origin.hashes.items()}
    files = {path: digest for path, digest in there.items() if path.is_file()}
    if not files:
        return "not compared"
    same = all(file_hash(path) == digest for path, digest in files.items())
    return "compared" if same else "different"


TEXTS: dict[Content, str] = {
    "compared": "content compared with the pinned hash",
    "different": "content is not that of the pinned commit",
    "not compared": "content not compared: no hash of it is published",
}
