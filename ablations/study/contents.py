"""What a plan hashes of its data and suite: file contents, and names without folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ablations.arguments import named, recipe_of, setting
from ablations.training.rollouts import AGENT, open_agent
from benchmarks.pair_sources import content_of
from harness.cli.options import columns_of
from harness.files.hashing import file_hash, source_hash
from harness.own_code import is_code


def data_content(source: str, args: Sequence[str]) -> str | None:
    """Return the content hash of pairs or RL items as these training arguments read them.

    ``--columns`` and ``--image-root`` decide which images are included, ``--data-root`` the tasks
    of an agent.
    """
    root, data_root = setting(args, "image_root"), setting(args, "data_root")
    if source.startswith(AGENT) and data_root is not None:
        return f"{source} {open_agent(source, data_root, 1).fingerprint()}"
    given = [value for name, value in named(args) if name == "--columns"]
    columns = {**(recipe_of(args).get("columns") or {}), **columns_of(given)}
    return content_of(source, columns, Path(root) if root else None)


def reads_otherwise(args: Sequence[str]) -> bool:
    """Whether arguments set image folders, an agent's data root, or columns."""
    return any(setting(args, name) for name in ("image_root", "data_root", "columns"))


def suite_words(suite: str) -> list[str]:
    """Return the names and files of a suite."""
    return [suite] if Path(suite).is_file() else [word.strip() for word in suite.split(",")]


def _suite_files(suite: str) -> list[Path]:
    paths = map(Path, suite_words(suite))
    return [path for path in paths if path.is_file() or is_code(path)]


def suite_content(suite: str) -> str | list[str]:
    """Return the hash of the file or package that a suite names, or a list if several."""
    files = _suite_files(suite)
    hashes = [source_hash(file) if file.is_dir() else file_hash(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hashes


def suite_name(suite: str) -> str:
    """Return a suite as it is hashed: files by name only."""
    files = _suite_files(suite)
    named = (Path(word).name if Path(word) in files else word for word in suite_words(suite))
    return ",".join(named)
