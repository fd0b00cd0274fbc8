"""Checks the machine: engine, images and disk for SWE-bench; sandbox and pytest for our tasks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.longhorizon.swebench.environments import qualified
from benchmarks.longhorizon.swebench.workspace import workspace
from harness.errors import UsageError
from harness.files.text import counted
from harness.protocols import Check
from harness.sandbox import Sandbox
from harness.sandbox.engine import engine, remove_leftovers
from harness.sandbox.programs import output

# The images of all 500 tasks of Verified share layers and take some 120 GB (SWE-bench's own
# figure); the same share is taken for each task here.
GB_A_TASK = 120 / 500

_ROOT = {
    "docker": ("docker", "info", "--format", "{{.DockerRootDir}}"),
    "podman": ("podman", "info", "--format", "{{.Store.GraphRoot}}"),
}
_INSTALL = {
    "docker": "install docker and start its engine (https://docs.docker.com/engine/install)",
    "podman": "install podman",
    "singularity": "install singularity or apptainer",
}


def checks(name: str, kind: str, images: Sequence[str] | None, n: int) -> Iterator[Check]:
    """Yield what the real tasks of the benchmark ``name`` need.

    ``kind`` is "docker", "podman" or "singularity", ``images`` the tasks' images (None without the
    data, which name them), ``n`` the official number of tasks.
    """
    answering = engine(kind)
    if answering is None:
        yield Check(f"{name} engine", "missing", f"no {kind} answers: {_INSTALL[kind]}")
    else:
        yield Check(f"{name} engine", "ok", f"{kind} {answering.version}")
    if kind == "singularity":
        yield _grader(name)
        yield Check(f"{name} images", "note", "they are built as their tasks begin")
        return
    if images is None:
        yield Check(f"{name} images", "note", f"{n}; the data, which name them, are not here")
        yield _disk(name, kind if answering else None, n)
        return
    listed = None
    if answering:
        words = (kind, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
        listed = output(words, seconds=30.0)
    local = set(map(qualified, (listed or "").splitlines()))
    missing = [image for image in images if qualified(image) not in local]
    if missing:
        text = (
            f"{len(missing)} of {len(images)} are not here and are pulled as their tasks begin; to "
            f"have them before: {kind} pull {missing[0]} (and so on)"
        )
        yield Check(f"{name} images", "note", text)
    else:
        yield Check(f"{name} images", "ok", f"all {len(images)} are here")
    yield _disk(name, kind if answering else None, len(missing))


def _grader(name: str) -> Check:
    docker = engine("docker")
    if docker:
        return Check(f"{name} grader", "ok", f"docker {docker.version}")
    text = (
        "singularity plays, but swebench grades with docker alone, and none answers here: answers "
        "are stored as not graded; the same command on a machine with docker grades them"
    )
    return Check(f"{name} grader", "note", text)


def _disk(name: str, kind: str | None, missing: int) -> Check:
    root = Path((output(_ROOT[kind], seconds=30.0) if kind else None) or "/var/lib")
    while not root.exists():
        root = root.parent
    free, needed = shutil.disk_usage(root).free / 1e9, missing * GB_A_TASK
    text = f"{needed:.0f} GB needed for {counted(missing, 'image')}, {free:.0f} GB free at {root}"
    if free >= needed:
        return Check(f"{name} disk", "ok", text)
    return Check(f"{name} disk", "missing", f"{text}: make room, or take fewer tasks with --limit")


def prepare_engines(kind: str) -> None:
    """Remove the containers of killed runs; UsageError for an engine that filters no calls."""
    for answering in filter(None, map(engine, {kind, "docker"} - {"singularity"})):
        answering.check_filter()
        remove_leftovers(answering.program)


async def check_sandbox(sandbox: Sandbox, files: Path) -> None:
    """Raise `UsageError` if git, python or pytest is missing in the sandbox."""
    program = "git status --short && python -m pytest --version && pwd"
    with workspace(sandbox, files) as folder:
        result = await folder.run(("bash", "-c", program), seconds=60.0)
    lines = result.stdout.decode(errors="replace").strip().splitlines()
    if result.exit_code != 0 or lines[-1:] != ["/testbed"]:
        raise UsageError(
            "git and python with pytest do not work in the sandbox "
            f"({' '.join(lines[-2:]) or result.reason}): run `make install`, or leave out "
            "--sandbox-image"
        )
