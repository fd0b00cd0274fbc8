"""Agents' shell commands, without what they write into files.

A command line is parsed as far as needed: quotes, here-documents, and ends of pipelines.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from ablations.pairs.trajectories.tokens import MASK, WRITES, Secret, mask_diffs

EDIT_FIELDS = frozenset(
    "new_str old_str file_text insert_text new_string old_string content contents replacement "
    "patch diff code_edit new_content old_content replace search text edits patch_text "
    "new_code old_code insert_line_text blocks".split()
)
"""Arguments of editing tools that hold code."""

# cat <<'EOF' > a.py, <<-END; not 1 << 3 and not a here-string (<<<).
_HEREDOC = re.compile(r"(?<!<)<<-?[ \t]*(['\"]?)([A-Za-z_]\w*)\1(?!<)")
# > a.py, >>a.py, 2>&1 is none; "-> int" is met only outside of quotes, where shells see it so, too.
_REDIRECT = re.compile(r"(?<![\d&<>=-])>{1,2}\|?\s*([^\s;&|<>]+)")

_EDITORS = frozenset(
    {"apply_patch", "applypatch", "patch", "ed", "ex", "edit", "insert", "replace",
     "edit_via_str_replace", "str_replace_editor", "str_replace_based_edit_tool", "create_file",
     "search_replace", "write_file", "append"}
)  # fmt: skip
_SHELLS = frozenset({"bash", "sh", "zsh", "dash"})
# python3.11, node; not pytest.
_INTERPRETERS = re.compile(r"^(python[\d.]*|node|ruby|perl|php|deno|bun)$")


@dataclass(frozen=True, slots=True)
class _Statement:
    """A pipeline: what the shell reads up to ``;``, ``&&``, ``||`` or a newline.

    ``head`` is the text without its here-documents' bodies, ``bodies`` those with their last lines,
    ``end`` its terminator.
    """

    head: str
    end: str
    bodies: tuple[str, ...] = ()


def mask_shell(text: str, secret: Secret) -> str:
    """Return a shell command line without what it writes into a patch's files."""
    if (match := _EDIT_BLOCK.match(text.strip())) and secret.touches(None):
        return f"{match[1]}\n{MASK}\n{match[2]}\n"
    statements = (_mask_statement(each, secret) for each in _statements(text))
    return secret.mask_lines(mask_diffs("".join(statements), secret))


# SWE-agent's windowed editor: edit 10:12 ... end_of_edit
_EDIT_BLOCK = re.compile(r"(edit \d+:\d+|edit|insert \d+)\n.*?(end_of_edit)\Z", re.DOTALL)


def _mask_statement(statement: _Statement, secret: Secret) -> str:
    parts = _words(statement.head)
    if not _writes(statement, parts, secret):
        return statement.head + statement.end + "".join(statement.bodies)
    kept = _kept(statement.head)
    space = statement.head[: len(statement.head) - len(statement.head.lstrip())]
    bodies = (f"{MASK}\n{body.rstrip().rpartition(chr(10))[2]}\n" for body in statement.bodies)
    return f"{space}{kept}{statement.end}{''.join(bodies)}"


# A word as written: its quotes, escapes and plain characters.
_RAW_WORD = re.compile(r"(?:'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.|[^\s'\"\\])+", re.DOTALL)
# src/a.py, --flag=x, {}; not f(x), $HOME.
_PLAIN = re.compile(r"[\w./~:+@%={}*-]+")
# An unquoted program of sed: s/a/b/, 3d; not src/a.
_SED_PROGRAM = re.compile(r"[\d,$]*[sy]([/|#,@]).*\1|[\d,$]+[acdi]$")
_OPERATORS = ("|", "<", ">", "&", ";", "2>")


def _kept(head: str) -> str:
    """Return an edit's programs, flags, paths and operators, with masks for what it writes."""
    result: list[str] = []
    program = prints = True
    for match in _RAW_WORD.finditer(head):
        word = match[0]
        if word.startswith(_OPERATORS):
            result.append(word)
            program = prints = word in ("|", "&&", "||", ";")
            continue
        if program:
            prints = word in ("echo", "printf")
        written = not _PLAIN.fullmatch(word) or _SED_PROGRAM.match(word) or (prints and not program)
        result.append(MASK if written and _HEREDOC.match("<<" + word) is None else word)
        program = False
    return " ".join(
        word for i, word in enumerate(result) if i == 0 or word != result[i - 1] or word != MASK
    )


def _writes(statement: _Statement, parts: list[str], secret: Secret) -> bool:
    """Whether a statement edits a patch's file, or one that it does not name."""
    content = "\n".join(statement.bodies)
    unquoted = re.sub(r"'[^']*'|\"(?:\\.|[^\"\\])*\"", "''", statement.head, flags=re.DOTALL)
    targets = [match[1] for match in _REDIRECT.finditer(unquoted)]
    targets = [target for target in targets if not target.startswith(("/dev/", "&"))]
    for command in _pipeline(parts):
        program = command[0].rpartition("/")[2]
        if program == "tee":
            targets += [word for word in command[1:] if not word.startswith("-")]
        elif program in _SHELLS:
            scripts = [*command[1:], *statement.bodies]
            if any(mask_shell(script, secret) != script for script in scripts):
                return True
        elif _edits(command, content, secret):
            return True
    script = bool(targets) and secret.is_program(content)
    return script or any(map(secret.touches, targets))


def _edits(command: list[str], content: str, secret: Secret) -> bool:
    """Whether an editor's command edits a patch's file, or one that it does not name."""
    program, arguments = command[0].rpartition("/")[2], command[1:]
    if _INTERPRETERS.match(program) and WRITES.search("\n".join([content, *arguments])):
        return True
    if program in _EDITORS or (program == "git" and arguments[:1] in (["apply"], ["am"])):
        if arguments[:1] in (["view"], ["open"]):
            return False
        named = [word for word in arguments if re.fullmatch(r"[\w./~-]+\.\w{1,5}", word)]
        return bool(content) or not named or any(map(secret.touches, named))
    for index, word in enumerate(command):  # also find -exec sed -i, xargs sed -i
        if _in_place(word.rpartition("/")[2], command[index + 1 :]):
            parts = [word for word in command[index + 1 :] if not word.startswith("-")]
            files = [word for word in parts[1:] if "." in word or "/" in word]
            return not files or index > 0 or any(map(secret.touches, files))
    return False


def _in_place(program: str, arguments: list[str]) -> bool:
    """Whether an editor writes to its files: sed -i, perl -pi -e, awk -i inplace, vim."""
    if program in ("vim", "vi", "nvim", "emacs"):
        return True
    if program not in ("sed", "gsed", "perl", "ruby", "awk", "gawk"):
        return False
    return any(re.match(r"-(?!-)\w*i|--in-place", word) for word in arguments)


def _pipeline(parts: list[str]) -> Iterator[list[str]]:
    """Yield the commands of a pipeline, without leading assignments and wrappers."""
    command: list[str] = []
    for word in [*parts, "|"]:
        if word in ("|", "|&"):
            if command:
                yield command
            command = []
        elif command or not re.fullmatch(
            r"\w+=.*|sudo|env|time|timeout|then|do|else|if|while|[({!]|\d+s?", word, re.DOTALL
        ):
            command.append(word)


def _words(text: str) -> list[str]:
    """Split a statement into words like a shell; best effort with an open quote."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|")
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        return list(lexer)
    except ValueError:
        return text.split()


def _statements(text: str) -> Iterator[_Statement]:
    start = position = 0
    quote = ""
    pending: list[str] = []  # here-documents that begin after this line
    while position < len(text):
        char = text[position]
        if char == "#" and not quote and text[position - 1 : position].strip() == "":
            position = text.find("\n", position) % (len(text) + 1)  # a comment may contain a quote
        elif quote:
            position += 1 + (char == "\\" and quote == '"')
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote, position = char, position + 1
        elif char == "\\":
            position += 2
        elif match := _HEREDOC.match(text, position):
            pending.append(match[2])
            position = match.end()
        elif char == "\n" and pending:
            bodies, after = _bodies(text, position + 1, pending)
            yield _Statement(text[start:position], "\n", bodies)
            start, position, pending = after, after, []
        elif (end := re.compile(r"\n|;|&&|\|\|").match(text, position)) and not (
            pending and end[0] != "\n"
        ):
            yield _Statement(text[start:position], end[0])
            start = position = end.end()
        else:
            position += 1
    if start < len(text):
        yield _Statement(text[start:], "")


def _bodies(text: str, position: int, names: list[str]) -> tuple[tuple[str, ...], int]:
    """Return the here-documents that begin at a position, and where the last one ends."""
    bodies = []
    for name in names:
        match = re.compile(rf"(?:.*?\n)??[ \t]*{name}[ \t]*(?:\n|\Z)", re.DOTALL).match(
            text, position
        )
        end = match.end() if match else len(text)
        bodies.append(text[position:end])
        position = end
    return tuple(bodies), position
