"""Which extra of this project brings a package, and imports that do without some packages."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError, first_failure

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PROJECT = "contextrl-harness"
NAMED_OTHERWISE = {
    "faiss": "faiss-cpu",
    "minisweagent": "mini-swe-agent",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
}
"""Modules whose package has another name."""


@cache
def extras() -> dict[str, tuple[Requirement, ...]]:
    """Return what each extra of this project requires; "" is what is always installed.

    Empty where the project is not installed but used from a checkout.
    """
    from packaging.requirements import Requirement

    try:
        lines, names = requires(PROJECT) or [], metadata(PROJECT).get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return {}
    asked = [one for one in map(Requirement, lines) if one.name != PROJECT]
    found: dict[str, tuple[Requirement, ...]] = {}
    for name in ("", *names):
        here = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": name})]
        found[name] = tuple(one for one in here if one not in found.get("", ()))
    return found


def install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install '{PROJECT}[{extra}]'"


def missing(error: BaseException) -> str | None:
    """Return one line for a package of an extra that is not installed; None for other errors."""
    error = first_failure(error)
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    module = error.name.partition(".")[0]
    if not isinstance(error, PackageNotFoundError) and find_spec(module) is not None:
        return None  # a part of it is missing: another version
    package = _plain(NAMED_OTHERWISE.get(module, module))
    for extra, needed in extras().items():
        if extra and package in {_plain(one.name) for one in needed}:
            return f"{package} is not installed: {install(extra)}"
    return None


def need(module: str, extra: str) -> Any:
    """Import and return a module of an extra; `UsageError` says what to install where it is not."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = module.partition(".")[0]
        if find_spec(name) is not None:
            raise
        raise UsageError(f"{name} is not installed: {install(extra)}") from error


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def package_versions(names: Sequence[str]) -> dict[str, str]:
    """Return the versions of the installed ones among some packages."""
    versions = {}
    for name in names:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def unmet(needed: Sequence[Requirement]) -> list[str]:
    """Return what of some requirements is not installed, or not in a version that they allow."""
    wrong = []
    installed = package_versions([one.name for one in needed])
    for one in needed:
        number = installed.get(one.name)
        if number is None:
            wrong.append(f"{one.name} is not installed")
        elif not one.specifier.contains(number.partition("+")[0], prereleases=True):
            wrong.append(f"{one.name} is {number}, {one.specifier} is needed")
    return wrong


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """Import what stands inside as if ``packages`` were not installed; loaded ones stay.

    ``None`` in ``sys.modules`` is Python's own mark for a module that cannot be imported.
    """
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
