"""Parse what an OpenAI-compatible server sent: a completion, or why there is none.

Servers agree on the happy case only, so finish reasons, types and error texts are tables here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import msgspec
import orjson

from harness.errors import ItemError
from harness.files.typed_json import parse
from harness.records import Response

# Transient failures besides 5xx: timeout, conflict, too early, too many requests.
_PASSING = frozenset({408, 409, 425, 429})
NOT_IMPLEMENTED = 501
# Overload: too many requests, overloaded (Anthropic).
_BUSY = frozenset({429, 529})
# About an account: its key, credit, rights or rate.
_OF_ACCOUNT = frozenset({401, 402, 403, 429})

# Finish reasons of complete answers, in lower case, with our name for each. Any other (vLLM's
# "abort" and "error", DeepSeek's "insufficient_system_resource") is a failure.
FINISH_REASONS = {
    **dict.fromkeys(("stop", "eos", "eos_token", "stop_sequence", "end_turn", "complete"), "stop"),
    "normal": "stop",
    **dict.fromkeys(("length", "max_tokens", "model_length", "max_output_tokens"), "length"),
    "model_context_window_exceeded": "length",
    "repetition": "length",  # vLLM ends answers that repeat themselves, if asked to
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use"), "tool_calls"),
    "function_call": "function_call",
    **dict.fromkeys(("content_filter", "content_filtered", "safety", "refusal"), "content_filter"),
    **dict.fromkeys(("recitation", "blocklist", "prohibited_content", "spii"), "content_filter"),
    **dict.fromkeys(("sensitive", "guardrail_intervened"), "content_filter"),
}

_FILTERED = re.compile(
    # Matches: Azure's code "content_filter".  Does not: "an image_filter of this name".
    r"content_filter|content_policy_violation|responsibleaipolicyviolation|data_inspection_failed"
    r"|sensitive_?content",
    re.IGNORECASE,
)
_OVERFLOW_CODE = re.compile(
    # Matches: OpenAI's "context_length_exceeded".  Does not: "rate_limit_exceeded".
    r"context_(length|window|size)_(exceeded|error)|exceed_context_size|string_above_max_length"
)
# A sentence with a word of each of these says that a prompt is too long: "input token count (12)
# exceeds the maximum", "`inputs` tokens + `max_new_tokens` must be <= 2048", "Prompt sequence
# length is greater than 4096", "prompt tokens too long".
_TOO_LONG = tuple(
    re.compile(rf"\b({words})", re.IGNORECASE)
    for words in (
        # not "maximum file length", "too many stop tokens", "prompt token ids must be less than"
        r"(?<!stop )tokens?\b(?! ids?\b| index)"
        r"|(?<=input )length|(?<=prompt )length|(?<=sequence )length",
        # not Go's "failed to refresh token: context deadline exceeded"
        r"prompt|inputs?\b|messages?\b|context(?! deadline)",
        # "must have less than 1024", "but model only supports up to 32768"
        r"exceed|too (long|large|many)|(greater|larger|longer|less) than|must be (?=<=)|maximum"
        r"|only supports",
    )
)
# "Too many input tokens per minute", not "Too many input tokens".
_RATE = re.compile(
    r"\bper (min|sec|day|hour)|\bmonth|\bdaily|\bquota|\bcredits?\b|\brate\b|\bqueue|\bconcurrent",
    re.IGNORECASE,
)
_OVERFLOW = re.compile(
    "|".join(
        (
            # "maximum context length is 8 tokens", "exceed context window of 2048", "exceeds the
            # available context size", "exceed context limit", not "the context of the image".
            r"context[ _](length|window|size|limit)",
            # "litellm.ContextWindowExceededError", not "RateLimitError".
            r"ContextWindowExceeded",
            # "max_tokens=9 cannot be greater than max_model_len=8", "not exceed max_seq_len",
            # not "max_tokens must be set".
            r"max_(model|seq)_len|longer than the maximum model length",
            # "'max_tokens' is too large: 200000", not "the image is too large".
            r"max_(completion_)?tokens\W.*(is too large|maximum allowed number of output tokens)",
            # "prompt is too long: 205668 tokens", "Input is too long for", not "id too long".
            r"(prompt|input)( \(.*\))? is too long",
            # "Please reduce the length of the messages", not "the length of the stop sequence".
            r"reduce the length of the (messages|prompt|input)",
            # "Range of input length should be [1, 30720]", "exceeded model token limit", not "rate
            # limit".
            r"range of input length|model token limit|prompt ?超长",
            # "Max size: 8000 tokens", not "Max size: 10 MB".
            r"max size: \d+ tokens",
        )
    ),
    re.IGNORECASE,
)
_UNSUPPORTED = re.compile(
    # Matches: "'temperature' does not support 0 with this model", "Extra inputs are not permitted",
    # "temperature and top_p cannot both be specified", "temperature: only 1 is allowed for this
    # model".  Does not: "must be between 0 and 1".
    r"unsupported|not support|n't support|deprecated|no longer|not permitted|not allowed"
    r"|unrecogni[sz]ed|unknown|unexpected|cannot (both|be (set|modified|changed|used))"
    r"|not available|extra_forbidden|only (\S+ is (allowed|supported)|\w+ the default)",
    re.IGNORECASE,
)
# Optional request parameters, least influential first: of two that exclude each other, both are
# named.
PARAMETERS = (
    "top_k", "min_p", "presence_penalty", "repetition_penalty", "top_p", "seed", "temperature",
    "max_tokens", "max_completion_tokens",
)  # fmt: skip


# Characters of a server's message that are read: patterns take time in the square of them.
_READ = 5_000


@dataclass(frozen=True)
class Answer:
    """What the server sent: HTTP status, body, and the seconds of its Retry-After header."""

    http_status: int
    body: bytes
    retry_after: float | None = None

    @cached_property
    def document(self) -> Any:
        """The parsed body, None if it is not JSON.

        A text that was cut within a character has half of it, as bytes or as an escape.
        """
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            with suppress(ValueError):
                return parse(self.body.decode(errors="replace"))
            return None

    @cached_property
    def error(self) -> Mapping[str, Any]:
        """The error that the body describes, {} if none."""
        document = self.document if isinstance(self.document, dict) else {}
        error = document if document.get("object") == "error" else document.get("error")
        if isinstance(error, str):
            return {"message": error}
        return error if isinstance(error, dict) else {}

    @property
    def status(self) -> int:
        """The HTTP status, or the body's own status if an error came with 200."""
        if self.http_status != 200 or not self.error:
            return self.http_status
        code = _convert(self.error.get("code"), int)
        return code if code is not None and 400 <= code < 600 else 500

    @cached_property
    def _text(self) -> str:
        message = self.error.get("message")
        if not isinstance(message, str):  # a validator's list, or another program's page
            message = self.body.decode(errors="replace")
        return " ".join(message[:_READ].split())

    @property
    def message(self) -> str:
        """The server's error message, at most 300 characters."""
        return self._text[:300] or "no message"

    @property
    def code(self) -> str:
        """The server's error code, from all fields that may hold it."""
        return " ".join(str(self.error.get(name)) for name in ("code", "type", "param"))

    @property
    def is_busy(self) -> bool:
        """Whether fewer concurrent requests might have succeeded; not so for exhausted credit."""
        return self.status in _BUSY and self.is_passing

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed later."""
        if self.is_overflow or self.is_filtered or "insufficient_quota" in self.code:
            return False
        return self.status in _PASSING or (self.status >= 500 and self.status != NOT_IMPLEMENTED)

    @property
    def is_overflow(self) -> bool:
        """Whether prompt plus answer exceed the context; llama.cpp may report it as a 500."""
        if self.status < 400 or self.status in _OF_ACCOUNT:
            return False
        if _OVERFLOW_CODE.search(self.code) or _OVERFLOW.search(self._text):
            return True
        document = self.document
        if not isinstance(document, dict) or isinstance(document.get("detail"), list):
            return False  # a gateway's page, or a validator's list, which may repeat the prompt
        return any(
            all(words.search(sentence) for words in _TOO_LONG) and not _RATE.search(sentence)
            for sentence in re.split(r"[.!?;] ", self._text)
        )

    @property
    def is_filtered(self) -> bool:
        """Whether a content filter refused the request."""
        return self.status >= 400 and bool(_FILTERED.search(self.code))

    def refused_parameter(self, sent: Collection[str]) -> str | None:
        """Return which of the ``sent`` fields the server rejects, if that is the cause."""
        text = f"{self.code} {self._text[:2000]}"
        if self.status not in (400, 422) or self.is_overflow or not _UNSUPPORTED.search(text):
            return None
        if (param := self.error.get("param")) in PARAMETERS and param in sent:
            return str(param)
        names = (name for name in PARAMETERS if name in sent)
        return next((name for name in names if re.search(rf"\b{name}\b", text)), None)


def completion(answer: Answer) -> Response:
    """Parse a chat completion; what a content filter refused is an empty one.

    Raises `ItemError` if the body is something else, or the server could not finish the answer.
    """
    if answer.is_filtered:
        return Response("", finish_reason="content_filter")
    try:
        choice = answer.document["choices"][0]
        message = choice["message"]
        content, usage = message.get("content"), answer.document.get("usage")
        texts, thoughts = list(_texts(content, "text")), list(_texts(content, "thinking"))
    except (LookupError, TypeError, AttributeError) as error:
        raise ItemError(f"the server returned no chat completion: {answer.message}") from error
    apart = message.get("reasoning_content") or message.get("reasoning")
    thoughts += _texts(apart, "text") if isinstance(apart, str | list) else ()
    usage = usage if isinstance(usage, dict) else {}
    return Response(
        text=_whole("".join(texts)),
        reasoning=_whole("".join(thoughts)) or None,
        prompt_tokens=_convert(usage.get("prompt_tokens"), _Count),
        completion_tokens=_convert(usage.get("completion_tokens"), _Count),
        finish_reason=_finish_reason(choice.get("finish_reason")),
    )


def served_models(answer: Answer) -> dict[str, Mapping[str, Any]] | None:
    """Return the entries of a list of models (OpenAI's or a plain one) by name, None if not one."""
    entries = answer.document
    if isinstance(entries, dict):
        entries = entries.get("data", entries.get("models"))
    if answer.status != 200 or not isinstance(entries, list):
        return None
    models: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        model = entry if isinstance(entry, dict) else {"id": entry}
        name = model.get("id", model.get("name"))
        if not isinstance(name, str):
            return None
        models[name] = model
    return models


def first_logprobs(answer: Answer) -> dict[str, float] | None:
    """Return the first position's log-probabilities by token, None if there are none."""
    try:
        likeliest = answer.document["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        return {str(entry["token"]): float(entry["logprob"]) for entry in likeliest}
    except (LookupError, TypeError, ValueError):
        return None


# Content by type of message part ("output_text": OpenAI's newer API and its proxies).
_PARTS = {"text": "text", "output_text": "text", "thinking": "thinking"}
_Count = Annotated[int, msgspec.Meta(ge=0)]


def _convert(value: Any, kind: Any) -> Any:
    """Return a number as the server meant it (5, 5.0, "5"), None if it is not one."""
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        return None


def _whole(text: str) -> str:
    """Return a text with lone surrogates, which cannot be sent again, as U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _texts(content: Any, kind: str) -> Iterator[str]:
    """Yield the texts of one kind, "text" or "thinking", of a message's content.

    Raises `TypeError` if the content is neither text nor a list of parts.
    """
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list | None):
        raise TypeError("the content is neither text nor a list of parts")
    for part in content or ():
        if isinstance(part, str):
            part = {"text": part}
        if not isinstance(part, dict) or _PARTS.get(str(part.get("type", "text"))) != kind:
            continue
        inner = part.get(kind)
        if isinstance(inner, str):
            yield inner
        elif kind == "thinking" and isinstance(inner, list):  # Mistral nests them
            yield from _texts(inner, "text")


def _finish_reason(reason: Any) -> str | None:
    """Return our name for a finish reason.

    Raises `ItemError` if it means that the answer was not finished.
    """
    if isinstance(reason, dict):  # SGLang's own: {"type": "stop", "matched": 151645}
        reason = reason.get("type")
    if not isinstance(reason, str) or not reason:
        return None
    known = reason.lower().partition(":")[0]  # Gemini: "content_filter: PROHIBITED_CONTENT"
    if known not in FINISH_REASONS:
        raise ItemError(f"the server ended the answer with {reason!r}")
    return FINISH_REASONS[known]
