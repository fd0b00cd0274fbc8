"""The versions of the rules that score a VQA benchmark: hashes of the code they are written in."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from benchmarks.vqa.base.tasks import library_version
from harness import reasoning
from harness.files.hashing import source_hash

_HERE = Path(__file__).parent
_GOLD = _HERE / "gold.py"
_SCORING = _HERE.parents[1] / "scoring"
_REASONING = Path(reasoning.__file__)


def scoring_version(adapter: Path) -> str:
    """Return a name for the strict rules."""
    return _strict(adapter) + reasoning.tags_version()


@lru_cache
def _strict(adapter: Path) -> str:
    return f"strict-{source_hash(_SCORING, _GOLD, adapter, _REASONING)}"


@lru_cache
def judged_rules(adapter: Path) -> str:
    """Return a name for the judged rules: the prompt, and all that reads replies."""
    judging = adapter.with_name("judging")
    prompts = (judging / "__init__.py", judging / adapter.name)
    return f"judge-{source_hash(*prompts, adapter, _GOLD, _SCORING)}"


@lru_cache
def native_rules(adapter: Path) -> str:
    """Return a name for the native rules: lmms-eval's version and the code that runs them."""
    worker = _HERE / "native_worker.py"
    return f"lmms-eval {library_version()}-{source_hash(worker, adapter)}"
