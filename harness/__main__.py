"""``python -m harness``: the command ``harness`` of this very interpreter."""

import sys
from pathlib import Path

# `python -m` looks in the present folder first, which may be somebody's data.
if not sys.flags.safe_path and Path(sys.path[0]) != Path(__file__).parents[1]:
    del sys.path[0]

from harness.cli.main import main

main()
