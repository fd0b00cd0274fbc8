"""Trajectories as texts without the patch: edits are masked, what the agent saw stays.

An edit of a file that a patch touches, or of an unnamed file, loses all that it writes; every other
command loses the lines of the patches. Views of files, test output and the agent's reasoning stay
unchanged; in command output the diffs of those files are masked, and in an edit's own output the
lines of the patches.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ablations.pairs.trajectories.commands import EDIT_FIELDS, mask_shell
from ablations.pairs.trajectories.tokens import ISSUE, MASK, Secret, mask_diffs

Turn = Mapping[str, Any]


@dataclass
class MaskedTrajectory:
    """A trajectory as text; ``commands`` are the agent's commands in it, after masking.

    ``edits`` counts those with something masked.
    """

    text: str = ""
    commands: list[str] = field(default_factory=list)
    edits: int = 0


def mask_trajectory(
    turns: Sequence[Turn], secret: Secret, issue: str | None = None
) -> MaskedTrajectory:
    """Return a trajectory as text, without the patches of ``secret``.

    ``issue`` is also masked if a message quotes it (None keeps it): the query repeats it, and would
    reveal the trajectory that belongs to it.
    """
    result, pieces = MaskedTrajectory(), []
    edited = False
    for turn in turns:
        role, content = str(turn.get("role", "")), content_text(turn.get("content"))
        if words := (issue or "").split():
            content = re.sub(r"\s+".join(map(re.escape, words)), ISSUE, content)
        if role == "assistant":
            before = result.edits
            content = _mask_message(turn, content, secret, result)
            edited = result.edits > before
        else:
            content = mask_diffs(content, secret)
            content = secret.mask_lines(content) if edited or role == "exit" else content
        pieces.append(f"[{role}]\n{content.strip(chr(10))}\n")
    result.text = "\n".join(pieces)
    return result


def content_text(content: Any) -> str:
    """Return a message's content as text: chat APIs use a text or a list of parts."""
    if isinstance(content, list):
        parts = (part.get("text") if isinstance(part, dict) else part for part in content)
        return "\n".join(str(part) for part in parts if part)
    return "" if content is None else str(content)


def _mask_message(turn: Turn, content: str, secret: Secret, result: MaskedTrajectory) -> str:
    """Mask the commands in an assistant's message, in its text and in its tool calls."""

    def keep(command: str, masked: str) -> str:
        result.commands.append(masked)
        result.edits += masked != command
        return masked

    for pattern, rewrite in _IN_TEXT:
        content = pattern.sub(
            lambda match, rewrite=rewrite: keep(match[0], rewrite(match, secret)),  # type: ignore[misc]
            content,
        )
    lines = [content.rstrip()] if content.strip() else []
    for call in turn.get("tool_calls") or []:
        function = call["function"] if isinstance(call.get("function"), dict) else call
        arguments = _arguments(function.get("arguments") or function.get("input"))
        shown = json.dumps(arguments, ensure_ascii=False)
        name = str(function.get("name", ""))
        masked = json.dumps(_mask_call(arguments, secret, name), ensure_ascii=False)
        lines.append(f"[call {name}] {keep(shown, masked)}")
    return "\n".join(lines)


def _arguments(value: Any) -> Any:
    if not isinstance(value, str):
        return value if value is not None else {}
    try:
        return json.loads(value)
    except ValueError:
        return {"command": value}


_PATHS = ("path", "file_path", "filename", "file", "target_file", "filepath")
# Fields with a shell command or a program, in the tools of common agents.
_SHELL = frozenset({"command", "cmd", "script", "code", "commands", "keystrokes", "bash"})
_VERBS = frozenset({"view", "create", "str_replace", "insert", "undo_edit", "edit", "open"})


# str_replace_editor, apply_patch, write_file: their free text is what they write.
_EDIT_TOOL = re.compile(r"edit|patch|write|replace|insert|create", re.IGNORECASE)


def _mask_call(arguments: Any, secret: Secret, tool: str = "") -> Any:
    """Mask the arguments of a tool call: what an edit writes, and commands by `mask_shell`."""
    if isinstance(arguments, str):
        return mask_shell(arguments, secret)
    if isinstance(arguments, list):
        return [_mask_call(value, secret) for value in arguments]
    if not isinstance(arguments, dict):
        return arguments
    path = next((str(arguments[name]) for name in _PATHS if arguments.get(name)), None)
    fields = EDIT_FIELDS | {"input"} if _EDIT_TOOL.search(tool) else EDIT_FIELDS
    return {
        name: _mask_written(value, path, secret)
        if name in fields
        else _mask_field(name, value, secret)
        for name, value in arguments.items()
    }


def _mask_written(value: Any, path: str | None, secret: Secret) -> Any:
    """Mask what an edit of the file ``path`` writes; in other files, only the patches' lines.

    A program that writes a patch's file is masked whole.
    """
    if not value or not isinstance(value, str | list | dict):
        return value
    if secret.touches(path) or (isinstance(value, str) and secret.is_program(value)):
        return MASK
    return secret.mask_lines(value) if isinstance(value, str) else _mask_call(value, secret)


def _mask_field(name: str, value: Any, secret: Secret) -> Any:
    if name in _PATHS or (isinstance(value, str) and value.strip() in _VERBS):
        return value
    if isinstance(value, str) and name not in _SHELL:
        return secret.mask_lines(value)
    return _mask_call(value, secret)


def _mask_fence(match: re.Match[str], secret: Secret) -> str:
    return f"{match[1]}{mask_shell(match[2], secret)}{match[3]}"


def _mask_xml(match: re.Match[str], secret: Secret) -> str:
    """Mask ``<function=NAME><parameter=KEY>VALUE</parameter>...</function>``."""
    arguments = {parameter[1]: parameter[2] for parameter in _PARAMETER.finditer(match[0])}
    tool = match[0].partition("=")[2].partition(">")[0]
    masked = _mask_call(arguments, secret, tool)
    return _PARAMETER.sub(
        lambda parameter: f"<parameter={parameter[1]}>{masked[parameter[1]]}</parameter>", match[0]
    )


def _mask_json(match: re.Match[str], secret: Secret) -> str:
    """Mask ``<tool_call>{"name": ..., "arguments": {...}}</tool_call>``."""
    try:
        call = json.loads(match[2])
    except ValueError:
        return _mask_fence(match, secret)
    if isinstance(call, dict) and "arguments" in call:
        name, arguments = str(call.get("name")), _arguments(call["arguments"])
        call["arguments"] = _mask_call(arguments, secret, name)
    return f"{match[1]}{json.dumps(call, ensure_ascii=False)}{match[3]}"


def _mask_block(match: re.Match[str], secret: Secret) -> str:
    return f"{match[1]}{MASK}\n{match[2]}"


# <parameter=path>a.py</parameter>; not <parameter name="path">.
_PARAMETER = re.compile(r"<parameter=([\w-]+)>(.*?)</parameter>", re.DOTALL)
_IN_TEXT = (
    # <<<<<<< SEARCH ... >>>>>>> REPLACE, *** Begin Patch ... *** End Patch
    (re.compile(r"(<{5,9} SEARCH\n).*?(>{5,9} REPLACE)", re.DOTALL), _mask_block),
    (re.compile(r"(\*\*\* Begin Patch\n).*?(\*\*\* End Patch)", re.DOTALL), _mask_block),
    (re.compile(r"<function=[\w-]+>.*?(?:</function>|\Z)", re.DOTALL), _mask_xml),
    (re.compile(r"(<tool_call>)(.*?)(</tool_call>)", re.DOTALL), _mask_json),
    (
        re.compile(
            r"(<(?:execute_bash|execute_ipython|bash|command)>)(.*?)"
            r"(</(?:execute_bash|execute_ipython|bash|command)>)",
            re.DOTALL,
        ),
        _mask_fence,
    ),
    # ```bash ... ```, ``` ... ```; not ```python: code in an explanation.
    (
        re.compile(
            r"(^```(?:bash|sh|shell|console|mswea_bash_command)?[ \t]*\n)(.*?)(^```[ \t]*$|\Z)",
            re.DOTALL | re.MULTILINE,
        ),
        _mask_fence,
    ),
)


def leaks(trajectory: MaskedTrajectory, secret: Secret) -> Iterable[str]:
    """Yield the lines of the patches that remain in a command."""
    for command in trajectory.commands:
        yield from secret.lines_in(command)
