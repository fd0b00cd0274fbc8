"""Which functions and classes a hunk of a patch changes, from its own lines and its heading.

Python by indentation, other languages by tree-sitter where it is installed, else by the heading
that git writes after ``@@``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Any


@dataclass(frozen=True, slots=True)
class Scopes:
    """Qualified names of what is changed, with those around them.

    ``unnamed``: a change is inside something that the hunk does not name.
    """

    names: frozenset[str]
    unnamed: bool = False

    def __or__(self, other: Scopes) -> Scopes:
        return Scopes(self.names | other.names, self.unnamed or other.unnamed)


_PYTHON = frozenset({".py", ".pyi", ".pyx"})
# File suffix -> its grammar in tree-sitter-language-pack.
_GRAMMARS = {
    ".c": "c", ".cc": "cpp", ".cpp": "cpp", ".cs": "csharp", ".cxx": "cpp", ".go": "go",
    ".h": "cpp", ".hpp": "cpp", ".java": "java", ".js": "javascript", ".jsx": "javascript",
    ".kt": "kotlin", ".lua": "lua", ".mjs": "javascript", ".php": "php", ".rb": "ruby",
    ".rs": "rust", ".scala": "scala", ".swift": "swift", ".ts": "typescript", ".tsx": "tsx",
}  # fmt: skip


# Files without functions: a change there never makes two patches alike.
_TEXTS = frozenset(
    ["", ".cfg", ".css", ".csv", ".html", ".ini", ".json", ".lock", ".md", ".rst", ".svg", ".toml",
     ".txt", ".xml", ".yaml", ".yml"]
)  # fmt: skip


def scopes_of(path: str, hunk: Any) -> Scopes:
    """Return what a hunk (of unidiff) of the file ``path`` changes, before or after the patch."""
    suffix = PurePosixPath(path).suffix.lower()
    heading = (hunk.section_header or "").rstrip()
    result = Scopes(frozenset())
    for side in ("is_removed", "is_added"):
        other = "is_added" if side == "is_removed" else "is_removed"
        lines = [line for line in hunk if not getattr(line, other) and line.line_type != "\\"]
        changed = [
            index for index, line in enumerate(lines) if getattr(line, side) and line.value.strip()
        ]
        if changed:
            code = [line.value.rstrip("\n") for line in lines]
            result |= _in_code(suffix, heading, code, changed)
    return result


def _in_code(suffix: str, heading: str, code: Sequence[str], changed: Sequence[int]) -> Scopes:
    if suffix in _PYTHON:
        return python_scopes(heading, code, changed)
    if (grammar := _GRAMMARS.get(suffix)) and (parser := _parser(grammar)):
        return _parsed_scopes(parser, heading, code, changed)
    return Scopes(frozenset()) if suffix in _TEXTS else brace_scopes(heading, code, changed)


UNKNOWN = "?"
"""The class of a method whose heading is all that is known: git may write it without its class."""

# "def f(self, x):" at the margin; not "def f(x):".
_METHOD = re.compile(r"^(?:async\s+)?def\s+\w+\((?:self|cls)\b")
# What the lines below may be in: "    if a:  # why", "x = {"; not "):", which ends a header.
_OPENS = re.compile(r"^\s*[A-Za-z_].*[:(\[{]\s*(?:#.*)?$")
# "    async def f(self):", "class A(B):"; not "define(x)".
_PYTHON_HEADER = re.compile(r"^(\s*)(?:async\s+def|def|class|cdef class|cpdef)\s+(\w+)")


def python_scopes(heading: str, code: Sequence[str], changed: Sequence[int]) -> Scopes:
    """Return what the lines ``changed`` of a piece of Python belong to, by indentation.

    ``heading`` is the nearest line above the piece that begins a function or class at the left
    margin, as git writes it, or ''.
    """
    lines = [heading, *code]
    return _by_indentation(lines, [_anchor(lines, n + 1) for n in changed], _python_name)


def brace_scopes(heading: str, code: Sequence[str], changed: Sequence[int]) -> Scopes:
    """Return what lines of a language with braces belong to, by indentation: without a parser."""
    heads = [heading, *code]
    for index, line in enumerate(heads[1:], 1):
        if line.strip() == "{":  # of the header above it
            heads[index - 1] += " {"
    return _by_indentation(heads, [number + 1 for number in changed], _brace_name)


NameOf = Callable[[str, bool], str | None]
"""The name that a line defines, None for another line; the flag: it is git's heading."""


def _python_name(line: str, is_heading: bool) -> str | None:
    match = _PYTHON_HEADER.match(line)
    if match and is_heading and _METHOD.match(line):
        return f"{UNKNOWN}.{match[2]}"
    return match[2] if match else None


# "if (x) {", "} else {", "return f(x) {"; not "iffy(x) {".
_CONTROL = re.compile(
    r"^[}\s]*(?:if|else|for|while|switch|catch|try|do|return|match|select|case)\b"
)


def _brace_name(line: str, is_heading: bool) -> str | None:
    opens = is_heading or re.search(r"\{\s*(?://.*)?$", line)
    return heading_name(line.strip()) if opens and not _CONTROL.match(line) else None


def _by_indentation(lines: Sequence[str], indices: Sequence[int], name_of: NameOf) -> Scopes:
    names: set[str] = set()
    unnamed = False
    for index in indices:
        chain, complete = _enclosing(lines, index, name_of)
        names |= _prefixes(chain)
        unnamed |= not chain and not complete
    return Scopes(frozenset(names), unnamed)


def _prefixes(chain: Sequence[str]) -> set[str]:
    """Return the qualified names of a chain: of A, f they are A and A.f."""
    return {".".join(chain[:end]) for end in range(1, len(chain) + 1)} - {UNKNOWN}


def same_scopes(first: frozenset[str], second: frozenset[str]) -> frozenset[str]:
    """Return the names that are in both; a method of a class not known fits any class."""
    fitting = {
        name
        for mine, others in ((first, second), (second, first))
        for name in mine
        if name.startswith(f"{UNKNOWN}.") and any(other.endswith(name[1:]) for other in others)
    }
    return (first & second) | fitting


def _anchor(lines: Sequence[str], index: int) -> int:
    """Return the line that tells where a line belongs.

    The end of a statement belongs to its first line, a decorator to its ``def``.
    """
    if lines[index].lstrip().startswith((")", "]", "}")):
        index = _above(lines, index, _indent(lines[index]) + 1)
    opener = _above(lines, index, _indent(lines[index]))
    if lines[opener].lstrip().startswith("@"):
        index = opener
    if lines[index].lstrip().startswith("@"):
        margin = _indent(lines[index])
        for later in range(index + 1, len(lines)):
            match = _PYTHON_HEADER.match(lines[later])
            if match and _indent(lines[later]) == margin:
                return later
    return index


def _above(lines: Sequence[str], index: int, margin: int) -> int:
    """Return the nearest line above that is indented by less, else the line itself."""
    for number in range(index - 1, 0, -1):
        if lines[number].strip() and _indent(lines[number]) < margin:
            return number
    return index


def _enclosing(lines: Sequence[str], index: int, name_of: NameOf) -> tuple[list[str], bool]:
    """Return the names around a line, outermost first, and whether the outermost is at the margin.

    Line 0 is the heading: it may lie far above, and holds only for lines that are indented.
    """
    margin = _indent(lines[index])
    chain = [name_of(lines[index], False)]
    for number in range(index - 1, -1, -1):
        line = lines[number]
        if margin and line.strip() and _indent(line) < margin:
            name = name_of(line, number == 0)
            chain.append(name)
            if name or (number and _OPENS.match(line)):
                margin = _indent(line)
    names = [part for name in reversed(chain) if name for part in name.split(".")]
    return names, margin == 0


def _indent(line: str) -> int:
    return len(line.expandtabs(8)) - len(line.expandtabs(8).lstrip())


# The name in a heading: "func (s *S) Run(ctx", "class A extends B", "static int f(void)".
_TYPE_HEADING = re.compile(
    r"\b(?:class|struct|interface|trait|enum|module|namespace|object|impl(?:<[^>]*>)?)\s+([\w:.]+)"
)
# type Server struct {; not "typed(x)".
_GO_TYPE = re.compile(r"^type\s+(\w+)")
_CALL_HEADING = re.compile(r"([A-Za-z_$][\w$]*)\s*(?:<[^>()]*>)?\s*(?:=\s*(?:async\s*)?)?\(")
_RECEIVER = re.compile(r"^func\s*\(\s*\w*\s*\*?(\w+)[^)]*\)\s*(\w+)")


def heading_name(heading: str) -> str | None:
    """Return the function or class that git's heading of a hunk names, None without one.

    ``func (s *Server) Run(ctx)`` gives ``Server.Run``.
    """
    if match := _RECEIVER.match(heading):
        return f"{match[1]}.{match[2]}"
    if match := _PYTHON_HEADER.match(heading):
        return match[2]
    for pattern in (_GO_TYPE, _TYPE_HEADING, _CALL_HEADING):
        if match := pattern.search(heading):
            return match[1]
    return None


@cache
def _parser(grammar: str) -> Any:
    try:
        from tree_sitter_language_pack import get_parser
    except ImportError:
        return None
    return get_parser(grammar)


def tree_sitter_missing() -> bool:
    """Whether there is no tree-sitter here: functions then come from git's headings alone."""
    return _parser("go") is None


def _parsed_scopes(
    parser: Any, heading: str, code: Sequence[str], changed: Sequence[int]
) -> Scopes:
    """Return scopes by a parser that forgives what a piece of a file lacks."""
    lines = [heading, *code]
    text = "\n".join(lines)
    missing = text.count("{") - text.count("}")
    tree = parser.parse((text + "\n" + "}\n" * max(missing, 0)).encode())
    names: set[str] = set()
    unnamed = False
    for index in changed:
        chain = _chain(
            tree.root_node, index + 1, len(lines[index + 1]) - len(lines[index + 1].lstrip())
        )
        if not chain and (name := heading_name(heading)) and _indent(lines[index + 1]):
            chain = name.split(".")
        names |= _prefixes(chain)
        unnamed |= not chain and _indent(lines[index + 1]) > 0
    return Scopes(frozenset(names), unnamed)


def _chain(root: Any, row: int, column: int) -> list[str]:
    node = root.descendant_for_point_range((row, column), (row, column))
    names: list[str] = []
    while node is not None:
        if (name := _defined(node)) and (not names or names[-1] != name):
            names.append(name)
        node = node.parent
    return [part for name in reversed(names) for part in name.split(".")]


_DEFINES = re.compile(
    r"(function|method|constructor|class|struct|interface|trait|impl|enum|object|module|type)"
    r"(_definition|_declaration|_item|_specifier|_statement|_spec)?$|^singleton_method$"
)


def _defined(node: Any) -> str | None:
    """Return the name that a node of a syntax tree defines, None if it defines nothing."""
    if node.type in ("variable_declarator", "assignment_expression"):
        value = node.child_by_field_name("value") or node.child_by_field_name("right")
        if value is None or "function" not in value.type:
            return None
    elif not node.is_named or not _DEFINES.search(node.type):
        return None
    for field in ("name", "declarator", "type", "left"):
        if (child := node.child_by_field_name(field)) is not None:
            name = _identifier(child)
            break
    else:
        return None
    receiver = node.child_by_field_name("receiver")
    if receiver is not None and (match := re.search(r"\*?(\w+)\s*\)$", _text(receiver))):
        return f"{match[1]}.{name}"
    return name


def _identifier(node: Any) -> str:
    """Return the name in a declarator, which C nests."""
    while (inner := node.child_by_field_name("declarator")) is not None:
        node = inner
    return re.sub(r"\s+|<.*>", "", _text(node)).replace("::", ".")


def _text(node: Any) -> str:
    return bytes(node.text).decode(errors="replace")
