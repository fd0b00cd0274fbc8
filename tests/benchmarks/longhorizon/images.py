"""The small repositories as SWE-bench tasks with images of a real engine, and its containers."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.sandbox.engine import OWNER
from tests.benchmarks.longhorizon import players
from tests.benchmarks.longhorizon.test_swebench import table

IMAGE = "harness-test:local"  # made by .ci/docker_engine

# A repository with a later commit, the fix, as SWE-bench's images have them, and with a file that
# is not UTF-8.
_DOCKERFILE = """FROM {base}
COPY testbed /testbed
COPY gold.patch /tmp/gold.patch
WORKDIR /testbed
RUN printf '# -*- coding: latin-1 -*-\\nNAME = "caf\\351"\\nSIZE = 1\\nA = 1\\nB = 2\\n' \\
      > names.py \\
 && git init -q && git config user.email a@b && git config user.name n \\
 && git add -A && git commit -qm base && git apply /tmp/gold.patch && git commit -qam later \\
 && git tag v2 && git reset -q --hard HEAD~1 && rm /tmp/gold.patch
"""


def docker(*words: str, check: bool = True) -> str:
    """Return what a command of docker prints."""
    # The old builder asks for no network of its own.
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(
        ["docker", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip()


def containers() -> list[str]:
    """Return the containers of the tests' images that belong to any process."""
    ours = (f"--filter=label={OWNER}", f"--filter=ancestor={IMAGE}")
    return docker("ps", "--all", "--quiet", *ours).split()


def soon(condition: Callable[[], object], seconds: float = 30.0) -> bool:
    """Return whether a condition holds, at the latest after so many seconds."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return bool(condition())


def write_tasks(root: Path, names: tuple[str, ...]) -> None:
    """Build the images of these tasks and write their table below ``root``."""
    from benchmarks.micro.data import repositories

    with TemporaryDirectory() as folder:
        repositories.write(Path(folder))
        tasks = Path(folder) / "swebench_lite" / "tasks"
        rows = [_with_image(players.tasks()[name], tasks / name) for name in names]
    table(rows, root / "swebench_lite")


def _with_image(row: dict[str, Any], folder: Path) -> dict[str, Any]:
    name = row["instance_id"]
    image = f"swebench/sweb.eval.x86_64.{name.replace('__', '_1776_')}:latest"
    (folder / "repository").rename(folder / "testbed")
    (folder / "Dockerfile").write_text(_DOCKERFILE.format(base=IMAGE))
    docker("build", "--quiet", "--network=none", f"--tag={image}", str(folder))
    tests = {key: json.dumps(row[key]) for key in ("FAIL_TO_PASS", "PASS_TO_PASS")}
    texts = {key: value for key, value in row.items() if isinstance(value, str)}
    return {**texts, **tests, "image": image}
