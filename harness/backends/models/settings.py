"""Settings that affect a model's answers: one table for options, files, runs and backends."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from harness.errors import UsageError
from harness.files.plain import read_given
from harness.records import Message, Sampling, TextPart
from harness.references import value_content

_MAX = sys.float_info.max  # so that infinity is rejected
Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(gt=0, le=1)]
# Parts of a request set by other options or by the benchmark.
_OF_REQUESTS = frozenset(
    """model messages stream n max_tokens max_completion_tokens seed logprobs top_logprobs
    chat_template_kwargs temperature top_p top_k min_p presence_penalty
    repetition_penalty""".split()
)
# vLLM's arguments that other options set, with the option ("": none).
_OF_VLLM = {
    "model": "--model",
    "dtype": "--dtype",
    "tensor-parallel-size": "--tensor-parallel",
    "data-parallel-size": "--replicas",
    "max-model-len": "--max-model-len",
    "reasoning-parser": "--reasoning-parser",
    "chat-template": "--chat-template",
    "generation-config": "--generation-config",
    "enable-lora": "--adapter",
    "lora-modules": "--adapter",
    **dict.fromkeys(("host", "port", "uds", "api-key", "served-model-name", "config"), ""),
}
# Arguments that affect only vLLM's speed and capacity: outside a run's key.
_OF_SPEED = frozenset(
    """gpu-memory-utilization max-num-seqs max-num-batched-tokens enforce-eager swap-space
    cpu-offload-gb block-size distributed-executor-backend disable-log-stats async-scheduling
    mm-processor-cache-gb""".split()
)


def argument_name(written: str) -> str:
    """Return a vLLM argument's name with dashes; keys after a dot are unchanged."""
    name, dot, keys = written.removeprefix("--").partition(".")
    return name.replace("_", "-") + dot + keys


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Settings that affect answers, besides the benchmark's protocol; None: not set.

    Descriptions are the options' help texts. Raises `UsageError` for contradictory values, and for
    request fields or vLLM arguments that other options set.
    """

    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=_MAX)] | None,
        Meta(description="Sampling temperature; 0 is greedy  [default: 0]"),
    ] = None
    top_p: Annotated[
        Share | None,
        Meta(description="Nucleus sampling: probability mass to sample from  [default: 1]"),
    ] = None
    top_k: Annotated[
        Annotated[int, Meta(ge=-1)] | None,
        Meta(description="Sample from the N likeliest; -1: all  [default: -1, or the server's]"),
    ] = None
    min_p: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(
            description="Drop tokens below this share of the top one  [default: 0, or a server's]"
        ),
    ] = None
    presence_penalty: Annotated[
        Annotated[float, Meta(ge=-2, le=2)] | None,
        Meta(description="Subtracted from the logits of tokens that are in the response already."),
    ] = None
    repetition_penalty: Annotated[
        Annotated[float, Meta(gt=0, le=_MAX)] | None,
        Meta(description="Divides the logits of tokens that are in prompt or response; 1 is none."),
    ] = None
    max_tokens: Annotated[
        Count | Literal["native"] | None,
        Meta(
            description="Token limit per response, or 'native' for each task's own; see --dry-run."
        ),
    ] = None
    system_prompt: Annotated[
        str | None, Meta(description="System message, before the benchmark's own if it has one.")
    ] = None
    prompt_suffix: Annotated[
        str | None, Meta(description="Line at the end of every question, such as a format prompt.")
    ] = None
    chat_template: Annotated[
        str | None, Meta(description="Jinja chat template to use instead of the model's.")
    ] = None
    chat_template_kwargs: Annotated[
        dict[str, Any] | None,
        Meta(description='Variables of the chat template, as {"enable_thinking": false}.'),
    ] = None
    min_pixels: Annotated[
        Count | None, Meta(description="Enlarge smaller images to this many pixels (Qwen-VL).")
    ] = None
    max_pixels: Annotated[
        Count | None, Meta(description="Shrink larger images to this many pixels (Qwen-VL).")
    ] = None
    extra_body: Annotated[
        dict[str, Any] | None, Meta(description="Extra fields of every request to the server.")
    ] = None
    vllm_arg: Annotated[
        dict[str, Any] | None,
        Meta(description="Extra argument of vLLM's server, passed on as it is; repeatable."),
    ] = None

    def __post_init__(self) -> None:
        if self.min_pixels and self.max_pixels and self.min_pixels > self.max_pixels:
            raise UsageError(
                f"--min-pixels {self.min_pixels} is above --max-pixels {self.max_pixels}"
            )
        if taken := sorted(_OF_REQUESTS.intersection(self.extra_body or ())):
            raise UsageError(f"--extra-body: {taken[0]!r} is set by an option or by the benchmark")
        if self.vllm_arg is not None:
            named = {argument_name(name): value for name, value in self.vllm_arg.items()}
            msgspec.structs.force_setattr(self, "vllm_arg", named)
        arguments = {name: name.partition(".")[0] for name in self.vllm_arg or ()}
        for name, argument in arguments.items():
            if (option := _OF_VLLM.get(argument)) is not None:
                hint = f": use {option}" if option else " by the harness itself"
                raise UsageError(f"--vllm-arg {name} is set{hint}")
        if "mm-processor-kwargs" in arguments.values() and (self.min_pixels or self.max_pixels):
            raise UsageError(
                "--min-pixels and --max-pixels are parts of vLLM's mm-processor-kwargs: give "
                "either them or --vllm-arg mm-processor-kwargs"
            )

    def given(self) -> dict[str, Any]:
        """Return the settings that are set, by name."""
        everything = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: value for name, value in everything if value is not None}

    def sampling(self, max_tokens: int, seed: int) -> Sampling:
        """Return the sampling settings."""
        given = {name: value for name, value in self.given().items() if name in SAMPLING}
        return Sampling(**{**given, "max_tokens": max_tokens, "seed": seed})

    def recorded(self) -> dict[str, Any]:
        """Return the settings except sampling; files with a content hash."""
        kept = {name: value for name, value in self.given().items() if name not in _IN_SAMPLING}
        if self.chat_template is not None:
            kept["chat_template"] = _named_content(self.chat_template)
        if self.vllm_arg is not None:
            kept["vllm_arg"] = {k: _named_content(v) for k, v in self.vllm_arg.items()}
        return kept

    def keyed(self) -> dict[str, Any]:
        """Return what enters a run's key besides the sampling."""
        return decisive(self.recorded())

    def template_text(self) -> str | None:
        """Return the text of the given chat template, None if none.

        A template in a request's extra fields takes precedence over the server's own. Raises
        `UsageError` if it cannot be read.
        """
        if isinstance(text := (self.extra_body or {}).get("chat_template"), str):
            return text
        if self.chat_template is None:
            return None
        try:
            return read_given(Path(self.chat_template)).decode()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise UsageError(f"--chat-template {self.chat_template}: {reason.lower()}") from error

    def pixels(self) -> dict[str, int]:
        """Return the image size limits that are set, in pixels."""
        limits = {"min_pixels": self.min_pixels, "max_pixels": self.max_pixels}
        return {name: limit for name, limit in limits.items() if limit is not None}

    def body(self) -> dict[str, Any]:
        """Return the fields added to every chat completion request."""
        variables = self.chat_template_kwargs
        named = {"chat_template_kwargs": variables} if variables else {}
        return {**(self.extra_body or {}), **named}

    def asked(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return a conversation with the system prompt and the suffix on its question added.

        The question is the last user message before the model's first: in an agent's episode, the
        task.
        """
        asked = list(messages)
        if self.prompt_suffix is not None:
            roles = [message.role for message in asked]
            end = roles.index("assistant") if "assistant" in roles else len(roles)
            questions = [i for i, role in enumerate(roles[:end]) if role == "user"]
            for i in questions[-1:]:
                line = TextPart("\n" + self.prompt_suffix)
                asked[i] = Message(asked[i].role, _joined(*asked[i].content, line))
        if self.system_prompt is not None:
            first = asked[0] if asked and asked[0].role == "system" else None
            own = (TextPart("\n\n"), *first.content) if first else ()
            system = Message("system", _joined(TextPart(self.system_prompt), *own))
            asked = [system, *(asked[1:] if first else asked)]
        return asked


def _named_content(value: Any) -> Any:
    """Return the name and hash of a file or folder that a value names; other values unchanged."""
    digest = value_content(value) if isinstance(value, str) else value
    return value if digest == value else {"file": Path(value).name, "sha256": digest}


def decisive(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return what affects answers among recorded settings: no file names, no speed settings."""
    kept = dict(recorded)
    if "chat_template" in kept:
        kept["chat_template"] = _content(kept["chat_template"])
    if isinstance(
        given := kept.get("vllm_arg"), Mapping
    ):  # a manifest from elsewhere may have any type
        del kept["vllm_arg"]
        if left := {k: _content(value) for k, value in given.items() if k not in _OF_SPEED}:
            kept["vllm_arg"] = left
    return kept


def _content(value: Any) -> Any:
    named = isinstance(value, dict) and value.keys() == {"file", "sha256"}
    return value["sha256"] if named else value


UNSET = ModelSettings()
SAMPLING = frozenset(field.name for field in dataclasses.fields(Sampling)) - {"seed", "max_tokens"}
_IN_SAMPLING = SAMPLING | {"max_tokens"}
DRAWING = ("top_p", "top_k", "min_p")
"""Settings of the draw: without effect under greedy decoding."""


def _joined(*parts: Any) -> tuple[Any, ...]:
    joined: list[Any] = []
    for part in parts:
        if isinstance(part, TextPart) and joined and isinstance(joined[-1], TextPart):
            joined[-1] = TextPart(joined[-1].text + part.text)
        else:
            joined.append(part)
    return tuple(joined)


def settings_of(values: Mapping[str, Any], source: str) -> ModelSettings:
    """Return settings by name as `ModelSettings`; texts are converted like options.

    Raises `UsageError` if a value has the wrong type or is out of range; says so and names the
    source.
    """
    try:
        return msgspec.convert(values, ModelSettings, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"{source}: {error}") from error
