"""What a VQA benchmark's protocol is, and the versions of the rules that score it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.vqa.base.benchmark import JudgedLmmsBenchmark, LmmsBenchmark
from benchmarks.vqa.base.tasks import library_version
from harness.files.hashing import source_hash
from harness.protocols import Declaration

_HERE = Path(__file__).parent
_GOLD = _HERE / "gold.py"
_SCORING = _HERE.parents[1] / "scoring"


def declare(benchmark: type[LmmsBenchmark], **fields: Any) -> Declaration:
    """Return a declaration with what the VQA benchmarks have in common filled in."""
    adapter = Path(str(sys.modules[benchmark.__module__].__file__))
    judged = issubclass(benchmark, JudgedLmmsBenchmark)
    return Declaration(
        id=benchmark.id,
        scoring=_scoring_version(adapter),
        native_rules=_native_rules(adapter),
        judged_rules=_judged_rules(adapter) if judged else "",
        revision=benchmark.source.revision,
        **fields,
    )


@lru_cache
def _scoring_version(adapter: Path) -> str:
    """Return a name for the strict rules: the hash of all code that they are written in."""
    return f"strict-{source_hash(_SCORING, _GOLD, adapter)}"


@lru_cache
def _judged_rules(adapter: Path) -> str:
    """Return a name for the judged rules: the hash of the prompt and of all that reads replies."""
    judging = adapter.with_name("judging")
    prompts = (judging / "__init__.py", judging / adapter.name)
    return f"judge-{source_hash(*prompts, adapter, _GOLD, _SCORING)}"


@lru_cache
def _native_rules(adapter: Path) -> str:
    """Return a name for the native rules: lmms-eval's version and the code that runs them."""
    worker = _HERE / "native_worker.py"
    return f"lmms-eval {library_version()}-{source_hash(worker, adapter)}"


def protocol(tasks: Sequence[str], split: str, prompt: str, **more: Any) -> dict[str, Any]:
    """Return a declaration's protocol: what decides what is asked.

    Args:
        tasks: the lmms-eval tasks.
        split: the data set's split.
        prompt: the prompt variant, in the words of the tasks' yaml files.
        more: whatever else changes a prompt.
    """
    library = f"lmms-eval {library_version()}"
    return {"library": library, "tasks": list(tasks), "split": split, "prompt": prompt, **more}
