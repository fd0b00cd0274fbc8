"""``python -m harness``: the command ``harness`` of this very interpreter."""

from harness.cli.main import main

main()
