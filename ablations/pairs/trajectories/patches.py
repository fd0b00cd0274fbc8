"""Parse reference patches: changed files, functions and classes, and added lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from ablations.pairs.trajectories.scopes import Scopes, same_scopes, scopes_of


@dataclass(frozen=True)
class ReferencePatch:
    """A parsed patch.

    ``scopes``: the functions and classes that it changes, by file; a method also counts for its
    class (``A``, ``A.f``). ``regions``: the first and last line of its hunks by file, in the code
    of the base commit. ``unknown``: files in which it changes a function that the patch does not
    name. ``added``: the lines that it adds, stripped, without blank ones. ``paths``: files, and
    what they are renamed to; everywhere else files have their names at the base commit.
    """

    text: str
    scopes: Mapping[str, frozenset[str]]
    regions: Mapping[str, tuple[tuple[int, int], ...]]
    unknown: frozenset[str]
    added: frozenset[str]
    paths: frozenset[str]

    @property
    def files(self) -> frozenset[str]:
        """The paths of the files that it changes."""
        return frozenset(self.scopes)

    def shared_files(self, other: ReferencePatch) -> frozenset[str]:
        """The files that both change."""
        return self.files & other.files

    def shared_scopes(self, other: ReferencePatch) -> tuple[str, ...]:
        """Return ``file:function`` for everything that both change, sorted.

        If neither names the function, hunks that overlap at the base commit count as
        ``file:lines``: no function begins between their changes.
        """
        shared = []
        for path in sorted(self.shared_files(other)):
            names = same_scopes(self.scopes[path], other.scopes[path])
            shared += [f"{path}:{name}" for name in sorted(names)]
            unnamed = path in self.unknown and path in other.unknown
            both = product(self.regions[path], other.regions[path])
            if not names and unnamed and any(a <= d and c <= b for (a, b), (c, d) in both):
                shared.append(f"{path}:lines")
        return tuple(shared)


def read_patch(text: str, *, reverse: bool = False) -> ReferencePatch | None:
    """Parse a unified diff; None if it is not one, or changes no text.

    With ``reverse`` it is a patch that introduces the fault (as published by SWE-smith): the
    reference is its inverse, and line numbers are those of the sound code.
    """
    from unidiff.errors import UnidiffParseError
    from unidiff.patch import PatchSet

    try:
        given = PatchSet(text)
        patch = PatchSet(reversed_patch(text)) if reverse else given
    except (UnidiffParseError, UnicodeDecodeError, ValueError):
        return None
    scopes: dict[str, frozenset[str]] = {}
    regions, paths = {}, set[str]()
    unknown, added = set(), set()
    for base, file in zip(given, patch, strict=True):
        if not len(file):
            continue
        path, *renamed = _names(base)
        changes = Scopes(frozenset())
        for hunk in file:
            changes |= scopes_of(path, hunk)
            added |= {line.value.strip() for line in hunk if line.is_added}
        if changes.unnamed:
            unknown.add(path)
        scopes[path] = changes.names
        regions[path] = tuple(
            (hunk.source_start, hunk.source_start + max(hunk.source_length, 1) - 1) for hunk in base
        )
        paths |= {path, *renamed}
    if not scopes:
        return None
    rendered = str(patch) if reverse else text
    return ReferencePatch(
        rendered, scopes, regions, frozenset(unknown), frozenset(added - {""}), frozenset(paths)
    )


_NONE = "/dev/null"


def _names(file: Any) -> list[str]:
    """Return a patched file's paths (of unidiff) before and after; for a new one, after."""
    names = (file.source_file, file.target_file)
    letters = ("a/", "b/") if _prefixed(*names) else ("", "")
    plain = map(str.removeprefix, names, letters)
    return list(dict.fromkeys(name for name in plain if name != _NONE))


def _prefixed(old: str, new: str) -> bool:
    """Whether paths begin with git's ``a/`` and ``b/``; else these are folders."""
    return all(
        name.startswith(letter) or name.split("\t")[0].rstrip() == _NONE
        for name, letter in ((old, "a/"), (new, "b/"))
    )


_MODES = {"new file mode": "deleted file mode", "deleted file mode": "new file mode"}
# @@ -3,7 +3,8 @@ def f():   but not   @@@ -1,2 -1,2 +1,3 @@@ (a merge)
_HUNK = re.compile(r"^@@ -(\S+) \+(\S+) @@(.*)$", re.DOTALL)


def reversed_patch(text: str) -> str:
    """Return the inverse of a patch, like ``git apply --reverse``."""
    lines = text.splitlines(keepends=True)
    result: list[str] = []
    removed: list[str] = []
    added: list[str] = []
    for before, line, after in zip(["", *lines], lines, [*lines[1:], ""], strict=False):
        if line.startswith("--- ") and after.startswith("+++ "):
            result += _exchanged(line, after)
            continue
        if line.startswith("+++ ") and before.startswith("--- "):
            continue
        if line[:1] == "+":
            removed.append("-" + line[1:])
        elif line[:1] == "-":
            added.append("+" + line[1:])
        elif line[:1] == "\\" and (removed or added):  # belongs to the line before it
            (removed if before[:1] == "+" else added).append(line)
        else:
            result += [*removed, *added, _header(line)]
            removed, added = [], []
    return "".join([*result, *removed, *added])


def _exchanged(removed: str, added: str) -> tuple[str, str]:
    """Return the ``---`` and the ``+++`` line with each other's path."""
    old, new = removed[4:], added[4:]
    if _prefixed(old, new):
        old, new = re.sub("^a/", "b/", old), re.sub("^b/", "a/", new)
    return f"--- {new}", f"+++ {old}"


def _header(line: str) -> str:
    if match := _HUNK.match(line):
        return f"@@ -{match[2]} +{match[1]} @@{match[3]}"
    for old, new in _MODES.items():
        if line.startswith(old):
            return line.replace(old, new, 1)
    return line
