"""Grades a patch: applies it to a fresh copy and runs the task's tests, read by swebench's parsers.

A failure of the patch is a `Verdict`; a failure of the container or grader an `ItemError`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.longhorizon.swebench import mini_swe_agent
from benchmarks.longhorizon.swebench.protected import changed_files, to_restore
from benchmarks.longhorizon.swebench.tasks import Task
from benchmarks.longhorizon.swebench.threads import slots
from benchmarks.longhorizon.swebench.workspace import (
    Workspace,
    describe_image_limits,
    workspace,
)
from harness.backends.http.urls import without_keys
from harness.errors import ItemError
from harness.files.scratch import Scratch
from harness.files.text import last_line
from harness.sandbox import Sandbox
from harness.sandbox.engine import owner

# The ways to apply a patch, in order: GIT_APPLY_CMDS of swebench/harness/run_evaluation.py 5.0.2,
# each after the first from a clean tree again.  Exit code 77: none of them did it.  git lets no
# patch write into .git; patch would, so it works without one.
_APPLY = """cat > /tmp/patch.diff
try() { "$@" /tmp/patch.diff || { git checkout -q -- . ; git clean -qfd; false; }; }
git apply --verbose /tmp/patch.diff && exit 0
git checkout -q -- . ; git clean -qfd
try git apply --verbose --3way && exit 0
try git apply --verbose --reject && exit 0
mv .git /tmp/dot-git
patch --batch --forward --fuzz=5 -p1 -i /tmp/patch.diff && applied=yes
rm -rf .git
mv /tmp/dot-git .git
[ "$applied" ] && exit 0
exit 77
"""
# The changed files, separated by NUL.  A repository inside would hide its files.
_CHANGED = """find . -mindepth 2 -name .git -exec rm -rf {} +
git add --all --force && git diff --cached --no-renames --name-only -z HEAD && git reset --quiet
"""
_RESTORE = """xargs -0 -n 1 sh -c \
'git --literal-pathspecs checkout --quiet HEAD -- "$0" 2>/dev/null || rm -rf -- "$0"'
"""
_NOT_APPLIED = 77
_APPLY_SECONDS = 60.0
_EVALUATE = "cat > /tmp/eval.sh; exec bash /tmp/eval.sh < /dev/null"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a patch: ``applied`` to the repository or not, ``resolved`` or not, and why."""

    applied: bool
    resolved: bool
    why: str


@lru_cache(maxsize=1)
def grader() -> str:
    """Return name and version of the grader."""
    return f"swebench {version('swebench')}"


async def grade(task: Task, patch: str, sandbox: Sandbox | None, seconds: int) -> Verdict:
    """Grade one patch (a diff; "" runs the tests on the repository as it is).

    ``sandbox`` is for tasks with files of their own; the tests may run for ``seconds``.  Raises
    `ItemError` on a failure of infrastructure.
    """
    async with slots():
        if task.files is None:
            return await _in_container(task, patch, seconds)
        if sandbox is None:
            raise ItemError("the task needs a sandbox, and none was given")
        with workspace(sandbox, task.files) as folder:
            return await _in_sandbox(task, patch, folder, seconds)


async def _in_sandbox(task: Task, patch: str, folder: Workspace, seconds: int) -> Verdict:
    if patch and not await _applies(patch, folder):
        return Verdict(False, False, "the patch does not apply")
    restored = await _protect(task, folder) if patch else []
    spec = await asyncio.to_thread(_spec, task.row)
    script = spec.eval_script.encode()
    result = await folder.run(("bash", "-c", _EVALUATE), stdin=script, seconds=seconds)
    if result.status not in ("ok", "signal"):
        return Verdict(True, False, f"the tests did not end: {result.reason}")
    log = result.stdout.decode("utf-8", errors="replace")
    verdict = await asyncio.to_thread(_read, spec, task.id, patch, log)
    if restored:
        verdict = replace(verdict, why=f"{verdict.why}; restored first: {', '.join(restored)}")
    return verdict


async def _protect(task: Task, folder: Workspace) -> list[str]:
    """Restore the files that decide how the tests run (`protected`); return which were changed."""
    assert task.files is not None
    changed = await folder.run(("bash", "-c", _CHANGED), seconds=_APPLY_SECONDS)
    if changed.status != "ok" or changed.exit_code != 0:
        raise ItemError(f"git failed: {changed.stdout[-300:].decode(errors='replace')}")
    paths = [path for path in changed.stdout.decode(errors="surrogateescape").split("\0") if path]
    tests = task.tests("FAIL_TO_PASS") + task.tests("PASS_TO_PASS")
    # What the reference patch changes is code, wherever the tests are.
    code = set(changed_files(str(task.row["patch"])))
    checked = [path for path in paths if path not in code]
    restored = to_restore(checked, tests, [path.name for path in task.files.iterdir()])
    if restored:
        names = "\0".join(restored).encode(errors="surrogateescape")
        done = await folder.run(("bash", "-c", _RESTORE), stdin=names, seconds=_APPLY_SECONDS)
        if done.status != "ok" or done.exit_code != 0:
            raise ItemError(f"restoring failed: {done.stdout[-300:].decode(errors='replace')}")
    return [name.encode(errors="surrogateescape").decode(errors="replace") for name in restored]


async def _applies(patch: str, folder: Workspace) -> bool:
    data = patch.encode("utf-8", errors="surrogateescape")
    result = await folder.run(("bash", "-c", _APPLY), stdin=data, seconds=_APPLY_SECONDS)
    if result.status == "ok" and result.exit_code == 0:
        return True
    if result.exit_code == _NOT_APPLIED or result.status in ("timeout", "output", "memory"):
        return False
    raise ItemError(f"applying the patch failed: {result.stdout[-300:].decode(errors='replace')}")


def _spec(row: Mapping[str, Any]) -> Any:
    with mini_swe_agent.quiet_import():
        from swebench.harness.utils import make_test_spec

    return make_test_spec(dict(row))


def _read(spec: Any, task_id: str, patch: str, log: str) -> Verdict:
    """Read a test log by swebench's own report, which reads a file."""
    from swebench.harness.grading import get_eval_report

    prediction = {"instance_id": task_id, "model_name_or_path": "patch", "model_patch": patch}
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as stream:
        stream.write(log)
        stream.flush()
        report = get_eval_report(spec, prediction, stream.name, include_tests_status=True)
    return verdict(report[task_id])


def verdict(report: Mapping[str, Any]) -> Verdict:
    """Return the verdict of swebench's report on one instance.

    Raises `ItemError` if the report says that the environment broke, not the patch.
    """
    if report.get("infra_failure"):
        raise ItemError(f"the environment broke: {report.get('infra_failure_reason')}")
    if "tests_status" not in report:
        reason = report.get("infra_failure_reason", "no test results in the output")
        return Verdict(True, False, f"the tests did not run ({reason})")
    counts = []
    for name in ("FAIL_TO_PASS", "PASS_TO_PASS"):
        tests = report["tests_status"][name]
        good, bad = len(tests["success"]), len(tests["failure"])
        counts.append(f"{name} {good} of {good + bad}")
    return Verdict(True, bool(report["resolved"]), ", ".join(counts))


async def _in_container(task: Task, patch: str, seconds: int) -> Verdict:
    """Grade with swebench's own containers, in a child process with a folder of its own.

    swebench keeps results under the working folder by run id and model name; both are new for
    each patch.
    """
    limits = describe_image_limits()
    job = {"row": dict(task.row), "patch": patch, "seconds": seconds, "limits": limits}
    job |= {"owner": owner(), "parent": os.getpid()}
    with Scratch("swe") as private:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.longhorizon.swebench.container_worker",
            cwd=private.path,
            env=_child_environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await process.communicate(json.dumps(job, default=str).encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    try:
        answer = json.loads(out.decode(errors="replace").strip().splitlines()[-1])
    except (ValueError, IndexError):
        last = last_line(err.decode(errors="replace")) or "no error message"
        raise ItemError(f"the grader died: {last}") from None
    if "error" in answer:
        raise ItemError(f"the grader failed: {answer['error']}")
    if "unresolved" in answer:
        return Verdict(bool(answer["applied"]), False, answer["unresolved"])
    return verdict(answer["report"])


def _child_environment() -> dict[str, str]:
    # The child works in a folder of its own, so it finds this project by its path.
    paths = filter(None, [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH")])
    path = os.pathsep.join(paths)
    return {**without_keys(os.environ), "PYTHONPATH": path, "PYTHON_DOTENV_DISABLED": "1"}
