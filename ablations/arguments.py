"""Arguments of ``harness train`` and ``harness run`` as a plan hashes them: contents, not names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ablations.settings import CODE, FILES, code_of, read_recipe, recipe_path
from harness.files.hashing import file_hash, tree_hash
from harness.files.names import is_file


def named(args: Sequence[str]) -> list[tuple[str, str]]:
    """Return every argument as a value with its option, from "--name=value" or the one before."""
    named = []
    for last, arg in pairwise(("", *args)):
        name, equals, value = arg.partition("=")
        together = equals and name.startswith("--")
        named.append((name, value) if together else (last, arg))
    return named


def hashed(args: Sequence[str]) -> list[str]:
    """Return arguments as they are hashed: a file, or a built-in recipe, by its content.

    Of FILE.py:NAME or FOLDER/MODULE:NAME (a reward, a loss) no folder; its source is in
    `training_sources`.
    """
    hashed = []
    for arg, (name, value) in zip(args, named(args), strict=True):
        path = recipe_path(value) if name == "--config" and value else Path(value)
        start = arg.removesuffix(value)  # "--config=", where it is one argument
        if name in ("--reward", "--pair-loss"):
            hashed.append(start + value.rpartition("/")[2])
        elif name == "--vllm-arg":
            hashed.append(start + hashed_setting(value))
        elif name == "--ids":
            file = value.startswith("@") and is_file(Path(value[1:]))
            hashed.append(f"{start}@{file_hash(Path(value[1:]))}" if file else arg)
        else:
            hashed.append(start + file_hash(path) if is_file(path) else arg)
    return hashed


def hashed_setting(setting: str) -> str:
    """Return KEY=VALUE as it is hashed: a file by its content."""
    key, equals, value = setting.partition("=")
    return f"{key}{equals}{file_hash(Path(value))}" if is_file(Path(value)) else setting


def training_sources(args: Sequence[str]) -> dict[str, str | None]:
    """Return hashes of what arguments of a training, or its recipe, name and `hashed` lacks.

    They are the source of code of the user's own, and the files that a recipe names.
    """
    recipe = _recipe(args)
    found: dict[str, str | None] = {
        name: file_hash(Path(recipe[name]))
        for name in FILES
        if isinstance(recipe.get(name), str) and Path(recipe[name]).is_file()
    }
    chosen = {name: setting(args, name) for name in CODE}
    return found | {name: code.source() for name, code in code_of(chosen).items()}


def setting(args: Sequence[str], name: str) -> Any:
    """Return a setting of a training: of its arguments, else of their recipe; None: the default."""
    return dict(named(args)).get(f"--{name.replace('_', '-')}") or _recipe(args).get(name)


def _recipe(args: Sequence[str]) -> dict[str, Any]:
    options = dict(named(args))
    return read_recipe(options["--config"]) if "--config" in options else {}


def run_sources(options: Mapping[str, Any], args: Sequence[str]) -> dict[str, str]:
    """Return hashes of what the options of an evaluation name and `hashed` lacks.

    They are the recommended settings of a model, by whatever name, its adapter, and a chat template
    that a ``--config`` file names.
    """
    from harness.backends.models.resolve import recommended_path

    written = {value for _, value in named(args) if is_file(Path(value))}
    found = {}
    for name in ("recommended", "chat_template", "adapter"):
        if (value := options.get(name)) is None or str(value) in written:
            continue
        path = recommended_path(value) if name == "recommended" else Path(value)
        if path.is_dir():
            found[name] = tree_hash(path, (each for each in path.rglob("*") if each.is_file()))
        elif path.is_file():
            found[name] = file_hash(path)
    return found
