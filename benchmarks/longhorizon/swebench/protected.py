"""Files that decide how tests run, and not what the code does: a patch may not win by them.

Official tasks are graded as swebench grades them, and such patches are flagged.  In docker-free
tasks the files are as they were before the tests run.  Code under test still runs in the process of
its tests: a patch that attacks pytest from there is not prevented.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

_NAMES = {
    "conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini",
    "setup.cfg", "pyproject.toml", "sitecustomize.py", "usercustomize.py",
}  # fmt: skip
# Modules that ``python -m pytest`` imports: it looks into the working folder first.
_IMPORTED = sys.stdlib_module_names | {
    "pytest", "_pytest", "pluggy", "iniconfig", "packaging", "py", "pygments",
}  # fmt: skip
_HEADER = re.compile(
    r"^(?:\+\+\+|---|rename from|rename to|copy to|diff --git a/\S+) \"?(?:[ab]/)?([^\t\n\"]+)",
    re.MULTILINE,
)


def configures_tests(path: str) -> bool:
    """Return whether a file of this name configures Python or pytest, or is compiled code."""
    name = PurePosixPath(path)
    return name.name in _NAMES or name.suffix in {".pth", ".pyc"}


def changed_files(patch: str) -> list[str]:
    """Return the files that a patch names: changed, added, removed, or renamed."""
    return list(dict.fromkeys(_HEADER.findall(patch)))


def touched(patch: str) -> list[str]:
    """Return the files that a patch changes, adds or renames to, of those that configure tests."""
    return list(filter(configures_tests, changed_files(patch)))


def to_restore(
    changed: Iterable[str], tests: Collection[str], top_level: Collection[str]
) -> list[str]:
    """Return which of the changed files are restored before the tests of a docker-free task run.

    Args:
        changed: paths relative to the repository.
        tests: the tests that decide, ``file::test``: their files, and all in the folders of these.
        top_level: the names that the repository had at its top before the patch; a new one may not
            stand in for a module of Python or pytest.
    """
    files = {PurePosixPath(test.partition("::")[0]) for test in tests}
    folders = {file.parent for file in files} - {PurePosixPath(".")}

    def decides(path: str) -> bool:
        name, top = PurePosixPath(path), PurePosixPath(path).parts[0]
        shadows = top not in top_level and top.partition(".")[0] in _IMPORTED
        return (
            shadows
            or configures_tests(path)
            or name in files
            or not folders.isdisjoint(name.parents)
        )

    return [path for path in changed if decides(path)]
