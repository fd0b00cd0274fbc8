"""Mask tokens, and which lines of a text belong to a patch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

MASK, ISSUE = "[MASKED]", "[ISSUE]"
# Shorter lines (`else:`, `return x`) match only as whole lines.
LONG = 12


# How programs write files: open(p, "w"), p.write_text(t), fs.writeFileSync, sed -i.
WRITES = re.compile(
    r"\.write\w*\(|writeFile|write_text|write_bytes|open\([^)]*['\"][wax]b?\+?['\"]|open\([^)]*r\+"
    r"|inplace|File\.write|file_put_contents|json\.dump\(|copyfile|shutil\.copy|os\.rename"
    r"|\b(?:sed|perl|ruby)\s+-\w*i"
)


@dataclass(frozen=True)
class Secret:
    """What a context must not show: files touched by patches, and the lines they add.

    Both contexts of a pair have the same secret, from both reference patches and both trajectories'
    submissions, so that masks reveal nothing.
    """

    files: frozenset[str]
    added: frozenset[str]

    @cached_property
    def _long(self) -> re.Pattern[str] | None:
        lines = sorted((line for line in self.added if len(line) >= LONG), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, lines))) if lines else None

    def touches(self, path: str | None) -> bool:
        """Whether a path names a patch's file; true for an unknown path.

        Agents write paths from any folder: ``/testbed/a/b.py`` and ``b.py`` are both ``a/b.py``.
        """
        if path is None:
            return True
        given = PurePosixPath(path.strip("'\" ")).parts
        return any(_is_suffix(given, PurePosixPath(file).parts) for file in self.files)

    def is_program(self, text: str) -> bool:
        """Whether a text is a program that writes a patch's file and names it."""
        return bool(WRITES.search(text)) and bool(self._names.search(text))

    @cached_property
    def _names(self) -> re.Pattern[str]:
        r"""Matches whole file names: for ``io.py`` not ``studio.py``, but ``a\nio.py``."""
        names = (re.escape(PurePosixPath(file).name) for file in sorted(self.files))
        return re.compile(rf"(?:(?<![\w-])|(?<=\\[nrt]))(?:{'|'.join(names) or '(?!)'})(?!\w)")

    def mask_lines(self, text: str) -> str:
        """Replace the patches' lines in a text by masks, one for each run of whole lines."""
        lines: list[str] = []
        for line in text.split("\n"):
            if not self.added.isdisjoint(_forms(line)):
                if not lines or lines[-1] != MASK:
                    lines.append(MASK)
            else:
                lines.append(self._long.sub(MASK, line) if self._long else line)
        return "\n".join(lines)

    def lines_in(self, text: str) -> Iterator[str]:
        """Yield the patches' lines found in a text."""
        for line in text.split("\n"):
            if not self.added.isdisjoint(_forms(line)):
                yield line
            elif self._long and (match := self._long.search(line)):
                yield match[0]


def _is_suffix(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    first, second = (tuple(p for p in parts if p not in ("/", ".")) for parts in (first, second))
    shorter = min(len(first), len(second))
    return shorter > 0 and first[-shorter:] == second[-shorter:]


# Prefixes by `cat -n`, editors and diffs: " 12\t", "12: ", "+".
_NUMBER = re.compile(r"^\s*(?:\d+\s*[\t|:→]|[+](?!\+))\s*")


def _forms(line: str) -> tuple[str, str]:
    """Return a line without its indentation, and also without a number or a diff's sign."""
    return line.strip(), _NUMBER.sub("", line, count=1).strip()


# "@@ -3,7 +3,8 @@ def f():"; not "@@ see above".
_HUNK = re.compile(r"^@@ -\d+(?:,(\d{1,9}))? \+\d+(?:,(\d{1,9}))? @@")
# Written by `diff` without -u before a change: "12c12,14", "3d2".
_PLAIN_HUNK = re.compile(r"^\d+(?:,\d+)?[acd]\d+(?:,\d+)?$")
# Its lines of either side: "< a", ">" (a blank line), "---", "\\ No newline at end of file".
_PLAIN_LINE = re.compile(r"[<>](?:\s|$)|---|\\")
_COLOUR = re.compile(r"\x1b\[[\d;]*[mK]")
# Inline marks of `git diff --word-diff`: [-old-]{+new+}, or red and green.
_WORDS = re.compile(r"\[-.*-\]|\{\+.*\+\}|\x1b\[(?:\d+;)*3[12]m")
_ENDLESS = 1 << 62


def mask_diffs(text: str, secret: Secret) -> str:
    """Replace the hunks of diffs in a text, with one mask per file.

    Diffs of files that no patch touches stay; a diff that names no file is masked.
    """
    return "\n".join(_without_hunks(text.split("\n"), secret))


def _without_hunks(lines: Sequence[str], secret: Secret) -> Iterator[str]:
    by_words = "~" in lines  # ends every line of --word-diff=porcelain, which then does not count
    old = new = left = 0  # lines left in the hunk on either side, or in a diff by words
    path: str | None = None
    plain = masking = masked = False
    for line in lines:
        seen = _COLOUR.sub("", line).rstrip("\r")
        inside = old > 0 or new > 0
        left -= 1
        plain = bool(_PLAIN_HUNK.match(seen)) or bool(plain and _PLAIN_LINE.match(seen))
        if match := _HUNK.match(seen):
            old, new = (_ENDLESS if by_words else int(match[n] or 1) for n in (1, 2))
            inside, masking, left = True, secret.touches(path), 0
        elif inside and (not seen or seen[0] in (" +-~" if by_words else " +-")):
            old -= seen[:1] != "+"
            new -= seen[:1] != "-"
        elif not seen.startswith("\\"):
            left = old + new if inside and not by_words else left
            inside, old, new = plain or (left > 0 and bool(_WORDS.search(line))), 0, 0
            masking = inside and secret.touches(None if plain else path)
            if not plain and seen.startswith(("--- ", "+++ ")) and seen[4:] != "/dev/null":
                path = re.sub(r"^[ab]/", "", seen[4:].partition("\t")[0])
            elif seen.startswith("diff "):
                path, left = None, 0
        if inside and masking:
            if not masked:
                yield MASK
            masked = True
        elif not (masked and seen.startswith("\\")):
            masked = False
            yield line
