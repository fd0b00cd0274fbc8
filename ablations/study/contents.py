"""What a plan hashes of its arguments, data and suite: file contents, and names without folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ablations.settings import CODE, FILES, code_of, read_recipe, recipe_path
from ablations.training.rollouts import AGENT, open_agent
from benchmarks.pair_sources import content_of
from harness.cli.options import columns_of
from harness.files.hashing import file_hash, source_hash
from harness.files.names import is_folder
from harness.own_code import is_code
from harness.references import content

# Options of evaluations that name a file or a folder.
_OF_RUNS = ("chat_template", "adapter", "tokenizer", "backend")


def named(args: Sequence[str]) -> list[tuple[str, str]]:
    """Return every argument as a value with its option, from "--name=value" or the one before."""
    named = []
    for last, arg in pairwise(("", *args)):
        name, equals, value = arg.partition("=")
        together = equals and name.startswith("--")
        named.append((name, value) if together else (last, arg))
    return named


def hashed(args: Sequence[str], *, folders: bool = True) -> list[str]:
    """Return arguments as they are hashed: what they name by content (`references.content`).

    The source of code is in `training_sources`.  ``folders``: they too, whose paths older plans
    have.
    """
    return [
        arg.removesuffix(value) + hashed_value(name, value, folders)
        for arg, (name, value) in zip(args, named(args), strict=True)
    ]


def hashed_value(option: str, value: str, folders: bool) -> str:
    """Return the value of one option as it is hashed; see `hashed`."""
    if option == "--config" and value:
        return file_hash(recipe_path(value))
    found = content(option.removeprefix("--"), value)
    return found if folders or not is_folder(value.partition("=")[2] or value) else value


def training_sources(args: Sequence[str]) -> dict[str, str | None]:
    """Return hashes of what arguments of a training, or its recipe, name and `hashed` lacks.

    They are the source of code of the user's own, and the files that a recipe names.
    """
    recipe = recipe_of(args)
    found: dict[str, str | None] = {
        name: file_hash(Path(recipe[name]))
        for name in FILES
        if isinstance(recipe.get(name), str) and Path(recipe[name]).is_file()
    }
    chosen = {name: setting(args, name) for name in CODE}
    return found | {name: code.source() for name, code in code_of(chosen).items()}


def setting(args: Sequence[str], name: str) -> Any:
    """Return a setting of a training: of its arguments, else of their recipe; None: the default."""
    return dict(named(args)).get(f"--{name.replace('_', '-')}") or recipe_of(args).get(name)


def recipe_of(args: Sequence[str]) -> dict[str, Any]:
    """Return what the recipe of a training sets, nothing where there is none."""
    options = dict(named(args))
    return read_recipe(options["--config"]) if "--config" in options else {}


def run_sources(options: Mapping[str, Any], args: Sequence[str]) -> dict[str, str]:
    """Return hashes of what the options of an evaluation name and `hashed` lacks.

    They are the recommended settings of a model, by whatever name, and what a ``--config`` file
    names.
    """
    from harness.backends.models.resolve import recommended_path

    given = [(name, name.replace("_", "-"), str(options.get(name) or "")) for name in _OF_RUNS]
    if recommended := options.get("recommended"):
        given.append(("recommended", "model-settings", str(recommended_path(recommended))))
    arguments = options.get("vllm_arg") or ()
    given += [(f"vllm_arg.{name}", "vllm-arg", f"{name}={value}") for name, value in arguments]
    written = {value for _, value in named(args)}
    return {
        name: found
        for name, option, value in given
        if value not in written and (found := content(option, value)) != value
    }


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
