"""Python code of the user's own: a file or package that a command names, or an installed one.

It runs with the user's rights.  What it raises when it is imported is one line.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.errors import UsageError, described
from harness.files.hashing import file_hash, source_hash


def is_code(path: Path) -> bool:
    """Whether a path is a Python file or package."""
    return path.suffix == ".py" or (path / "__init__.py").is_file()


# Options of `harness run` by which a file of others would get a key, or run programs unguarded.
_RIGHTS = frozenset({"unsafe", "key-over-http", "api-key-env", "judge-key-env"})
_CODE = frozenset({"suite", "backend", "benchmark-file"})
# Arguments of vLLM that a file of others may set: numbers, switches, names out of vLLM's lists, and
# a tokenizer.
# Of the others many import a module, run a file's code, or open a port or a connection, also by
# what is nested in their values.
_VLLM_HARMLESS = frozenset(
    """async-scheduling no-async-scheduling attention-backend block-size calculate-kv-scales
    cpu-offload-gb
    disable-cascade-attn disable-custom-all-reduce disable-log-stats
    disable-log-requests disable-sliding-window enable-auto-tool-choice
    enable-chunked-prefill enable-expert-parallel enable-prefix-caching enforce-eager
    gpu-memory-utilization hf-overrides interleave-mm-strings kv-cache-dtype
    kv-cache-memory-bytes language-model-only limit-mm-per-prompt long-prefill-token-threshold
    max-cudagraph-capture-size max-logprobs max-lora-rank max-num-batched-tokens
    max-num-partial-prefills max-num-seqs max-seq-len-to-capture media-io-kwargs
    mm-encoder-attn-backend mm-encoder-tp-mode mm-processor-cache-gb mm-processor-kwargs
    no-enable-chunked-prefill no-enable-prefix-caching num-gpu-blocks-override
    optimization-level pipeline-parallel-size quantization rope-scaling rope-theta
    scheduling-policy seed skip-mm-profiling swap-space tokenizer tokenizer-mode
    video-pruning-rate""".split()
)


def needs_consent(option: str, value: Any, folder: Path = Path()) -> str:
    """Return why an option of ``harness run`` that a file sets needs its user's word; "" if not.

    The option is named with dashes, its value is a text, a list, or a mapping of arguments.
    ``folder`` is the file's, where paths in it are relative to that.
    """
    many = isinstance(value, list | dict)
    values = list(value) if many else str(value).split(",")
    if option in _RIGHTS:
        return "gives away a right of yours"
    if option in _CODE and any(_names_code(str(each).strip(), folder) for each in values):
        return "names code"
    if option != "vllm-arg" or value is None:
        return ""
    given = value if many else [value]
    names = {re.split("[=.]", str(each))[0].strip().replace("_", "-") for each in given}
    others = sorted(names - _VLLM_HARMLESS)
    return f"names code, files or addresses ({others[0]:.60})" if others else ""


def _names_code(name: str, folder: Path) -> bool:
    """Whether a name is that of a Python file or package, or of something in one (FILE.py:NAME)."""
    return bool(name) and (is_code(Path(name)) or is_code(folder / name) or ".py:" in name)


def imported(path: Path) -> ModuleType:
    """Import a file or package, once a version of its source.

    Raises `UsageError` if there is none, or it cannot be imported.
    """
    if not path.exists():
        raise UsageError(f"there is no file {path}")
    path = path.resolve()
    file = path / "__init__.py" if path.is_dir() else path
    name = f"own_{path.stem}_{source_hash(path)}"
    if name in sys.modules:
        return sys.modules[name]
    try:
        spec = spec_from_file_location(
            name, file, submodule_search_locations=[str(path)] if path.is_dir() else None
        )
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = module_from_spec(spec)
        # Last, so that its neighbours hide no library.
        if str(path.parent) not in sys.path:
            sys.path.append(str(path.parent))
        importlib.invalidate_caches()
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        raise UsageError(f"{path} cannot be imported ({reason(error, path)})") from error
    return module


def reason(error: BaseException, source: Path) -> str:
    """Return an exception with the last line of the user's source that it passed."""
    root = str(source.resolve())
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(root)]
    where = f", {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    return described(error) + where


def raised(error: BaseException) -> str:
    """Return an exception with the file and the line that raised it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{described(error)} ({Path(frame.filename).name}, line {frame.lineno})"


@cache
def installed(group: str) -> Mapping[str, EntryPoint]:
    """Return the entry points of a group by name; none of their code is imported."""
    return {point.name: point for point in entry_points(group=group)}


def loaded(point: EntryPoint) -> tuple[Any, Path]:
    """Return what an entry point names, and its package (of a lone module its file).

    Raises `UsageError` if it cannot be imported.
    """
    try:
        value = point.load()
        file = Path(str(sys.modules[point.module].__file__))
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"{point.name} ({point.value}) cannot be imported: {described(error)}"
        ) from error
    return value, _home(file)


def _home(file: Path) -> Path:
    """Return the package of a module's file, of a lone module the file."""
    return file.parent if (file.parent / "__init__.py").is_file() else file


@dataclass(frozen=True, slots=True)
class NamedCode:
    """Code that a setting names: FILE.py:NAME, MODULE:NAME (or MODULE.NAME), or an entry point.

    A module is looked for in the current folder first, that of FOLDER/MODULE:NAME in FOLDER.
    ``option`` is what errors call the setting, ``group`` that of the entry points.  Only `load`
    runs any of it.
    """

    option: str
    name: str
    group: str

    @property
    def is_installed(self) -> bool:
        """Whether an installed package offers it under this name."""
        return self.name in installed(self.group)

    def load(self) -> Any:
        """Import and return it; `UsageError` if it cannot be imported, or there is none."""
        if self.is_installed:
            return loaded(installed(self.group)[self.name])[0]
        module, attribute = self._split()
        try:
            if module.endswith(".py"):
                return getattr(imported(Path(module)), attribute)
            return getattr(self._same(_imported_beside(module, self._folder())), attribute)
        except (ModuleNotFoundError, AttributeError, ValueError) as error:
            raise self._error(f"{self._forms()} ({error})") from error
        except UsageError:
            raise
        except (Exception, SystemExit) as error:  # the module may raise anything
            raise self._error(f"{module} cannot be imported ({described(error)})") from error

    def check(self) -> None:
        """Raise `UsageError` if there is none, as far as its source says."""
        module, attribute = self._split()
        path, there = self._file()
        if not there:
            raise self._error(f"{self._forms()} (there is no {module!r})")
        if path is None or path.suffix != ".py":
            return
        try:
            text = path.read_bytes()
            ast.parse(text)
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise self._error(f"{module} cannot be imported ({described(error)})") from error
        if not re.search(rb"\b%s\b|import \*|__getattr__" % re.escape(attribute).encode(), text):
            raise self._error(f"{self._forms()} ({path.name} has no {attribute})")

    def source(self) -> str | None:
        """Return the hash of its file, of an installed one of its package; None without a file.

        The modules that a file imports are not covered.
        """
        path, _ = self._file()
        if path is None:
            return None
        return source_hash(_home(path)) if self.is_installed else file_hash(path)

    def _split(self) -> tuple[str, str]:
        """Return the module or file, and the name in it."""
        if self.is_installed:
            point = installed(self.group)[self.name]
            return point.module, point.attr.partition(".")[0]
        name = self.name.rpartition("/")[2]
        module, _, attribute = name.rpartition(":" if ":" in name else ".")
        if module.endswith(".py"):
            module = f"{self.name.removesuffix(name)}{module}"
        return module, attribute

    def _same(self, module: ModuleType) -> ModuleType:
        """Return a module that was imported; refuse another of its name that was there before."""
        file, other = self._file()[0], module.__file__ and Path(module.__file__)
        if file and other and file.resolve() != other.resolve():
            raise self._error(f"{other} has the same name and is in use: give {file} another one")
        return module

    def _folder(self) -> Path:
        """Return the folder where its module is looked for first."""
        folder, slash, _ = self.name.rpartition("/")
        return Path(folder + slash).resolve()

    def _file(self) -> tuple[Path | None, bool]:
        """Return its file where there is one, and whether it is there at all."""
        module, _ = self._split()
        if module.endswith(".py"):
            path = Path(module)
            return (path, True) if path.is_file() else (None, False)
        spec = _spec(module, self._folder())
        path = Path(spec.origin) if spec and spec.has_location and spec.origin else Path()
        return path if path.is_file() else None, spec is not None

    def _forms(self) -> str:
        more = f", or one of {', '.join(installed(self.group))}" if installed(self.group) else ""
        return f"write FILE.py:NAME or MODULE:NAME{more}"

    def _error(self, text: str) -> UsageError:
        return UsageError(f"{self.option} {self.name}: {text}")


def _imported_beside(module: str, folder: Path) -> ModuleType:
    """Import a module, which may be in a folder."""
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(module)
    finally:
        # Last, so that its files hide no library that is imported later.
        sys.path.remove(str(folder))
        sys.path.append(str(folder))


def _spec(module: str, folder: Path) -> ModuleSpec | None:
    """Return where Python would find a module, a folder first; imports nothing.

    (`importlib.util.find_spec` imports the packages above a module.)
    """
    importlib.invalidate_caches()
    folders: list[str] | None = None
    spec: ModuleSpec | None = None
    parts = module.split(".")
    for number, part in enumerate(parts):
        name = ".".join(parts[: number + 1])
        if not part.isidentifier() or (number and folders is None):
            return None
        spec = None if number else PathFinder.find_spec(name, [str(folder)])
        finders = (getattr(finder, "find_spec", None) for finder in sys.meta_path)
        for find in finders:
            spec = spec or (find and find(name, folders))
        if spec is None:
            return None
        found = spec.submodule_search_locations
        folders = None if found is None else list(found)
    return spec
