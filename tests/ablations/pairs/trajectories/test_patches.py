"""Patches: their functions by `ast` and by tree-sitter, and their reverse by git."""

from __future__ import annotations

import ast
import re
import subprocess
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablations.pairs.trajectories import scopes
from ablations.pairs.trajectories.patches import read_patch, reversed_patch
from ablations.pairs.trajectories.scopes import (
    BRACES,
    PYTHON,
    Scopes,
    heading_name,
    same_scopes,
    scopes_in,
    tree_sitter_missing,
)
from harness.cli import options

SOURCES = [Path(module.__file__ or "") for module in (ast, scopes, options)]


def scopes_by_ast(text: str) -> dict[int, list[str]]:
    """Return the names around each line (from 1), decorators included."""
    names: dict[int, list[str]] = {}

    def walk(node: ast.AST, chain: list[str]) -> None:
        for child in ast.iter_child_nodes(node):
            inner = chain
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = [*chain, child.name]
                first = min([child.lineno, *(each.lineno for each in child.decorator_list)])
                names.update(dict.fromkeys(range(first, (child.end_lineno or first) + 1), inner))
            walk(child, inner)

    walk(ast.parse(text), [])
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_scopes_by_indentation_are_those_of_ast(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines, expected = text.split("\n"), scopes_by_ast(text)
    wrong = 0
    for index, line in enumerate(lines):
        chain = expected.get(index + 1, [])
        names = {".".join(chain[:end]) for end in range(1, len(chain) + 1)}
        wrong += bool(line.strip()) and scopes_in(PYTHON, "", lines, [index]).names != names
    # Text in triple quotes that hangs over the left margin is all that indentation gets wrong.
    assert wrong <= len(lines) // 100


OLD = """\
import os

LIMIT = 3


class A:
    def f(self, x):
        y = 1
        return y

    @property
    def g(self):
        return 2


class B:
    def f(self, x):
        z = 1
        v = 0
        w = 0
        a = 2
        b = 3
        c = 4
        return z


def top(
    x,
):
    return x
"""


def edit(old: str, new: str, heading: str = "") -> str:
    """Return the diff that replaces a line of OLD, with a heading as git would write it."""
    text = OLD.replace(old, new, 1)
    lines = unified_diff(OLD.splitlines(), text.splitlines(), "a/m.py", "b/m.py", "", "", 3, "")
    return "\n".join(f"{line} {heading}" if line[:2] == "@@" else line for line in lines) + "\n"


@pytest.mark.parametrize(
    ("diff", "names"),
    [
        (edit("        y = 1", "        y = 2"), {"A", "A.f"}),
        (edit("        return 2", "        return 3", "class A:"), {"A", "A.g"}),
        (edit("    @property", "    @cached", "class A:"), {"A", "A.g"}),
        (edit("        b = 3", "        b = 4", "class B:"), {"B"}),
        (edit("        b = 3", "        b = 4", "def f(self, x):"), {"?.f"}),
        (edit("    return x", "    return -x"), {"top"}),
        (edit("    x,\n", "    x, y,\n"), {"top"}),
        (edit("LIMIT = 3", "LIMIT = 4"), set()),
        (edit("LIMIT = 3", "LIMIT = 3\n\n\ndef new():\n    return 1"), {"new"}),
    ],
)
def test_the_functions_of_a_hunk(diff: str, names: set[str]) -> None:
    patch = read_patch(diff)
    assert patch is not None
    assert patch.scopes == {"m.py": names}


def test_a_change_that_its_hunk_does_not_name_is_matched_by_its_lines() -> None:
    first, near, far = (
        read_patch(edit(old, new))
        for old, new in (
            ("        b = 3", "        b = 4"),
            ("        c = 4", "        c = 5"),
            ("        y = 1", "        y = 2"),
        )
    )
    assert first
    assert near
    assert far
    assert first.unknown == {"m.py"}
    assert first.shared_scopes(near) == ("m.py:lines",)
    assert not first.shared_scopes(far)


@given(st.sets(st.sampled_from(["A", "A.f", "B", "B.f", "?.f", "?.g", "top"])))
def test_an_unknown_class_fits_every_class(names: set[str]) -> None:
    known = frozenset({"A", "A.f"})
    shared = same_scopes(frozenset(names), known)
    assert bool(shared) == bool(names & {"A", "A.f", "?.f"})
    assert shared == same_scopes(known, frozenset(names))


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("func (s *Server) Run(ctx context.Context) error {", "Server.Run"),
        ("func main() {", "main"),
        ("public class Parser extends Base {", "Parser"),
        ("static int parse_line(const char *s)", "parse_line"),
        ("impl Display for Token {", "Display"),
        ("async def f(x):", "f"),
        ("const load = async (path) => {", "load"),
        ("", None),
        ("import os", None),
    ],
)
def test_the_name_in_a_heading(heading: str, name: str | None) -> None:
    assert heading_name(heading) == name


GO = """\
package a

type Server struct {
\tport int
}

func (s *Server) Run(n int) int {
\tx := n
\ty := x + 1
\treturn y
}

func helper(n int) int {
\treturn n
}
"""
# Language, file, text, line to change -> the names.
FRAGMENTS = [
    ("a.go", GO, "\ty := x + 1", {"Server", "Server.Run"}),
    ("a.go", GO, "\treturn n", {"helper"}),
    ("a.go", GO, "\tport int", {"Server"}),
    ("A.java", "class A {\n  int f(int x) {\n    int y = x;\n    return y;\n  }\n}\n",
     "    int y = x;", {"A", "A.f"}),
    ("a.ts", "export class A {\n  f(x: number) {\n    const y = x;\n    return y;\n  }\n}\n",
     "    const y = x;", {"A", "A.f"}),
    ("a.js", "const load = (x) => {\n  let y = x;\n  return y;\n};\n", "  let y = x;", {"load"}),
    ("a.rs", "impl Token {\n    fn show(&self) -> i32 {\n        let y = 1;\n        y\n    }\n}\n",
     "        let y = 1;", {"Token", "Token.show"}),
    ("a.c", "static int f(int x)\n{\n  int y = x;\n  return y;\n}\n", "  int y = x;", {"f"}),
    ("a.rb", "class A\n  def f(x)\n    y = x\n    y\n  end\nend\n", "    y = x", {"A", "A.f"}),
    ("a.php", "<?php\nclass A {\n  function f($x) {\n    $y = $x;\n    return $y;\n  }\n}\n",
     "    $y = $x;", {"A", "A.f"}),
]  # fmt: skip


@pytest.mark.skipif(tree_sitter_missing(), reason="tree-sitter-language-pack is not installed")
@pytest.mark.parametrize(("name", "text", "line", "names"), FRAGMENTS)
def test_functions_of_other_languages_by_tree_sitter(
    name: str, text: str, line: str, names: set[str]
) -> None:
    new = text.replace(line, f"{line} // changed", 1)
    diff = "\n".join(
        unified_diff(text.splitlines(), new.splitlines(), f"a/{name}", f"b/{name}", lineterm="")
    )
    patch = read_patch(f"{diff}\n")
    assert patch is not None
    assert patch.scopes[name] == names


# Ruby has no braces: its names need tree-sitter, or git's headings.
@pytest.mark.parametrize(
    ("name", "text", "line", "names"), [case for case in FRAGMENTS if case[0] != "a.rb"]
)
def test_without_tree_sitter_indentation_names_the_same_functions(
    name: str, text: str, line: str, names: set[str]
) -> None:
    lines = text.split("\n")
    found = scopes_in(BRACES, "", lines, [lines.index(line)])
    assert found == Scopes(frozenset(names))


# Two functions one after the other, and what ends both.
NEIGHBOURS = {
    "a.go": (["func (a *A) f(n int) int {"], ["func (b *B) f(n int) int {"], ["\treturn n", "}"]),
    "a.c": (["static int f(int x)", "{"], ["struct g *g(struct g *x,", "            int y)", "{"],
            ["\treturn 0;", "}"]),
    "a.js": (["function f(x) {"], ["const g = async (x) => {"], ["  return x;", "}"]),
    "a.rs": (["pub fn f(", "    x: i32,", ") -> i32 {"], ["pub fn g(x: i32) -> i32 {"],
             ["    x", "}"]),
    "A.java": (["class A {", "    int f(int x) {"], ["class B {", "    int f(int x) {"],
               ["        return x;", "    }", "}"]),
    "a.rb": (["class A", "  def f(x)"], ["module B", "  def f(x)"], ["    x", "  end", "end"]),
    "a.php": (["class A", "{", "    public function f($x)", "    {"],
              ["class B", "{", "    public function f($x)", "    {"],
              ["        return $x;", "    }", "}"]),
    "a.kt": (["fun f(x: Int): Int {"], ["fun g(x: Int): Int {"], ["    return x", "}"]),
    "a.py": (["class A:", "    def f(self, x):"], ["class B:", "    def f(self, x):"],
             ["        return x", ""]),
}  # fmt: skip


def _as_git_writes(name: str, old: list[str], index: int) -> str:
    """Return git's diff that changes one line: its heading is the last line that begins a word."""
    new = [*old[:index], old[index].replace("old", "new"), *old[index + 1 :]]
    before = old[: max(index - 3, 0)]
    heading = next((line for line in reversed(before) if re.match(r"[A-Za-z_$]", line)), "")
    lines = list(unified_diff(old, new, f"a/{name}", f"b/{name}", lineterm=""))
    return "\n".join([*lines[:2], f"{lines[2]} {heading}", *lines[3:]]) + "\n"


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_two_changes_share_a_function_exactly_where_they_are_in_one(name: str) -> None:
    first, second, after = NEIGHBOURS[name]
    if name != "a.py" and tree_sitter_missing():
        pytest.skip("tree-sitter-language-pack is not installed")
    indent = after[0][: len(after[0]) - len(after[0].lstrip())]
    body = [f"{indent}old_{number} = {number};" for number in range(12)]
    old = [*first, *body, *after, "", *second, *body, *after]
    places = [len(first), len(first) + 11, len(old) - len(after) - 12, len(old) - len(after) - 1]
    patches = [read_patch(_as_git_writes(name, old, place)) for place in places]
    for i, one in enumerate(patches):
        for j, other in enumerate(patches):
            assert one
            assert other
            assert bool(one.shared_scopes(other)) == (i // 2 == j // 2), (one.scopes, other.scopes)


def test_a_renamed_file_is_that_of_the_base_commit() -> None:
    moved = edit("        y = 1", "        y = 2").replace("b/m.py", "b/new/m.py")
    patch, other = read_patch(moved), read_patch(edit("        y = 1", "        y = 3"))
    assert patch
    assert other
    assert patch.shared_scopes(other) == ("m.py:A", "m.py:A.f")
    assert patch.paths == {"m.py", "new/m.py"}


@pytest.mark.parametrize("name", ["CHANGES.md", "setup.cfg", "data.json", "LICENSE"])
def test_a_file_without_functions_is_nothing_that_patches_share(name: str) -> None:
    texts = [f"- Fixes call (number {number})" for number in range(3)]
    first, second = (
        read_patch(
            f"--- a/{name}\n+++ b/{name}\n@@ -1,2 +1,2 @@ Some (heading)\n  x\n-  old\n+  {text}\n"
        )
        for text in texts[:2]
    )
    assert first
    assert second
    assert first.shared_files(second) == {name}
    assert not first.shared_scopes(second)


LINES = st.lists(st.sampled_from(["a", "b", "-c", "+d", " e", "\\f", "@@ g", ""]), max_size=12)


@given(LINES, LINES, st.booleans())
def test_the_reverse_of_a_reverse_is_the_patch_and_git_agrees(
    tmp_path_factory: pytest.TempPathFactory, old: list[str], new: list[str], newline: bool
) -> None:
    folder = tmp_path_factory.mktemp("git")
    before, after = ("".join(f"{line}\n" for line in lines) for lines in (old, new))
    if not newline:
        after = after.removesuffix("\n")
    (folder / "x").write_text(before)
    (folder / "y").write_text(after)
    diff = subprocess.run(
        ["git", "diff", "--no-index", "--no-color", "x", "y"],
        cwd=folder, capture_output=True, text=True, check=False,
    ).stdout.replace("/y", "/x")  # fmt: skip
    if "@@" not in diff:
        return
    assert reversed_patch(reversed_patch(diff)) == diff
    (folder / "x").write_text(after)
    subprocess.run(
        ["git", "apply", "-"], cwd=folder, input=reversed_patch(diff), text=True, check=True
    )
    assert (folder / "x").read_text() == before


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [("a/m.py", "b/m.py", {"m.py"}), ("a/m.py", "a/m.py", {"a/m.py"}),
     ("b/m.py", "b/m.py", {"b/m.py"}), ("/dev/null", "b/m.py", {"m.py"}),
     ("a/m.py", "/dev/null", {"m.py"}),
     ("m.py", "m.py", {"m.py"}), ("a/a/m.py", "b/a/m.py", {"a/m.py"})],
)  # fmt: skip
def test_a_and_b_are_folders_unless_git_wrote_them(old: str, new: str, paths: set[str]) -> None:
    text = f"--- {old}\n+++ {new}\n@@ -1,1 +1,1 @@\n-x = 1\n+x = 2\n"
    patch, reverse = read_patch(text), read_patch(text, reverse=True)
    assert patch
    assert reverse
    assert patch.paths == reverse.paths == paths
    assert reversed_patch(reverse.text) == text
    taken = read_patch(reverse.text)
    assert taken
    assert taken.paths == paths


def test_a_bracket_that_stays_open_costs_no_more_than_its_lines() -> None:
    class Line(str):
        seen = 0

        def strip(self, *args: Any) -> str:
            Line.seen += 1
            return super().strip(*args)

    lines = [Line("f(")] * 2000
    scopes_in(BRACES, "", lines, [1])
    assert Line.seen < 100 * len(lines)


@pytest.mark.parametrize("text", ["", "no diff", "@@ -1 +1 @@\n", "Binary files a and b differ\n"])
def test_what_is_no_patch_is_none(text: str) -> None:
    assert read_patch(text) is None
