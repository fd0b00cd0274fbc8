"""How a build of pairs ends on the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.cli.output import echo, print_result


def shown(manifest: Mapping[str, Any], folder: Path, *, as_json: bool) -> int:
    """Print a build's manifest; return the exit code, 1 while something was not asked about."""
    from ablations.pairs.build import funnel_text
    from benchmarks.pairs.folders import PAIRS

    if as_json:
        print_result(json.dumps(manifest))
    else:
        counts = manifest["counts"]
        echo(funnel_text(manifest))
        echo(f"{counts['pairs']} pairs in {folder / PAIRS}")
        if counts["uncertain"]:
            echo(f"{counts['uncertain']} uncertain ones in {folder / 'uncertain.jsonl'}")
        if manifest["missed"]:
            echo(f"{manifest['missed']} could not be judged: the same command asks again")
    return int(bool(manifest["missed"]))
