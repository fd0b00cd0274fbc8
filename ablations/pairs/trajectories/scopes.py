"""Which functions and classes a hunk of a patch changes, from its own lines and its heading.

Nesting is inferred from indentation, in every language. Names come from regular expressions in
Python, and from tree-sitter, if installed, in other languages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import permutations
from pathlib import PurePosixPath
from typing import Any


@dataclass(frozen=True, slots=True)
class Scopes:
    """Qualified names of what is changed, with the enclosing ones.

    ``unnamed``: a change is inside something that the hunk does not name.
    """

    names: frozenset[str]
    unnamed: bool = False

    def __or__(self, other: Scopes) -> Scopes:
        return Scopes(self.names | other.names, self.unnamed or other.unnamed)


UNKNOWN = "?"
"""The class of a method of which the hunk shows no class: git writes one heading, of any depth."""


@dataclass(frozen=True, slots=True)
class Language:
    """What is needed to read a piece of a file in one language.

    ``grammar`` is its name in tree-sitter-language-pack. ``method``: a heading that can only be a
    method's. ``nests``: functions are often inside functions. ``unit``: a heading of a function
    whose body is indented by more columns may be a method's; 0: git writes headings of the left
    margin only.
    """

    grammar: str | None = None
    method: str = r"(?!)"
    nests: bool = False
    unit: int = 4

    @property
    def braces(self) -> bool:
        """Whether blocks are in braces."""
        return self.grammar not in ("python", "ruby", "lua")


# "def f(self, x):"; not "def f(x):".
PYTHON = Language("python", r"(?:async\s+)?def\s+\w+\((?:self|cls)\b", nests=True)
BRACES = Language(None, unit=0)
_C, _CPP = replace(BRACES, grammar="c"), replace(BRACES, grammar="cpp")
_JS = replace(BRACES, grammar="javascript", nests=True)
_JAVA = Language("java", r".*\(")
_LANGUAGES = {
    ".c": _C, ".cc": _CPP, ".cpp": _CPP, ".cs": replace(_JAVA, grammar="csharp"), ".cxx": _CPP,
    ".go": replace(BRACES, grammar="go"), ".h": _CPP, ".hpp": _CPP, ".java": _JAVA, ".js": _JS,
    ".jsx": _JS, ".kt": Language("kotlin"), ".lua": Language("lua", nests=True), ".mjs": _JS,
    ".php": Language("php", r".*\b(?:public|private|protected|static)\b.*\("), ".py": PYTHON,
    ".pyi": PYTHON, ".pyx": PYTHON, ".rb": Language("ruby", unit=2),
    ".rs": Language("rust", r".*\bfn\b.*\(\s*&?(?:mut\s+)?self\b"),
    ".scala": Language("scala", nests=True), ".swift": Language("swift"),
    ".ts": replace(_JS, grammar="typescript"), ".tsx": replace(_JS, grammar="tsx"),
}  # fmt: skip

# Files without functions: a change there never makes two patches similar.
_TEXTS = frozenset(
    ["", ".cfg", ".css", ".csv", ".html", ".ini", ".json", ".lock", ".md", ".rst", ".svg", ".toml",
     ".txt", ".xml", ".yaml", ".yml"]
)  # fmt: skip


# Characters of a line that are looked at: patterns take time in the square of them.
_WIDEST = 10_000
# Of a hunk whose scopes are looked for: that takes time in the square of them.
_MOST_LINES = 20_000


def scopes_of(path: str, hunk: Any) -> Scopes:
    """Return what a hunk (of unidiff) of the file ``path`` changes, before or after the patch."""
    suffix = PurePosixPath(path).suffix.lower()
    heading = (hunk.section_header or "").rstrip()
    result = Scopes(frozenset())
    if suffix in _TEXTS or len(hunk) > _MOST_LINES:
        return Scopes(frozenset(), suffix not in _TEXTS)
    for side, other in permutations(("is_removed", "is_added")):
        lines = [line for line in hunk if not getattr(line, other) and line.line_type != "\\"]
        changed = [
            index for index, line in enumerate(lines) if getattr(line, side) and line.value.strip()
        ]
        code = [line.value.rstrip("\r\n") for line in lines]
        result |= scopes_in(_LANGUAGES.get(suffix, BRACES), heading, code, changed)
    return result


def scopes_in(
    language: Language, heading: str, code: Sequence[str], changed: Sequence[int]
) -> Scopes:
    """Return the scopes of the lines ``changed`` in a piece of code.

    ``heading`` is a line above the piece that begins a function or class, as git writes it without
    its indentation, or ''.
    """
    lines = [line[:_WIDEST] for line in (heading, *code)]
    heads = [_head(lines, number) for number in range(len(lines))] if language.braces else lines
    names: set[str] = set()
    unnamed = False
    for index in changed:
        chain, complete = _chain(lines, heads, index + 1, language)
        # Of A, f they are A and A.f.
        names |= {".".join(chain[:end]) for end in range(1, len(chain) + 1)} - {UNKNOWN}
        unnamed |= not chain and not complete
    return Scopes(frozenset(names), unnamed)


def same_scopes(first: frozenset[str], second: frozenset[str]) -> frozenset[str]:
    """Return the names in both; a function of an unknown class matches any class or none."""
    fitting = {
        name
        for mine, others in ((first, second), (second, first))
        for name in mine
        if name.startswith(f"{UNKNOWN}.")
        and any(f".{other}".endswith(name.removeprefix(UNKNOWN)) for other in others)
    }
    return (first & second) | fitting


def _chain(
    lines: Sequence[str], heads: Sequence[str], index: int, language: Language
) -> tuple[list[str], bool]:
    """Return the names around a line, outermost first, and whether the outermost is at the margin.

    Line 0 is the heading: it may be far above and at any depth, so it holds only for lines that
    nothing in the piece shows to be elsewhere.
    """
    start = _anchor(lines, index) if language is PYTHON else index
    margin = _indent(lines[start])
    headers, ended = [heads[start]], False
    for number in range(start - 1, 0, -1):
        line = lines[number]
        ended |= bool(_ENDS.match(line))
        if margin and line.strip() and _indent(line) < margin and _opens(heads[number], language):
            headers.insert(0, heads[number])
            margin = _indent(line)
    names = _names(headers, language)
    if not margin:
        return names, True
    around = [] if ended else _around(lines[: start + 1], names, language)
    if around[-1:] and around[-1] != UNKNOWN:  # a parser names members in their class
        inner = _names([heads[0], *headers], language)
        return ([*around, *(inner[len(around) :] or names)]), False
    return [*(around or ([UNKNOWN] if names else [])), *names], False


def _around(lines: Sequence[str], names: Sequence[str], language: Language) -> list[str]:
    """Return what the heading says that ``names``, of the last line, are inside of."""
    heading = lines[0]
    found = _names([_head(lines[:1], 0)], language) or [*filter(None, [heading_name(heading)])]
    if not found or _TYPE_HEADING.search(heading) or "." in "".join(found) or len(found) > 1:
        return found
    method = re.match(language.method, heading.strip()) is not None
    if names and (method or not language.nests):
        return [UNKNOWN]  # the function above the piece, beside this one
    columns = [_indent(line) for line in lines[1:] if line[:1].isspace() and line.strip()]
    deep = language.unit and min(columns, default=0) > language.unit
    return [UNKNOWN, *found] if method or deep else found


# "}" or "end" at the left margin, closing what the heading opens.
_ENDS = re.compile(r"[}\])]*\}|end\b")
# Lines that may enclose those below: " if a: # why", "x = {"; not "):", which ends a header.
_BLOCK = re.compile(r"^\s*[A-Za-z_].*[:(\[{]\s*(?:#.*)?$")
# "def f(x)", "class A < B", "items.each do |x|", "local function f()"; not "default = 1".
_WORDS = re.compile(
    r"^\s*(?:local\s+)?(?:class|module|def|if|unless|while|until|case|for|begin|function)\b"
    r"|\b(?:do(?:\s*\|.*\|)?|then)\s*$|[\[{(]\s*$"
)


def _opens(head: str, language: Language) -> bool:
    if not language.braces:
        pattern = _BLOCK if language is PYTHON else _WORDS
        return bool(pattern.search(head) or _PYTHON_HEADER.match(head))
    return not head.lstrip().startswith(("{", "}", ")")) and any(
        head.count(opening) > head.count(closing) for opening, closing in ("{}", "()", "[]")
    )


LONGEST = 60
"""Lines that a header has at most: of what is never closed the rest is not looked through."""


def _head(lines: Sequence[str], index: int) -> str:
    """Return a line with the rest of its parameters and the opening brace of its body."""
    head, later = lines[index], iter(lines[index + 1 : index + 1 + LONGEST])
    if index == 0:  # git's heading, possibly cut short
        return head and head + ")" * (head.count("(") - head.count(")")) + " {" * ("{" not in head)
    while head.count("(") > head.count(")") and (line := next(later, None)) is not None:
        head += f" {line.strip()}"
    line = next(later, "")
    return f"{head} {{" if line.strip() == "{" and _indent(line) == _indent(lines[index]) else head


# "    async def f(self):", "class A(B):"; not "define(x)".
_PYTHON_HEADER = re.compile(r"^(\s*)(?:async\s+def|def|class|cdef class|cpdef)\s+(\w+)")


def _anchor(lines: Sequence[str], index: int) -> int:
    """Return the line that determines where a line belongs.

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
    """Return the nearest line above with less indentation, else the line itself."""
    for number in range(index - 1, 0, -1):
        if lines[number].strip() and _indent(lines[number]) < margin:
            return number
    return index


@lru_cache(maxsize=1 << 14)  # asked of the same lines again and again
def _indent(line: str) -> int:
    return len(line.expandtabs(4)) - len(line.expandtabs(4).lstrip())


def _names(headers: Sequence[str], language: Language) -> list[str]:
    """Return the names that headers define, each inside the previous one."""
    if language is PYTHON:
        return [match[2] for header in headers if (match := _PYTHON_HEADER.match(header))]
    parser = _parser(language.grammar) if language.grammar else None
    parsed = _parsed(parser, headers, language) if parser else []
    if parsed:
        return parsed
    found = [
        heading_name(header.strip())
        for header in headers
        if _opens(header, language) and not _CONTROL.match(header)
    ]
    return [part for name in found if name for part in name.split(".")]


# "if (x) {", "} else {", "return f(x) {"; not "iffy(x) {".
_CONTROL = re.compile(
    r"^[}\s]*(?:if|else|for|while|switch|catch|try|do|return|match|select|case|namespace)\b"
)
# The name in a heading: "class A extends B", "impl A {"; not "struct a *f(int x)".
_TYPE_HEADING = re.compile(
    r"\b(?:class|struct|interface|trait|enum|module|object|impl(?:<[^>]*>)?)\s+([\w:.]+)"
    r"(?![\w:.]|[\s*&]+\w+\s*\()"
)
# type Server struct {; not "typed(x)".
_GO_TYPE = re.compile(r"^type\s+(\w+)")
_CALL_HEADING = re.compile(r"([A-Za-z_$][\w$]*)\s*(?:<[^>()]*>)?\s*(?:=\s*(?:async\s*)?)?\(")
_RECEIVER = re.compile(r"^func\s*\(\s*\w*\s*\*?(\w+)[^)]*\)\s*(\w+)")


def heading_name(heading: str) -> str | None:
    """Return the function or class named in git's heading of a hunk, None if none.

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
    """Whether tree-sitter is missing: functions then come from regular expressions."""
    return _parser("go") is None


def _parsed(parser: Any, headers: Sequence[str], language: Language) -> list[str]:
    """Return the names around the last header, by an error-tolerant parser."""
    text = "\n".join(headers)
    ends = "\n}" * max(text.count("{") - text.count("}"), 0)
    before = "<?php\n" if language.grammar == "php" else ""
    ends = ends if language.braces else "\nend" * len(headers)
    root = parser.parse(f"{before}{text}{ends}\n".encode()).root_node
    row = before.count("\n") + len(headers) - 1
    column = len(headers[-1]) - len(headers[-1].lstrip())
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
    """Return the name that a syntax tree node defines, None if it defines nothing."""
    if node.type in ("variable_declarator", "assignment_expression"):
        value = node.child_by_field_name("value") or node.child_by_field_name("right")
        if value is None or "function" not in value.type:
            return None
    elif not node.is_named or not _DEFINES.search(node.type):
        return None
    elif node.type.endswith("_specifier") and node.child_by_field_name("body") is None:
        return None  # struct a in "struct a *f()"
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
