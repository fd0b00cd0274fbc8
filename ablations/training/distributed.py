"""Which process this is, by the environment that torchrun and accelerate set; no torch needed."""

from __future__ import annotations

import os


def first_process() -> bool:
    """Whether this process is the one that writes and tells."""
    return int(os.environ.get("RANK", "0")) == 0
