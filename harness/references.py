"""What options name: in full, where a file gives them, and by content, as plans hash them.

One rule for study files, recipes and files of options.  A name is looked for in the file's folder.
Where nothing is there it stays as it is: a name, or a path of the working folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.files.hashing import content_hash, file_hash, source_hash
from harness.files.names import is_file, is_folder
from harness.own_code import is_code

IN_DATA = "in the hash of the data"
"""What stands for a folder of data, which the hash of its benchmark or its pairs covers."""

# A number or a truth value in a setting names no path, whatever folder is called "0".
_NO_PATH = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?|true|false|yes|no", re.IGNORECASE)


def path(folder: Path, name: str) -> str:
    """Return a file or folder in full."""
    there = folder / name
    return str(there.resolve()) if name and there.exists() else name


def _file(folder: Path, name: str) -> str:
    """Return a file or Python package in full; a mere folder does not hide a name of ours."""
    return path(folder, name) if (folder / name).is_file() or is_code(folder / name) else name


def _words(folder: Path, text: str) -> str:
    """Return names and files with commas between, the files in full."""
    if (folder / text).is_file():  # its name may have a comma
        return path(folder, text)
    return ",".join(_file(folder, word.strip()) for word in text.split(","))


def _setting(folder: Path, text: str) -> str:
    """Return KEY=VALUE, a path in full."""
    key, sign, value = text.partition("=")
    return text if _NO_PATH.fullmatch(value) else f"{key}{sign}{path(folder, value)}"


def _ids(folder: Path, text: str) -> str:
    """Return @FILE in full; ids as they are."""
    return f"@{path(folder, text[1:])}" if text.startswith("@") else text


def _code(folder: Path, name: str) -> str:
    """Return FILE.py:NAME in full, MODULE:NAME (or MODULE.NAME) as FOLDER/MODULE:NAME."""
    module, colon, attribute = name.rpartition(":")
    if module.endswith(".py"):
        return f"{path(folder, module)}:{attribute}"
    parts = (module if colon else name.rpartition(".")[0]).split(".")
    target = folder.joinpath(*parts)
    there = all(parts) and (Path(f"{target}.py").is_file() or is_code(target))
    return f"{folder.resolve()}/{name}" if there and "/" not in name else name


_FORMS: Mapping[str, Callable[[Path, str], str]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("model", "pairs", "rl-data", "probe", "exclude", "data-root", "image-root"), path
        ),
        **dict.fromkeys(("pair-template", "selection-chat-template", "chat-template"), path),
        **dict.fromkeys(("adapter", "tokenizer", "benchmark-file"), path),
        **dict.fromkeys(("config", "recipe", "model-settings", "backend"), _file),
        **dict.fromkeys(("reward", "pair-loss", "train"), _code),
        **dict.fromkeys(("set", "vllm-arg"), _setting),
        "suite": _words,
        "ids": _ids,
    }
)
"""How the value of an option names paths; --out and --studies say where results go."""


def in_full(folder: Path, option: str, value: Any) -> Any:
    """Return an option's value as a file gives it, with the paths and the code that it names.

    ``folder`` is the file's. A value that is neither a text nor several is returned as it is.
    """
    form = _FORMS.get(option.replace("_", "-"))
    if form is None or not value:
        return value
    if isinstance(value, list | tuple):
        return type(value)(in_full(folder, option, each) for each in value)
    try:
        return form(folder, value) if isinstance(value, str) else value
    except OSError:  # a text that is too long for a name, such as JSON
        return value


def beside(file: Path, option: str, value: Any) -> Any:
    """Return `in_full` of a value in a file; as it is where the file is in the working folder."""
    folder = file.resolve().parent
    return value if folder == Path.cwd() else in_full(folder, option, value)


def content(option: str, value: str) -> str:
    """Return an option's value by content where it names a file or folder, else as it is.

    So a plan is the same wherever its files lie.  Of FILE.py:NAME or FOLDER/MODULE:NAME no folder
    is left; the hash of its source is taken apart.
    """
    form = _FORMS.get(option)
    if form is _code:
        return value.rpartition("/")[2]
    if form is _setting:
        key, sign, named = value.partition("=")
        in_data = option == "set" and "/" in named and is_folder(named)
        return f"{key}{sign}{IN_DATA if in_data else value_content(named)}"
    if form is _ids:
        return f"@{by_content(value[1:])}" if value.startswith("@") else value
    if option in ("image-root", "data-root") and is_folder(value):
        return IN_DATA
    is_name = form is None or (form is _file and not is_code(Path(value)))
    return value if is_name and not is_file(Path(value)) else by_content(value)


def value_content(value: str) -> str:
    """Return the value of a setting by content; a mere word may be called as a folder is."""
    return by_content(value) if "/" in value or is_file(Path(value)) else value


def by_content(name: str) -> str:
    """Return the hash of a file, a folder or a Python package; any other text as it is."""
    if is_file(Path(name)):
        return file_hash(Path(name))
    if not is_folder(name):
        return name
    return source_hash(Path(name)) if is_code(Path(name)) else content_hash(Path(name))
