"""Small repositories with real bugs, as a SWE-bench task repository: they need no docker.

One file of ``tasks/`` per bug.  They are ours and are not SWE-bench.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

DATASET = "contextrl-harness/docker-free-tasks"
STANDS_IN_FOR = ("swebench_verified", "swebench_lite")
REPOSITORY = "repository"  # the folder in a task's folder that holds the files to work on

SOURCES = Path(__file__).with_name("tasks")
"""The tasks with their fixes; hidden from the programs that work on them."""

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
    return tuple(f"micro__{path.stem}" for path in sorted(SOURCES.glob("*.yaml")))


def write(directory: Path) -> None:
    """Write the task repository in the place of both sets, ``directory/<benchmark id>/``."""
    import yaml

    head = {"datasets": [DATASET], "splits": ["test"]}
    files = {"sweb.yaml": yaml.safe_dump(head)}
    for name in names():
        text = (SOURCES / f"{name.removeprefix('micro__')}.yaml").read_text(encoding="utf-8")
        source = yaml.safe_load(text)
        files |= {f"tasks/{name}/{path}": text for path, text in _files(name, source).items()}
    for benchmark, (path, text) in product(STANDS_IN_FOR, files.items()):
        target = directory / benchmark / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def _files(name: str, source: Mapping[str, Any]) -> dict[str, str]:
    """Return the files of a task's folder by name."""
    import yaml

    before: dict[str, str] = source["files"]
    added: dict[str, str] = source["new_tests"]
    test_patch = _patch(before, {path: f"{before[path]}\n\n{text}" for path, text in added.items()})
    (tests,) = added
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
        "gold.patch": _patch(before, _fixed(source)),
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
