"""A person's decisions on the pairs that the judge was uncertain about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablations.pairs.build import REJECTED, UNCERTAIN, Row, is_build, read_manifest, revise
from benchmarks.data.local.json_rows import JsonLines, document
from benchmarks.pairs.folders import MANIFEST, PAIRS
from harness.errors import UsageError, nearest
from harness.files.locking import alone

ACCEPT, REJECT = "accept", "reject"


def uncertain(folder: Path) -> list[Row]:
    """Return the pairs of a build awaiting a person's decision.

    Raises `UsageError` if the folder is not a build of pairs.
    """
    if not is_build(folder):
        raise UsageError(
            f"{folder} is not a build of pairs: it has no {MANIFEST} of one; "
            "give the --out that it was built in"
        )
    return _rows(folder / UNCERTAIN)


def _rows(path: Path) -> list[Row]:
    return list(JsonLines(path, remedy="")) if path.is_file() else []


def decide(folder: Path, decisions: Path) -> dict[str, Any]:
    """Move the pairs that a person accepted or rejected, and return the new manifest.

    ``decisions`` is the file saved by the page: ``{"decisions": {"ID": "accept" or "reject"}}``.
    Pairs without a decision stay uncertain. Repeated decisions change nothing. Raises `UsageError`
    if the folder is not a build, or the file names an unknown pair or decision.
    """
    with alone(folder):
        waiting = {str(row["id"]): row for row in uncertain(folder)}
        pairs, rejected = _rows(folder / PAIRS), _rows(folder / REJECTED)
        settled = {str(row["id"]) for row in (*pairs, *rejected)}
        decided = _decisions(decisions, waiting.keys() | settled)
        decided = {name: decided[name] for name in waiting if name in decided}
        for name, decision in decided.items():
            row = {**waiting.pop(name), "person": decision}
            (pairs if decision == ACCEPT else rejected).append(row)
        files = {PAIRS: pairs, UNCERTAIN: list(waiting.values()), REJECTED: rejected}
        if not decided:
            return read_manifest(folder)
        dropped = {"rejected": list(decided.values()).count(REJECT)}
        return revise(folder, files, "with those a person accepted", dropped)


def _decisions(path: Path, known: set[str]) -> Mapping[str, str]:
    value = document(path)
    decisions = value.get("decisions") if isinstance(value, dict) else None
    if not isinstance(decisions, dict):
        raise UsageError(f"{path} holds no decisions: save them with the page's button")
    for name, decision in decisions.items():
        if name not in known:
            raise UsageError(f"{path}: this build has no pair {name!r}: {nearest(name, known)}")
        if decision not in (ACCEPT, REJECT):
            raise UsageError(
                f"{path}: the decision on {name} is {decision!r}, not accept or reject"
            )
    return decisions
