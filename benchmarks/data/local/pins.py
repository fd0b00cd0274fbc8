"""Compare files with the published hashes of a data set at its pinned commit."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from benchmarks.data.catalog.sources import Source
from harness.files.hashing import file_hash

Content = Literal["compared", "different", "not compared"]


def compare(origin: Source, folder: Path) -> Content:
    """Return whether the files in a folder are those of the pinned commit.

    "not compared" if no hash of a file there is known: folder names do not prove content.
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

PRETENDS = (
    "the files are not those of the commit that the copy names (their sha256 sums differ from the "
    "published ones): delete them and get the data again, with --revision for another commit"
)


def pretends(origin: Source, folder: Path, revision: str | None) -> bool:
    """Whether files claimed to be of the pinned commit are known not to be."""
    return revision == origin.revision is not None and compare(origin, folder) == "different"
