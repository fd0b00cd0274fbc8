"""What tests of imports read of commands, logs and runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.commands import harness

LOGS = Path(__file__).parent / "logs"


def imported(out: Path, *arguments: object) -> list[dict[str, Any]]:
    """Import logs into a folder's runs; return what ``--json`` prints of them."""
    done = harness("import", *arguments, "--out", out / "runs", "--json")
    assert done.returncode == 0, done.stderr
    runs: list[dict[str, Any]] = json.loads(done.stdout)["runs"]
    return runs


def lines(run: object, benchmark: str, kind: str = "samples") -> dict[str, dict[str, Any]]:
    """Return a run's stored lines of a benchmark by item."""
    text = (Path(str(run)) / kind / f"{benchmark}.jsonl").read_text()
    return {row["id"]: row for row in map(json.loads, text.splitlines())}


def manifest(run: object) -> dict[str, Any]:
    """Return a run's manifest."""
    document: dict[str, Any] = json.loads((Path(str(run)) / "manifest.json").read_text())
    return document


def compared(*arguments: object) -> dict[str, Any]:
    """Return what ``harness compare --json`` prints."""
    done = harness("compare", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document
