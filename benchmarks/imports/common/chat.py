"""Shared by logs of chat models: settings, messages, the response among them, images."""

from __future__ import annotations

import base64
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

from benchmarks.imports.reading import mapping
from harness.records import Response

# Finish reasons of inspect and evalscope that differ from ours.
_ENDS = {"max_tokens": "length", "model_length": "length"}
Messages = Sequence[Mapping[str, Any]]
_DRAWN = (
    "max_tokens", "temperature", "top_p", "top_k", "min_p", "presence_penalty",
    "repetition_penalty",
)  # fmt: skip


def drawn(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sampling settings in a configuration that names them like `Sampling`."""
    given = {name: config.get(name) for name in _DRAWN}
    return {n: v for n, v in given.items() if not isinstance(v, bool) and real(v) is not None}


def messages_of(value: Any) -> list[dict[str, Any]]:
    """Return the messages in a JSON value, skipping anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def strings(value: Any) -> list[str]:
    """Return the texts in a JSON value: those of a list, or a single one."""
    if isinstance(value, str):
        return [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def word(value: Any) -> str | None:
    """Return a text, None if a JSON value is not one."""
    return value if isinstance(value, str) else None


def text_of(content: Any, kind: str = "text") -> str:
    """Return the text of a content, images as ``<image>``, or of its parts of another kind."""
    if isinstance(content, str):
        return content if kind == "text" else ""
    parts = messages_of(content)
    if kind != "text":
        return "".join(str(part.get(kind) or "") for part in parts if part.get("type") == kind)
    return "".join(
        "<image>" if "image" in str(part.get("type")) else str(part.get("text") or "")
        for part in parts
    )


def before_answer(messages: Messages) -> Messages:
    """Return the messages before the first answer."""
    return list(takewhile(lambda message: message.get("role") != "assistant", messages))


def prompt_of(messages: Messages, asked: str = "") -> tuple[str, ...]:
    """Return the text of each message before the first answer, else the question, if known."""
    prompt = tuple(text_of(message.get("content")) for message in before_answer(messages))
    return prompt or ((asked,) if asked else ())


def images_of(messages: Messages) -> Iterator[str]:
    """Yield the sources of the images in messages."""
    for message in messages:
        for part in messages_of(message.get("content")):
            if part.get("type") == "image":
                yield str(part.get("image"))


def answer_of(messages: Messages) -> Mapping[str, Any]:
    """Return the last message of the assistant, an empty one if there is none."""
    return next((each for each in reversed(messages) if each.get("role") == "assistant"), {})


def trajectory_of(messages: Messages) -> list[dict[str, Any]] | None:
    """Return the messages of an episode of several answers, None if there is one answer."""
    if sum(message.get("role") == "assistant" for message in messages) < 2:
        return None
    return [{**message, "content": text_of(message.get("content"))} for message in messages]


def finish(reason: Any) -> str | None:
    """Return our name for a finish reason."""
    return _ENDS.get(reason, reason) if isinstance(reason, str) else None


def count(value: Any) -> int | None:
    """Return a number of tokens, None if it is not one."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def real(value: Any) -> float | None:
    """Return a finite number, None if a JSON value is not one."""
    if not isinstance(value, int | float) or abs(value) > sys.float_info.max:
        return None
    return None if math.isnan(value) else float(value)


def seconds(value: Any, per_second: float = 1) -> float:
    """Return a duration in seconds, 0 if unknown."""
    return max(0.0, real(value) or 0.0) / per_second


def iso_time(value: Any) -> str | None:
    """Return the time of so many seconds of the Unix epoch in ISO format, None if it is none."""
    try:
        return datetime.fromtimestamp(float(str(value)), UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return None


def image_hash(sources: Iterable[str]) -> str:
    """Return the hash of the images in data URLs; "" if one is not a data URL, or there is none."""
    from benchmarks.vqa.base.benchmark import digest

    contents = []
    for source in sources:
        head, _, data = source.partition(";base64,")
        if not head.startswith("data:"):
            return ""
        try:
            contents.append(base64.b64decode(data, validate=True))
        except ValueError:
            return ""
    return digest(contents) if contents else ""


def from_atif(document: Any) -> list[dict[str, Any]]:
    """Return the messages of trajectories in ATIF (Harbor, NeMo Evaluator), one or a list."""
    documents = document if isinstance(document, list) else [document]
    steps = (step for each in documents for step in messages_of(mapping(each).get("steps")))
    return [message for step in steps for message in _from_step(step)]


def _from_step(step: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    role = "assistant" if step.get("source") == "agent" else str(step.get("source") or "user")
    message: dict[str, Any] = {"role": role, "content": text_of(step.get("message"))}
    if calls := messages_of(step.get("tool_calls")):
        message["tool_calls"] = calls
    yield message
    for result in messages_of(mapping(step.get("observation")).get("results")):
        yield {"role": "tool", "content": text_of(result.get("content"))}


def episode(messages: Messages, **known: Any) -> Response:
    """Return an agent's response: its last words, and the messages of its episode."""
    trajectory = [dict(message) for message in messages]
    text = text_of(answer_of(messages).get("content"))
    return Response(text, trajectory=trajectory, **known)
