"""Small repositories with real bugs, as a SWE-bench task repository: they need no docker.

One file of ``tasks/`` per bug.  They are ours and are not SWE-bench.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DATASET = "contextrl-harness/docker-free-tasks"
STANDS_IN_FOR = ("swebench_verified", "swebench_lite")
REPOSITORY = "repository"  # the folder in a task's folder that holds the files to work on

_SOURCES = Path(__file__).with_name("tasks")

# In the form of SWE-bench's own scripts: reset the tests, patch them, run them, reset them.
_EVALUATION = """#!/bin/bash
set -uxo pipefail
cd /testbed
git checkout HEAD {tests}
git apply -v - <<'EOF_114329324912'
{patch}EOF_114329324912
: '>>>>> Start Test Output'
python -m pytest -rA -p no:cacheprovider {tests}
: '>>>>> End Test Output'
git checkout HEAD {tests}
"""


def names() -> tuple[str, ...]:
    """Return the instance ids, sorted."""
    return tuple(f"micro__{path.stem}" for path in sorted(_SOURCES.glob("*.yaml")))


def write(directory: Path) -> None:
    """Write the task repository in the place of both sets, ``directory/<benchmark id>/``."""
    for benchmark in STANDS_IN_FOR:
        _write(directory / benchmark)


def _write(folder: Path) -> None:
    import yaml

    folder.mkdir(parents=True)
    head = {"datasets": [DATASET], "splits": ["test"]}
    (folder / "sweb.yaml").write_text(yaml.safe_dump(head), encoding="utf-8")
    for name in names():
        path = _SOURCES / f"{name.removeprefix('micro__')}.yaml"
        source = yaml.safe_load(path.read_text(encoding="utf-8"))
        for place, text in _files(name, source).items():
            target = folder / "tasks" / name / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")


def _files(name: str, source: Mapping[str, Any]) -> dict[str, str]:
    """Return the files of a task's folder by name."""
    import yaml

    before: dict[str, str] = source["files"]
    fixed, tested = _fixed(source), _tested(source)
    test_patch = _patch(before, tested)
    (tests,) = source["new_tests"]
    entry = {
        "instance_id": name,
        "repo": f"micro/{name.removeprefix('micro__').rpartition('-')[0]}",
        "version": "1",
        "base_commit": "HEAD",
        "image": "none",
        "log_parser": "parse_log_pytest",
        "eval_type": "pass_and_fail",
        "split": "test",
        "datasets": [DATASET],
    }
    named = {
        key: [f"{tests}::{test}" for test in source[key]]
        for key in ("FAIL_TO_PASS", "PASS_TO_PASS")
    }
    return {
        "task.yaml": yaml.safe_dump(entry),
        "tests.json": json.dumps(named, indent=2) + "\n",
        "problem_statement.md": source["problem_statement"],
        "gold.patch": _patch(before, fixed),
        "test.patch": test_patch,
        "eval.sh": _EVALUATION.format(tests=tests, patch=test_patch),
        **{f"{REPOSITORY}/{path}": text for path, text in before.items()},
    }


def _fixed(source: Mapping[str, Any]) -> dict[str, str]:
    files = dict(source["files"])
    for change in source["fix"]:
        old, new = change["old"].rstrip("\n"), change["new"].rstrip("\n")
        if files[change["file"]].count(old) != 1:
            raise ValueError(f"{change['file']} holds {old!r} other than once")
        files[change["file"]] = files[change["file"]].replace(old, new)
    return files


def _tested(source: Mapping[str, Any]) -> dict[str, str]:
    added = source["new_tests"]
    return {path: f"{source['files'][path]}\n\n{text}" for path, text in added.items()}


def _patch(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return the changes as git writes them."""
    lines: list[str] = []
    for path, text in after.items():
        if text != before[path]:
            lines.append(f"diff --git a/{path} b/{path}\n")
            lines += difflib.unified_diff(
                before[path].splitlines(keepends=True),
                text.splitlines(keepends=True),
                f"a/{path}",
                f"b/{path}",
            )
    return "".join(lines)
