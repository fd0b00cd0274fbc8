"""Benchmarks that users wrote in Python: a file, a package or an installed one's entry point.

A file that the command line names is imported: it runs with the user's rights.  The hash of its
source joins the run key and the scorer's version, and what it raises is one line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass, replace
from functools import wraps
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import registry
from harness.errors import ItemError, UsageError
from harness.files.hashing import source_hash
from harness.own_code import imported, loaded, reason
from harness.protocols import Declaration

_MEMBERS = ("declaration", "fingerprint", "count", "ids", "build", "solve", "score", "native")
_CALLED = _MEMBERS[1:]


def add(path: Path) -> tuple[str, ...]:
    """Add the benchmarks of a file or package (`load`) to this process, and return their ids."""
    found = load(path)
    for name, kind in found.items():
        registry.add(name, kind)
    return tuple(found)


def load(path: Path) -> dict[str, type[Any]]:
    """Import a file or package and return its benchmarks by id.

    Those are the classes with all members of `harness.protocols.Benchmark` that it defines. Raises
    `UsageError` if it cannot be imported or has no benchmark.
    """
    module = imported(path)
    found = dict(_benchmarks(module, path))
    if not found:
        raise UsageError(
            f"{path} defines no benchmark: a class with {', '.join(_MEMBERS)} "
            "(docs/own_benchmarks.md)"
        )
    return found


def from_entry_point(point: EntryPoint) -> type[Any]:
    """Return the benchmark of an installed package; UsageError if it is none."""
    kind, source = loaded(point)
    _check_members(kind, point.value)
    made = _foreign(kind, source)
    if (name := _id(made, source)) != point.name:
        raise UsageError(f"{source}: the benchmark declares the id {name!r}, not {point.name!r}")
    return made


def _benchmarks(module: ModuleType, path: Path) -> Iterator[tuple[str, type[Any]]]:
    for kind in list(vars(module).values()):
        mine = isinstance(kind, type) and kind.__module__.split(".")[0] == module.__name__
        if mine and not inspect.isabstract(kind) and hasattr(kind, "declaration"):
            _check_members(kind, f"{path}: {kind.__name__}")
            made = _foreign(kind, path)
            yield _id(made, path), made


def _check_members(kind: Any, what: str) -> None:
    if not isinstance(kind, type) or not is_dataclass(kind):
        raise UsageError(f"{what} is not a dataclass: a benchmark is one (docs/own_benchmarks.md)")
    missing = [name for name in _MEMBERS if not hasattr(kind, name)]
    if missing:
        raise UsageError(f"{what} lacks {', '.join(missing)}, which every benchmark has")


def _id(kind: type[Any], source: Path) -> str:
    has_id = isinstance(getattr(kind, "id", None), str)
    name = kind.id if has_id else kind(Path()).declaration.id
    if not isinstance(name, str) or not name or "/" in name or "." in name or "," in name:
        raise UsageError(f"{source}: the id {name!r} must be a name without '.', ',' and '/'")
    return name


def _foreign(kind: type[Any], source: Path) -> type[Any]:
    """Return a benchmark with its source and hash, whose errors are one line."""
    digest = source_hash(source)

    def declaration(self: Any) -> Declaration:
        with _refusing(source, "declaration"):
            declared = super(made, self).declaration
        if not isinstance(declared, Declaration):
            raise UsageError(f"{source}: declaration is no Declaration of harness.protocols")
        protocol = {**declared.protocol, "source": digest}
        return replace(declared, protocol=protocol, scoring=f"{declared.scoring}+{digest}")

    members: dict[str, Any] = {name: _guarded(getattr(kind, name), source) for name in _CALLED}
    about = {"own_source": source.resolve(), "__module__": kind.__module__, "__doc__": kind.__doc__}
    members |= {"declaration": property(declaration), **about}
    made: type[Any] = type(kind.__name__, (kind,), members)
    return made


def _guarded(method: Callable[..., Any], source: Path) -> Callable[..., Any]:
    """Return a method that raises only errors of the harness."""
    if not inspect.iscoroutinefunction(method):
        return _refusing(source, method.__name__)(method)

    @wraps(method)
    async def call(*args: Any, **named: Any) -> Any:
        with _refusing(source, method.__name__):
            return await method(*args, **named)

    return call


@contextmanager
def _refusing(source: Path, name: str) -> Iterator[None]:
    """Raise one line for what is no error of the harness: of solve and score it costs one item."""
    try:
        yield
    except (UsageError, ItemError):
        raise
    except Exception as error:
        kind = ItemError if name in ("solve", "score") else UsageError
        raise kind(f"{source}: {name} failed ({reason(error, source)})") from error
