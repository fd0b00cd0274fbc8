"""Run the benchmarks named on the command line, all by default: ``python -m tests.bench NAME...``.

Each prints a table of ratios and of the figures behind them; docs/performance.md keeps a record.
"""

from __future__ import annotations

import importlib
import sys

NAMES = (
    "startup",
    "scoring",
    "livecodebench",
    "statistics",
    "report",
    "imports",
    "view",
    "pairs",
    "swe",
    "training",
    "short",
    "images",
    "throughput",
)


def main(names: list[str]) -> int:
    """Run the named benchmarks in order; exit code 2 for a name that is none."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"bench: {unknown[0]} is none of {', '.join(NAMES)}", file=sys.stderr)
        return 2
    for name in names or NAMES:
        print(f"== {name}", flush=True)
        importlib.import_module(f"tests.bench.{name}").main()
    return 0


sys.exit(main(sys.argv[1:]))
