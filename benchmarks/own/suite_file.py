"""Suites in user-written YAML: a name, and benchmarks with their options.

A file from elsewhere must not run code, so it may name only tables and known benchmarks; Python
code is named on the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.own.rows import SUFFIXES
from benchmarks.registry import SUITES, is_known, names
from harness.errors import UsageError, unknown
from harness.files.typed_yaml import read_typed
from harness.own_code import is_code

_FORM = "write name: NAME and benchmarks: [NAME, FILE, ...] (docs/own_benchmarks.md)"


class _SuiteFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    benchmarks: list[Any]
    name: str | None = None


def read_suite(path: Path) -> tuple[str, list[str], dict[str, dict[str, str]]]:
    """Return name, members (names, file paths) and their options by id; UsageError for code."""
    read = read_typed(path, _SuiteFile)
    options: dict[str, dict[str, str]] = {}
    members = [_member(path, entry, options) for entry in read.benchmarks]
    return read.name or path.stem, members, options


def _member(path: Path, entry: Any, options: dict[str, dict[str, str]]) -> str:
    """Return the name of one entry, NAME or {NAME: {OPTION: VALUE}}; adds its options."""
    values: Any = {}
    if isinstance(entry, dict) and len(entry) == 1:
        ((entry, values),) = entry.items()
    if not isinstance(entry, str) or not isinstance(values, Mapping):
        raise UsageError(f"{path}: {entry!r:.60} is not a benchmark: {_FORM}")
    file = path.parent / entry
    if entry.endswith(".py") or is_code(file):
        raise UsageError(f"{path} names code, {entry}: give --benchmark-file {entry} and its id")
    is_table = file.suffix.lower() in SUFFIXES
    # Another name would be looked up in the current folder, where it may be code.
    if not is_table and entry not in SUITES and not is_known(entry):
        raise unknown(f"suite, benchmark or table in {path}", entry, (*SUITES, *names()))
    if values:
        options[file.stem if is_table else entry] = {str(n): _word(v) for n, v in values.items()}
    return str(file) if is_table else entry


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
