"""Formats of foreign logs by name: built-in ones, and those of installed packages.

A format's module is imported when it is used, or to detect a log's format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.imports.log import Format
from harness.errors import UsageError, unknown
from harness.own_code import installed, loaded

FORMATS: Mapping[str, str] = {
    "lmms-eval": "benchmarks.imports.formats.lmms_eval",
    "lm-eval": "benchmarks.imports.formats.lm_eval",
    "vlmevalkit": "benchmarks.imports.formats.vlmevalkit",
    "inspect": "benchmarks.imports.formats.inspect_ai",
    "eee": "benchmarks.imports.formats.every_eval_ever",
    "nemo-evaluator": "benchmarks.imports.formats.nemo_evaluator",
    "evalscope": "benchmarks.imports.formats.evalscope",
    "harbor": "benchmarks.imports.formats.harbor",
    "swebench": "benchmarks.imports.formats.swebench",
    "predictions": "benchmarks.imports.formats.predictions",
}
"""The name of each of our formats, and the module with its ``FORMAT``."""

GROUP = "contextrl_harness.imports"


def names() -> tuple[str, ...]:
    """Return the names of all formats, built-in ones first."""
    return (*FORMATS, *(name for name in installed(GROUP) if name not in FORMATS))


def get(name: str) -> Format:
    """Return a format; UsageError if there is none of that name, or its package does not load."""
    if name in FORMATS:
        found = import_module(FORMATS[name]).FORMAT
    elif name in installed(GROUP):
        found, _ = loaded(installed(GROUP)[name])
    else:
        raise unknown("format", name, names())
    if not isinstance(found, Format):
        raise UsageError(f"{name} names no Format of benchmarks.imports.log, but {found!r:.80}")
    return found


def recognise(paths: Sequence[Path]) -> str:
    """Return the name of the one format of files or folders; UsageError for none or several."""
    found: dict[str, None] = {}
    for path in paths:
        if not path.exists():
            raise UsageError(f"there is no file or folder {path}")
        fitting = [name for name in names() if get(name).detect(path)]
        if len(fitting) != 1:
            what = f"may be of {' or '.join(fitting)}" if fitting else "is not a known log"
            listed = ", ".join(fitting or names())
            raise UsageError(f"{path} {what}: name its FORMAT, one of {listed}")
        found[fitting[0]] = None
    if len(found) > 1:
        raise UsageError(f"the logs are of several formats ({', '.join(found)}): import each alone")
    return next(iter(found))
