"""Render an agent's episode as text, step by step: thought, command, output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.files.text import abridged

MOST = 2000  # characters shown per thought or output; `--json` has everything

_Record = Mapping[str, Any]


def trajectory_text(messages: Sequence[_Record]) -> str:
    """Return an episode as text, one headed block per message.

    The first two messages (system and task) are left out: they are the sample's prompt.
    """
    return "\n".join(_blocks(messages[2:]))


def _blocks(messages: Sequence[_Record]) -> Iterator[str]:
    step = 0
    for message in messages:
        extra: _Record = message.get("extra") or {}
        if "completion_tokens" in extra:  # a model response, well-formed or not
            step += 1
        if message["role"] == "assistant":
            yield f"--- step {step}{_tokens(extra)}\n{_cut(message)}"
        elif message["role"] == "exit":
            yield f"--- episode ended: {extra.get('exit_status', 'no status')}"
        elif extra.get("interrupt_type"):
            answer = abridged(str(extra.get("model_response", "")), MOST)
            yield f"--- step {step}{_tokens(extra)}: {extra['interrupt_type']}\n{answer}"
            yield f"--- reply to the model\n{_cut(message)}"
        else:
            yield f"--- output\n{_cut(message)}"


def _tokens(extra: _Record) -> str:
    count = extra.get("completion_tokens")
    return "" if count is None else f" ({count} tokens)"


def _cut(message: _Record) -> str:
    return abridged(str(message["content"]), MOST)
