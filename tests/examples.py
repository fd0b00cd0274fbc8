"""How many examples a property is tried on: a few in `make test`, all in `make test-slow`."""

from __future__ import annotations

import os

from hypothesis import settings

FULL = os.environ.get("HYPOTHESIS_PROFILE") == "ci"


def examples(full: int) -> settings:
    """Return settings with ``full`` examples in the ci profile, and with a tenth otherwise."""
    return settings(max_examples=full if FULL else max(25, full // 10), deadline=None)
