"""Where the agent's commands run, in mini-swe-agent's ``Environment`` protocol.

Tasks with their own files run in the sandbox; those with an image in a container, or in
mini-swe-agent's singularity environment.  An environment that dies is an infrastructure error.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.longhorizon.swebench import mini_swe_agent
from benchmarks.longhorizon.swebench.container import TaskContainer
from benchmarks.longhorizon.swebench.threads import Caller, slots
from benchmarks.longhorizon.swebench.workspace import TESTBED
from harness.errors import ItemError
from harness.sandbox import Result
from harness.sandbox.engine import engine

SUBMIT = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"

# Later commits, tags, stashes and dangling objects hold the fix of many tasks: what is left is a
# repository that was cloned with its newest commit alone, and likewise each of its submodules; the
# histories of modules that are not checked out go.  The working trees are not touched.
CUT_HISTORY = """
set -e
cut() {{
  cd "$1"
  git=$(git rev-parse --absolute-git-dir)
  tree=$(git config --local core.worktree || true)
  rm -rf /tmp/cut
  git -c protocol.file.allow=always clone --quiet --no-checkout --no-tags --single-branch \
    --depth 1 "file://$git" /tmp/cut
  git -C /tmp/cut remote remove origin
  git -C /tmp/cut update-ref --no-deref HEAD "$(git rev-parse HEAD)"
  git -C /tmp/cut for-each-ref --format='delete %(refname)' | git -C /tmp/cut update-ref --stdin
  rm -rf /tmp/cut/.git/logs /tmp/cut/.git/FETCH_HEAD /tmp/cut/.git/ORIG_HEAD
  cp "$git/info/exclude" /tmp/cut/.git/info/exclude 2>/dev/null || true
  if [ -d "$git/modules" ]; then mv "$git/modules" /tmp/cut/.git/modules; fi
  rm -rf "$git"
  mv /tmp/cut/.git "$git"
  if [ -n "$tree" ]; then git --git-dir="$git" config core.worktree "$tree"; fi
  touch "$git/is-cut"
  rm -rf /tmp/cut
  git reset --quiet
}}
cd {testbed}
root=$PWD
modules=$(git submodule foreach --quiet --recursive pwd)
cut "$root"
printf '%s\\n' "$modules" | while IFS= read -r module; do
  if [ -n "$module" ]; then cut "$module"; fi
done
find "$root/.git" -path '*/modules/*' -name HEAD -type f | while IFS= read -r head; do
  git=$(dirname "$head")
  if [ -d "$git/objects" ] && [ ! -e "$git/is-cut" ]; then rm -rf "$git"; fi
done
find "$root" -name is-cut -path '*/.git/*' -delete
"""

_CUT = CUT_HISTORY.format(testbed=TESTBED)
_CUT_SECONDS = 900


@dataclass
class SandboxEnvironment(mini_swe_agent.Unused):
    """Runs commands by ``run``, which gives one shell command a fresh shell at /testbed."""

    run: Callable[[str], Result]
    config: dict[str, Any] = field(default_factory=dict)

    def execute(self, action: dict[str, Any], cwd: str = "") -> dict[str, Any]:
        """Run one command; a broken limit reads as a timeout does in the scaffold's environments.

        Raises `Submitted` if the output is a submission, `ItemError` if the sandbox failed.
        """
        result = self.run(str(action.get("command", "")))
        text = result.stdout.decode("utf-8", errors="replace")
        if result.status in ("ok", "signal"):
            submit(text, result.exit_code)
            return {"output": text, "returncode": result.exit_code, "exception_info": ""}
        error = f"An error occurred while executing the command: {result.reason}"
        return {"output": text, "returncode": -1, "exception_info": error}


def submit(text: str, exit_code: int | None) -> None:
    """End the episode (raise `Submitted`) if a command's output is a submission.

    Source: ``_check_finished`` of the environments of mini-swe-agent 2.4.6.
    """
    from minisweagent.exceptions import Submitted

    lines = text.lstrip().splitlines(keepends=True)
    if not lines or lines[0].strip() != SUBMIT or exit_code != 0:
        return
    submission = "".join(lines[1:])
    extra = {"exit_status": "Submitted", "submission": submission}
    raise Submitted({"role": "exit", "content": submission, "extra": extra})


@contextmanager
def image_environment(kind: str, image: str, seconds: int, caller: Caller) -> Iterator[Any]:
    """Yield the environment of one task's image, its history cut.

    ``kind`` is "docker", "podman" or "singularity"; ``seconds`` limits each command.  Raises
    `ItemError` if the image does not start, its repository is not as it should be, or container,
    engine or disk fail.
    """
    mini_swe_agent.load()
    if kind == "singularity":
        with _singularity(image, seconds) as environment:
            yield environment
        return
    answering = engine(kind)
    if answering is None:
        raise ItemError(f"no {kind} engine answers")
    name = image if kind == "docker" else qualified(image)
    container = TaskContainer(answering, name, mini_swe_agent.config()["environment"]["env"])

    async def command(text: str, limit: float) -> Result:
        async with slots():
            return await container.run(text, limit)

    try:
        caller(container.start)
        cut = caller(lambda: command(_CUT, _CUT_SECONDS))
        _check_cut(image, cut.exit_code, cut.reason or cut.stdout.decode(errors="replace"))
        yield SandboxEnvironment(lambda text: caller(lambda: command(text, seconds)))
        caller(container.check_disk)
    finally:
        container.remove()


@contextmanager
def _singularity(image: str, seconds: int) -> Iterator[Any]:
    from minisweagent.environments.singularity import SingularityEnvironment

    settings = {**mini_swe_agent.config()["environment"], "timeout": seconds}
    del settings["environment_class"], settings["interpreter"]
    try:
        source = f"docker://{qualified(image)}"
        environment: Any = SingularityEnvironment(image=source, **settings)
    except (OSError, subprocess.SubprocessError) as error:
        stderr = getattr(error, "stderr", None) or str(error)
        text = stderr.decode(errors="replace") if isinstance(stderr, bytes) else str(stderr)
        raise ItemError(f"{image} does not start: {_tail(text)}") from error
    try:
        cut = environment.execute({"command": _CUT}, timeout=_CUT_SECONDS)
        _check_cut(image, cut["returncode"], cut["output"])
        yield environment
    finally:
        environment.cleanup()


def _check_cut(image: str, exit_code: int | None, printed: str) -> None:
    if exit_code != 0:
        raise ItemError(f"the history of {image} cannot be cut: {_tail(printed)}")


def _tail(text: str) -> str:
    return " ".join(text.split())[-300:]


def qualified(image: str) -> str:
    """Return an image's name with its registry: docker's own where it names none."""
    first, slash, _ = image.partition("/")
    return image if slash and ("." in first or ":" in first) else f"docker.io/{image}"
