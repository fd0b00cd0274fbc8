"""Folders from elsewhere: check their content, and copy them without anything git would run."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from shutil import copytree, ignore_patterns

from harness.errors import UsageError

# In the Hub cache: "datasets--org--name/snapshots/COMMIT/...". Not "my--data/snapshots/1".
_CACHED = re.compile(r"(?:models|datasets|spaces)--[^/]+")


def homes(folder: Path) -> list[Path]:
    """Return the real folders that a folder's files may be in: itself, and its Hub cache's.

    huggingface_hub stores the files of a repository's snapshots as links to its ``blobs``.
    """
    real = folder.resolve()
    found = [real]
    for parent in (real, *real.parents):
        repository = parent.parent.parent
        if parent.parent.name == "snapshots" and _CACHED.fullmatch(repository.name):
            found.append(repository / "blobs")
    return found


def check_tree(folder: Path) -> None:
    """Check that a folder holds only files, folders, and links that stay in it.

    Raises `UsageError` if a link leads out of the folder, or something is a device, a pipe or a
    socket.
    """
    real = folder.resolve()
    if folder.is_symlink():
        raise UsageError(f"{folder} is a symbolic link, which is not followed in data of others")
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in (*folders, *files)):
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                if not _target(path).is_relative_to(real):
                    raise UsageError(f"{path} is a link that leads out of {folder}: remove it")
            elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise UsageError(f"{path} is neither a file nor a folder: remove it")


def _target(link: Path) -> Path:
    try:
        return link.resolve()
    except (OSError, RuntimeError):  # a loop of links
        return link.parent.resolve()


def copy_files(folder: Path, target: Path) -> None:
    """Copy a folder without any ``.git`` (a folder or a file, at any depth); links stay links.

    Raises `OSError` if the copy fails; `UsageError` as `check_tree`.
    """
    check_tree(folder)
    copytree(folder, target, symlinks=True, ignore=ignore_patterns(".git"))
