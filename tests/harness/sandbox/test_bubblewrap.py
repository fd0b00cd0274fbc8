"""Hostile programs in bubblewrap: each ends within its limit, and the next run is as ever."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.sandbox import Command, Limits, Result, choose, run_sync
from harness.sandbox.bubblewrap import Bubblewrap
from tests.conftest import REPOSITORY
from tests.harness.sandbox import hostile

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed (apt-get install bubblewrap)"
)


@pytest.fixture(scope="module")
def sandbox() -> Bubblewrap:
    found, _ = choose()
    assert isinstance(found, Bubblewrap)
    return found


@pytest.fixture(scope="module")
def ground() -> Iterator[hostile.Ground]:
    # In the environment of this process, so that an inheriting sandbox would show it.
    os.environ["A_SECRET"] = "HUSH"
    with hostile.ground() as found:
        yield found
    del os.environ["A_SECRET"]


@pytest.mark.parametrize("case", hostile.CASES, ids=lambda case: case.name)
def test_hostile(sandbox: Bubblewrap, ground: hostile.Ground, case: hostile.Case) -> None:
    assert asyncio.run(ground.attack(sandbox, case)) == ""
