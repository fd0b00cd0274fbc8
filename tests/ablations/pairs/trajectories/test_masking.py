"""The law of masking: no line of a patch in a command, everything else as the agent saw it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablations.pairs.trajectories.commands import mask_shell
from ablations.pairs.trajectories.masking import leaks, mask_trajectory
from ablations.pairs.trajectories.tokens import ISSUE, MASK, Secret, mask_diffs

PATH = "/testbed/src/app/cache.py"
FILES = frozenset({"src/app/cache.py"})


def shell(command: str) -> dict[str, Any]:
    return {"role": "assistant", "content": f"THOUGHT: I edit.\n\n```bash\n{command}\n```"}


def tool(name: str, **arguments: object) -> dict[str, Any]:
    call = {"function": {"name": name, "arguments": json.dumps(arguments)}}
    return {"role": "assistant", "content": "I edit.", "tool_calls": [call]}


def xml(name: str, **arguments: object) -> dict[str, Any]:
    inner = "".join(f"<parameter={k}>{v}</parameter>\n" for k, v in arguments.items())
    return {"role": "assistant", "content": f"I edit.\n<function={name}>\n{inner}</function>"}


def diff(code: str) -> str:
    lines = code.split("\n")
    added = "\n".join(f"+{line}" for line in lines)
    return f"--- a/src/app/cache.py\n+++ b/src/app/cache.py\n@@ -1,0 +1,{len(lines)} @@\n{added}"


# How agents edit: each writes `code` into the file of the patch.
EDITS: dict[str, Callable[[str], dict[str, Any]]] = {
    "heredoc": lambda code: shell(f"cat <<'EOF' > {PATH}\n{code}\nEOF"),
    "heredoc first": lambda code: shell(f"cat > {PATH} << EOF && pytest -q\n{code}\nEOF"),
    "heredoc, relative": lambda code: shell(f"cd src/app && cat <<-X >>cache.py\n{code}\nX"),
    "tee": lambda code: shell(f"tee -a {PATH} <<'EOF'\n{code}\nEOF\npytest"),
    "cat | tee": lambda code: shell(f"cat <<'EOF' | sudo tee {PATH} > /dev/null\n{code}\nEOF"),
    "sed": lambda code: shell(f"sed -i {shlex.quote('5c' + code)} {PATH}"),
    "sed, all files": lambda code: shell(f"grep -l x src | xargs sed -i {shlex.quote(code)}"),
    "find": lambda code: shell(f"find src -exec sed -i {shlex.quote(code)} {{}} +"),
    "perl": lambda code: shell(f"perl -0pi -e {shlex.quote(code)} src/app/cache.py"),
    "echo": lambda code: shell(f"echo {shlex.quote(code)} >> {PATH}"),
    "printf": lambda code: shell(f"cd src && printf {shlex.quote(code)} >app/cache.py; pytest"),
    "python -c": lambda code: shell(
        f"python -c {shlex.quote(f'open({PATH!r}, chr(119)).write({code!r})')}"
    ),
    "python -": lambda code: shell(
        f"python3 - <<'PY'\nfrom pathlib import Path\np = Path({PATH!r})\n"
        f"p.write_text('''\n{code}\n''')\nPY"
    ),
    "script": lambda code: shell(
        f"cat > /tmp/fix.py <<'PY'\nf = open({PATH!r}, 'w')\nf.write({code!r})\n{code}\nPY\n"
        "python /tmp/fix.py"
    ),
    "script by a tool": lambda code: tool(
        "create_file", path="/tmp/fix.sh", content=f"sed -i {shlex.quote(code)} {PATH}"
    ),
    "bash -c": lambda code: shell(f"bash -c {shlex.quote(f'echo {shlex.quote(code)} > {PATH}')}"),
    "git apply": lambda code: shell(f"git apply <<'EOF'\n{diff(code)}\nEOF"),
    "patch": lambda code: shell(f"patch -p1 <<'EOF'\n{diff(code)}\nEOF"),
    "patch file": lambda code: shell(
        f"cat > fix.diff <<'EOF'\n{diff(code)}\nEOF\ngit apply fix.diff"
    ),
    "apply_patch": lambda code: shell(
        f"apply_patch <<'EOF'\n*** Begin Patch\n{code}\n*** End Patch\nEOF"
    ),
    "ed": lambda code: shell(f"ed {PATH} <<'EOF'\n3a\n{code}\n.\nw\nEOF"),
    "editor in the shell": lambda code: shell(
        f"str_replace_editor str_replace {PATH} --old_str 'x' --new_str {shlex.quote(code)}"
    ),
    "mini-swe-agent-plus": lambda code: shell(
        f"edit_via_str_replace {PATH} - <<'EOF'\n{code}\nEOF"
    ),
    "windowed editor": lambda code: shell(f"edit 3:4\n{code}\nend_of_edit"),
    "str_replace_editor": lambda code: tool(
        "str_replace_editor", command="str_replace", path=PATH, old_str="x", new_str=code
    ),
    "create": lambda code: tool("str_replace_editor", command="create", path=PATH, file_text=code),
    "bash tool": lambda code: tool("bash", command=f"cat > {PATH} <<'EOF'\n{code}\nEOF"),
    "codex": lambda code: tool("shell", command=["bash", "-lc", f"cat <<'E' > {PATH}\n{code}\nE"]),
    "apply_patch tool": lambda code: tool("apply_patch", input=diff(code)),
    "multi-edit": lambda code: tool("multi_edit", file_path=PATH, edits=[{"new_string": code}]),
    "xml editor": lambda code: xml("str_replace_editor", command="insert", path=PATH, new_str=code),
    "xml bash": lambda code: xml("bash", command=f"cat <<'EOF' > {PATH}\n{code}\nEOF"),
    "hermes": lambda code: {
        "role": "assistant",
        "content": "<tool_call>"
        + json.dumps({"name": "edit", "arguments": {"path": PATH, "new_str": code}})
        + "</tool_call>",
    },
    "search and replace": lambda code: {
        "role": "assistant",
        "content": f"src/app/cache.py\n<<<<<<< SEARCH\nx\n=======\n{code}\n>>>>>>> REPLACE",
    },
    "unknown program": lambda code: shell(f"my-editor {PATH} {shlex.quote(code)}"),
}  # fmt: skip

NAMES = st.sampled_from(["value", "key", "cache", "entry", "fresh"])
LINES = st.one_of(
    st.builds("    if {0} not in self.{1}:".format, NAMES, NAMES),
    st.builds("        return self.{0}.get({1!r}, 'none')".format, NAMES, NAMES),
    st.builds("{0} = [\"{1}\", '$HOME', 3 > 2, 1 << 4]  # it's".format, NAMES, NAMES),
    st.sampled_from(["else:", ")", "    pass", "", "x += 1", "\treturn", "# EOF of it"]),
)
CODE = st.lists(LINES, min_size=1, max_size=6).map("\n".join)


def secret_of(code: str) -> Secret:
    return Secret(FILES, frozenset({line.strip() for line in code.split("\n")} - {""}))


@pytest.mark.parametrize("edit", EDITS)
@given(code=CODE)
def test_no_line_of_the_patch_is_left_in_a_command(edit: str, code: str) -> None:
    secret = secret_of(code)
    masked = mask_trajectory([EDITS[edit](code)], secret)
    command = masked.text.replace("THOUGHT: I edit.", "").replace("I edit.", "")
    assert not list(leaks(masked, secret))
    lines = {line.strip() for line in command.split("\n")}
    assert not lines & secret.added
    assert not [line for line in secret.added if len(line) >= 12 and line in command]


@pytest.mark.parametrize("edit", sorted(set(EDITS) - {"unknown program", "search and replace"}))
def test_what_an_edit_writes_is_masked_also_where_it_is_not_the_reference(edit: str) -> None:
    code = "def own_solution():\n    return 'not what the reference says'"
    secret = Secret(FILES, frozenset({"something_else_entirely()"}))
    masked = mask_trajectory([EDITS[edit](code)], secret)
    assert "not what the reference says" not in masked.text
    assert 1 <= masked.text.count(MASK) <= 2
    assert masked.edits >= 1


SECRET = secret_of("        return self.cache.get(key, None)\n    else:")
# What is not an edit of a patch's file: the command and what it shows stay as they are.
KEPT = (
    f"cat {PATH}",
    f"sed -n '1,80p' {PATH}",
    f"nl -ba {PATH} | sed -n '3,9p'",
    "grep -rn 'stale' src | head -5",
    "pytest -q tests/test_cache.py 2>&1 | tail -20 > /tmp/log.txt",
    "python -c \"print(open('src/app/cache.py').read() > '')\"",
    "python reproduce.py > out.txt; echo done",
    "cat > /testbed/reproduce.py <<'EOF'\nfrom app import cache\nprint(cache.get('a') > 2)\nEOF",
    "git diff > /tmp/x.diff && git add -A",
    "# don't stop\ncd /testbed && ls -la",
    'for f in src/*.py; do echo "$f"; done',
    f"str_replace_editor view {PATH}",
    "echo 'a && b; c' | wc -l",
    "find . -name '*.py' | xargs grep -l cache",
    "git apply --check fix.diff",
)


@pytest.mark.parametrize("command", KEPT)
def test_other_commands_stay_as_they_are(command: str) -> None:
    assert mask_shell(command, SECRET) == command


def test_views_outputs_and_reasoning_stay_word_for_word() -> None:
    view = "     1\tdef get(self, key):\n     2\t        return self.cache.get(key, None)\n"
    output = "E  AssertionError: assert None == 3\n--- Captured ---\n+ 3\n- None"
    thought = "I think that `return self.cache.get(key, None)` is wrong.\nelse: what?"
    turns = [
        {"role": "assistant", "content": f"{thought}\n```bash\ncat {PATH}\n```"},
        {"role": "user", "content": view},
        {"role": "assistant", "content": "", "tool_calls": [
            {"function": {"name": "bash", "arguments": {"command": "pytest"}}}]},
        {"role": "tool", "content": [{"type": "text", "text": output}]},
    ]  # fmt: skip
    text = mask_trajectory(turns, SECRET).text
    for kept in (view.rstrip(), output, thought, f"cat {PATH}"):
        assert kept in text
    assert MASK not in text


@pytest.mark.parametrize(
    "turn",
    [
        tool("str_replace_editor", command="view", path=PATH, view_range=[1, 9]),
        tool("bash", command=f"cat {PATH}"),
        tool("search", query="stale", path="src"),
        xml("str_replace_editor", command="view", path=PATH),
        xml("bash", command="pytest -q tests"),
    ],
)
def test_tool_calls_that_only_look_stay(turn: dict[str, Any]) -> None:
    masked = mask_trajectory([turn], SECRET)
    assert MASK not in masked.text
    assert masked.edits == 0


def test_the_echo_of_an_edit_and_diffs_lose_the_patch_and_a_later_view_does_not() -> None:
    line = "        return self.cache.get(key, None)"
    view = f"     7\t{line}"
    turns = [
        EDITS["str_replace_editor"](line),
        {"role": "tool", "content": f"The file has been edited:\n     6\tdef get\n{view}"},
        {"role": "assistant", "content": "```bash\ngit diff\n```"},
        {"role": "user", "content": diff(line)},
        {"role": "assistant", "content": f"```bash\ncat {PATH}\n```"},
        {"role": "user", "content": view},
        {"role": "exit", "content": diff(line)},
    ]
    text = mask_trajectory(turns, SECRET).text
    assert text.count(line.strip()) == 1
    assert "     6\tdef get" in text
    assert text.index(view) > text.index("git diff")


@pytest.mark.parametrize("form", ["unified", "coloured", "without a/ and b/", "plain"])
def test_a_diff_is_masked_in_whatever_form_a_tool_prints_it(form: str) -> None:
    line = "        half = self.cache.peek(key)"
    text = diff(line)
    if form == "coloured":
        text = "\n".join(f"\x1b[32m{each}\x1b[m" for each in text.split("\n"))
    elif form == "without a/ and b/":
        text = text.replace(" a/", " ").replace(" b/", " ").replace(".py\n", ".py\t2026-01-01\n")
    elif form == "plain":
        text = f"3c3,6\n< old\n\\ No newline at end of file\n---\n>\n> {line}\n> \n> else:"
    masked = mask_diffs(f"before\n{text}\nafter", SECRET)
    assert "peek" not in masked
    assert masked.startswith("before\n")
    assert masked.endswith(f"{MASK}\nafter")
    assert mask_diffs(masked, SECRET) == masked


# What git 2.43 writes with these options of a change of one line and two lines that are new.
BY_WORDS = {
    "--word-diff": """\
import os
    half = self.cache.get(key, [-1)-]{+peek=2)+}
{+    if half is peek:+}
{+        raise ValueError+}
def g():""",
    "--color-words": """\
import os\x1b[m
    half = self.cache.get(key, \x1b[31m1)\x1b[m\x1b[32mpeek=2)\x1b[m
\x1b[32m    if half is peek:\x1b[m
\x1b[32m        raise ValueError\x1b[m
def g():\x1b[m""",
    "--word-diff=porcelain": """\
 import os
~
     half = self.cache.get(key,
- 1)
+ peek=2)
~
+    if half is peek:
~
+        raise ValueError
~
 def g():
~""",
}


@pytest.mark.parametrize("option", BY_WORDS)
@pytest.mark.parametrize("other", [False, True])
def test_a_diff_by_words_loses_the_words(option: str, other: bool) -> None:
    path = "docs/readme.md" if other else "src/app/cache.py"
    text = f"--- a/{path}\n+++ b/{path}\n@@ -1,3 +1,5 @@\n{BY_WORDS[option]}\nafter\nlog"
    masked = mask_diffs(text, SECRET)
    assert ("peek" in masked, "ValueError" in masked, masked == text) == (other,) * 3
    assert masked.endswith("\nafter\nlog")
    assert mask_diffs(masked, SECRET) == masked


@pytest.mark.parametrize(
    ("path", "writes"),
    [("cache.py", True), ("./cache.py", True), ("a\\ncache.py", True), ("app.cache.py", True),
     ("mcache.py", False), ("my-cache.py", False), ("cache.pyx", False)],
)  # fmt: skip
def test_a_program_is_told_by_whole_names(path: str, writes: bool) -> None:
    assert SECRET.is_program(f"open('{path}', 'w').write(x)") is writes


def test_the_issue_is_masked_however_it_is_wrapped() -> None:
    issue = "Cache returns stale values\n\nAfter `set`, get(1) is old (see [docs])."
    wrapped = issue.replace("\n\n", "\n").replace("Cache ", "Cache  ")
    turns = [
        {"role": "user", "content": f"<pr>\n{wrapped}</pr>"},
        {"role": "assistant", "content": "Cache returns stale values, so I look."},
    ]
    text = mask_trajectory(turns, SECRET, issue).text
    assert f"<pr>\n{ISSUE}</pr>" in text
    assert "so I look" in text


@given(st.lists(st.sampled_from(["+a", "-b", " c", ""]), max_size=8), CODE, st.booleans())
def test_a_diff_of_a_patched_file_is_one_mask_and_nothing_else_is_lost(
    body: list[str], after: str, other: bool
) -> None:
    new = sum(line[:1] != "-" for line in body)
    old = sum(line[:1] != "+" for line in body)
    path = "docs/readme.md" if other else "src/app/cache.py"
    head = [f"--- a/{path}", f"+++ b/{path}"]
    hunk = [f"@@ -1,{old} +1,{new} @@ f", *body]
    rest = ["+ after the hunk", after]
    masked = mask_diffs("\n".join(["log", *head, *hunk, *hunk, *rest]), SECRET)
    inner = [*hunk, *hunk] if other else [MASK]
    assert masked == "\n".join(["log", *head, *inner, *rest])
