"""What servers say, in their own words: tables of replies, each given by a real HTTP server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backends.http.answers import FINISH_REASONS, PARAMETERS, Answer, completion
from harness.backends.http.endpoint import (
    ASKED_FOR,
    ATTEMPTS,
    FILTER_ATTEMPTS,
    EndpointModel,
    Limits,
)
from harness.errors import ContextOverflowError, ItemError, UsageError
from harness.files.typed_json import parse, record
from harness.records import Message, Response, Sample, Sampling, Score, TextPart
from harness.runs.store import encode
from tests.servers import Reply, Request, ScriptedServer, refuses

SAMPLING = Sampling(max_tokens=16, temperature=0.5, top_p=0.9, seed=7)
Outcome = Response | Exception


def ask_each(replies: Mapping[str, Reply]) -> tuple[dict[str, Outcome], dict[str, int]]:
    """Ask for each reply by its name, each with a new model; return outcomes and requests."""

    async def ask(url: str, name: str) -> Outcome:
        limits = Limits(first_wait=0.001)
        async with EndpointModel(url, limits=limits) as model:
            try:
                return await model.chat((Message("user", (TextPart(name),)),), SAMPLING)
            except ItemError as error:
                return error

    async def ask_all(url: str) -> list[Outcome]:
        return await asyncio.gather(*(ask(url, name) for name in replies))

    with ScriptedServer(lambda request: replies[request.text]) as server:
        outcomes = asyncio.run(ask_all(server.url))
    asked = [request.text for request in server.requests]
    return dict(zip(replies, outcomes, strict=True)), {name: asked.count(name) for name in replies}


def body(**choice: Any) -> Reply:
    return Reply(raw=json.dumps({"choices": [choice]}).encode())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (rb'"B \ud83d"', "B \ufffd"),  # half of a surrogate pair, as an escape
        (b'"B \xf0\x9f"', "B \ufffd"),  # half of a character's bytes
        (rb'"\ude00\ud83d B"', "\ufffd\ufffd B"),
        (rb'"\ud83d\ude00 B"', "\U0001f600 B"),
    ],
)
def test_a_text_that_was_cut_within_a_character_is_an_answer(content: bytes, text: str) -> None:
    """Servers that stop at a token or stream bytes cut an emoji in two; it can be sent again."""
    raw = b'{"choices": [{"message": {"content": ' + content + b'}, "finish_reason": "length"}]}'
    outcomes, asked = ask_each({"cut": Reply(raw=raw)})
    answer = outcomes["cut"]
    assert isinstance(answer, Response)
    assert (answer.text, asked["cut"]) == (text, 1)
    assert answer.text.encode()


FINISHED: list[tuple[Any, str | None]] = [
    *FINISH_REASONS.items(),
    ("MAX_TOKENS", "length"),  # Gemini's capitals
    ("content_filter: PROHIBITED_CONTENT", "content_filter"),
    ({"type": "length", "length": 16}, "length"),  # SGLang's own form
    ({"matched": 3}, None),
    (None, None),
    ("", None),
    (5, None),
    (True, None),
    (["stop"], None),
]
UNFINISHED = [
    "error",
    "abort",
    "error: stop",
    "cancelled",
    "insufficient_system_resource",
    {"type": "abort"},
]


def test_known_finish_reasons_end_an_answer_and_all_others_are_errors_asked_again() -> None:
    reasons = [reason for reason, _ in FINISHED] + UNFINISHED
    replies = {str(i): Reply("B", finish_reason=reason) for i, reason in enumerate(reasons)}
    outcomes, asked = ask_each(replies)
    for i, (reason, ours) in enumerate(FINISHED):
        outcome = outcomes[str(i)]
        assert isinstance(outcome, Response), reason
        assert (outcome.text, outcome.finish_reason) == ("B", ours)
        assert asked[str(i)] == (FILTER_ATTEMPTS if ours == "content_filter" else 1)
    for i in range(len(FINISHED), len(reasons)):
        assert "ended the answer with" in str(outcomes[str(i)])
        assert asked[str(i)] == ATTEMPTS


# The message of a choice -> text, reasoning, and why there is nothing to score.
MESSAGES: dict[str, tuple[dict[str, Any], str, str | None, str | None]] = {
    "text": ({"content": "B"}, "B", None, None),
    "parts": ({"content": [{"type": "text", "text": "B"}, {"text": "."}]}, "B.", None, None),
    "Mistral": (
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "so"}]},
                {"type": "text", "text": "B"},
            ]
        },
        "B",
        "so",
        None,
    ),
    "texts": ({"content": ["B", "."]}, "B.", None, None),
    "newer parts": ({"content": [{"type": "output_text", "text": "B"}]}, "B", None, None),
    "other parts": (
        {"content": [{"type": "image_url"}, {"type": []}, 3, {"text": 3}]},
        "",
        None,
        "empty",
    ),
    "null": ({"content": None}, "", None, "empty"),
    "absent": ({}, "", None, "empty"),
    "blank": ({"content": " \n"}, " \n", None, "empty"),
    "reasoning": ({"content": None, "reasoning_content": "so B"}, "", "so B", "reasoning_only"),
    "newer name": ({"content": "", "reasoning": "so B"}, "", "so B", "reasoning_only"),
    "both": ({"content": "B", "reasoning": "so"}, "B", "so", None),
    "reasoning of another type": ({"content": "B", "reasoning": {"a": 1}}, "B", None, None),
    "calls": ({"content": None, "tool_calls": [{"id": "1"}]}, "", None, "empty"),
}
NO_COMPLETIONS = [
    b"",
    b"[]",
    b"{}",
    b'"text"',
    b'{"choices": []}',
    b'{"choices": null}',
    b'{"choices": [{"message": null}]}',
    b'{"choices": [{"message": {"content": 3}}]}',
    b'{"choices": [{"message": {"content": {"text": "B"}}}]}',
]


def test_text_is_read_from_every_shape_of_message() -> None:
    replies = {name: body(message=case[0]) for name, case in MESSAGES.items()}
    outcomes, asked = ask_each(replies)
    for name, (_, text, reasoning, absence) in MESSAGES.items():
        outcome = outcomes[name]
        assert isinstance(outcome, Response), name
        assert (outcome.text, outcome.reasoning, outcome.absence) == (text, reasoning, absence)
    assert set(asked.values()) == {1}


def test_what_is_no_completion_is_an_error_asked_again() -> None:
    replies = {str(i): Reply(raw=raw) for i, raw in enumerate(NO_COMPLETIONS)}
    replies["page"] = Reply(raw=b"<html>hello</html>")
    outcomes, asked = ask_each(replies)
    assert all("no chat completion" in str(outcome) for outcome in outcomes.values())
    assert asked.pop("page") == 1, "another program's page is not asked for again"
    assert set(asked.values()) == {ATTEMPTS}


COUNTS = [(5, 5), (5.0, 5), ("5", 5), *((bad, None) for bad in (True, -1, 5.5, [5], {}, "many"))]


def test_token_counts_of_another_type_are_read_or_dropped() -> None:
    usages = [({"prompt_tokens": count}, ours) for count, ours in COUNTS]
    usages += [(usage, None) for usage in (None, 3, "many", [1])]
    outcomes, _ = ask_each({str(i): Reply("B", usage=u) for i, (u, _) in enumerate(usages)})
    assert [getattr(outcome, "prompt_tokens", "?") for outcome in outcomes.values()] == [
        ours for _, ours in usages
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "content": JSON | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": JSON})),
        "reasoning": JSON,
        "reasoning_content": JSON,
        "tool_calls": JSON,
    },
)
USAGES = JSON | st.fixed_dictionaries({"prompt_tokens": JSON, "completion_tokens": JSON})


@given(FIELDS | JSON, JSON | st.sampled_from(list(FINISH_REASONS)), USAGES)
def test_whatever_arrives_the_stored_line_reads_back(message: Any, reason: Any, usage: Any) -> None:
    document = {"choices": [{"message": message, "finish_reason": reason}], "usage": usage}
    try:
        response = completion(Answer(200, json.dumps(document).encode()))
    except ItemError:
        return
    score = Score(0.0, "unparsable")
    sample = Sample("i", 0, "c", (), ("?",), "4", response, score, scoring="1")
    assert record(Sample, parse(encode(sample))) == sample


def error(message: str, status: int = 400, **fields: Any) -> Reply:
    return Reply(message, status=status, error=fields)


OVERFLOWS = {
    "vLLM": error(
        "This model's maximum context length is 8 tokens. However, your prompt contains at least 9 "
        "input tokens, which exceeds this limit even without any output tokens."
    ),
    "vLLM, images": error(
        "The decoder prompt (length 163840) is longer than the maximum model length of 131072."
    ),
    "SGLang": error("The input (61709 tokens) is longer than the model's context length (40960)."),
    "SGLang, cache": error(
        "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens)."
    ),
    "llama.cpp": error(
        "the request exceeds the available context size. try increasing the context size",
        status=500,
        type="exceed_context_size_error",
    ),
    "llama.cpp, with 200": Reply(
        raw=b'{"error": {"code": 400, "type": "exceed_context_size_error", "message": "too big"}}'
    ),
    "llama-cpp-python": error("Requested tokens (2285) exceed context window of 2048", 500),
    "TGI": Reply(
        status=422,
        raw=b'{"error": "Input validation error: `inputs` must have less than 1024 tokens. '
        b'Given: 1168", "error_type": "validation"}',
    ),
    "TGI, sum": Reply(
        status=422,
        raw=b'{"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= '
        b'2048. Given: 1244 `inputs` tokens and 1000 `max_new_tokens`"}',
    ),
    "LiteLLM": error("litellm.ContextWindowExceededError: litellm.BadRequestError: ..."),
    "Anthropic": error("prompt is too long: 205668 tokens > 200000 maximum"),
    "Anthropic, sum": error(
        "input length and `max_tokens` exceed context limit: 174167 + 64000 > 200000"
    ),
    "Gemini": error(
        "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576)."
    ),
    "OpenAI": error("too many", type="invalid_request_error", code="context_length_exceeded"),
    "OpenAI, newer": error(
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in "
        "300000 tokens."
    ),
    "Ollama": error("the input length exceeds the context length"),
    "Mistral": error(
        "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum "
        "context length"
    ),
    "Bedrock": error("Input is too long for requested model."),
    "Bedrock, tokens": error("Too many input tokens. Max input tokens: 8192, request: 9000"),
    "TensorRT-LLM": error(
        "The sum of prompt length (20.0), query length (0) and max_tokens (100) should not exceed "
        "max_seq_len (64)"
    ),
    "DashScope": error("<400> InternalError: Range of input length should be [1, 30720]"),
    "Moonshot": error("Invalid request: Your request exceeded model token limit: 8192"),
    "Cohere": error("too many tokens: total number of tokens in the prompt cannot exceed 4081"),
    "MLC": error("Request prompt has 5000 tokens, larger than the model input length limit 4096"),
    "GitHub Models": error(
        "Request body too large for gpt-4o model. Max size: 8000 tokens.",
        413,
        code="tokens_limit_reached",
    ),
    "Zhipu": error("Prompt 超长", code="1261"),
    "mistral.rs": error("Prompt sequence length is greater than 4096, perhaps truncate it?", 500),
    "Vertex": error(
        "Unable to submit request because the input token count is 40000 but model only supports "
        "up to 32768. Reduce the input token count and try again."
    ),
    "Volcengine": error("Total tokens of image and text exceed max message tokens. Request id: 1"),
    "Volcengine, length": error("Input length 300000 exceeds the maximum length 229376"),
    "Bedrock, length": error(
        "Input Tokens Exceeded: Number of input tokens exceeds maximum length. Please update it."
    ),
    "Qianfan": error("prompt tokens too long", code=336103),
    "Cerebras": error(
        "Please reduce the length of the messages or completion. Current length is 8210 while "
        "limit is 8192"
    ),
    "images": error("Number of image tokens in the prompt exceeds the limit of 4096"),
    "xAI": error("This model's maximum prompt length is 131072 but the request contains 537812."),
}
OTHER_REFUSALS = {
    "rate": error("Rate limit reached on tokens per min (TPM): Limit 30000", 429),
    "rate by size": error(
        "Request too large on tokens per min (TPM): Limit 30000. The context length of input or "
        "output must be reduced.",
        429,
        code="rate_limit_exceeded",
    ),
    "minute": error("Too many tokens per minute, please slow down"),
    "throttled": error("Too many tokens, please wait before trying again."),
    "queue": error("Too many tokens in queue, server overloaded"),
    "image": error("The image is too large: 9000x9000"),
    "limit": error("max_tokens must be at least 1, got 0"),
    "length": error("maximum file length is 10 MB"),
    "input rate": error("Input tokens exceed the limit of 30000 per minute"),
    "token": error("The token has expired. The prompt was not read. The maximum age is 60 s."),
    "stops": error("Too many stop tokens: 9"),
    "images": error("Too many images in the prompt: at most 1 may be provided"),
    "body": error("The request body exceeds the maximum size of 10 MB", 413),
    "no role": error("messages: an input message must have a role"),
    "stop tokens": error("too many stop tokens in the input, the maximum is 4"),
    "vocabulary": error("prompt token ids must be less than 151936"),
    "Go's deadline": error("failed to refresh token: context deadline exceeded"),
    "OpenRouter, credit": error(
        "Prompt tokens limit exceeded: 5222 > 3329. To increase, visit the settings", 402
    ),
    "month": error("You have exceeded this month's quota of input tokens"),
    "a gateway's page": Reply(
        400,
        raw=b'<html><meta name="viewport" content="maximum-scale=1"><meta name="csrf-token">'
        b'<input type="hidden"><h1>Bad Gateway</h1></html>',
    ),
    "a validator that repeats the prompt": Reply(
        422,
        raw=b'{"detail": [{"loc": ["body", "n"], "msg": "Input should be at most 1", "input": '
        b'{"messages": "a context of more tokens than the maximum"}}]}',
    ),
}


def test_a_context_overflow_is_known_in_the_words_of_every_server() -> None:
    outcomes, asked = ask_each(OVERFLOWS)
    kinds = {name: type(outcome) for name, outcome in outcomes.items()}
    assert kinds == dict.fromkeys(OVERFLOWS, ContextOverflowError)
    assert set(asked.values()) == {2}, "once more without a limit, and no more"


def test_other_refusals_are_no_overflow() -> None:
    for name, reply in OTHER_REFUSALS.items():
        made = json.dumps({"error": {"message": reply.text, **reply.error}}).encode()
        assert not Answer(reply.status, reply.raw or made).is_overflow, name


REFUSED: dict[str, tuple[str, Reply]] = {
    "GPT-5, limit": (
        "max_tokens",
        error(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        ),
    ),
    "limit without a field": (
        "max_tokens",
        error("Unsupported parameter: 'max_tokens' is not supported with this model."),
    ),
    "GPT-5, temperature": (
        "temperature",
        error(
            "Unsupported value: 'temperature' does not support 0.5 with this model. Only the "
            "default (1) value is supported.",
            param="temperature",
            code="unsupported_value",
        ),
    ),
    "Claude, temperature": ("temperature", error("`temperature` is deprecated for this model.")),
    "Claude, both": (
        "top_p",
        error("`temperature` and `top_p` cannot both be specified for this model."),
    ),
    "Moonshot, temperature": (
        "temperature",
        error("invalid temperature: only 1 is allowed for this model"),
    ),
    "default only": (
        "temperature",
        error("temperature: this model only accepts the default", code="invalid_value"),
    ),
    "fixed": ("top_p", error("The parameter top_p cannot be modified for reasoning models")),
    "British": ("seed", error("seed is an unrecognised parameter")),
    "Mistral, seed": (
        "seed",
        Reply(
            status=422,
            raw=b'{"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": '
            b'["body", "seed"], "msg": "Extra inputs are not permitted"}]}, "code": null}',
        ),
    ),
    "FastAPI, seed": (
        "seed",
        Reply(
            status=422,
            raw=b'{"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra '
            b'inputs are not permitted", "input": 7}]}',
        ),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_parameter_is_left_out_from_then_on_and_said(name: str) -> None:
    field, refusal = REFUSED[name]
    notes: list[str] = []
    sampling = replace(SAMPLING, top_p=1.0)  # one that was set is never left out

    async def ask(url: str) -> dict[str, str]:
        async with EndpointModel(url, limits=Limits(first_wait=0.001)) as model:
            model.on_status = notes.append
            message = Message("user", (TextPart("What is it?"),))
            await asyncio.gather(*(model.chat((message,), sampling) for _ in range(4)))
            await model.chat((message,), sampling)
            return model.changes

    with ScriptedServer(refuses(field, refusal, lambda _: "B")) as server:
        changes = asyncio.run(ask(server.url))
    refused = [request for request in server.requests if field in request.body]
    assert len(refused) <= 4, "only those in flight together are refused"
    assert field not in server.requests[-1].body
    kept = {name: value for name, value in refused[0].body.items() if name != field}
    if field == "max_tokens":
        kept["max_completion_tokens"] = SAMPLING.max_tokens
    assert dict(server.requests[-1].body) == kept
    assert list(changes) == [field]
    assert len(notes) == (field != "max_tokens"), "another name changes no answer"


def test_a_server_that_takes_no_parameter_at_all_is_asked_without() -> None:
    def picky(request: Request) -> Reply:
        for name in PARAMETERS:
            if name in request.body:
                return error(f"Unrecognized request argument supplied: {name}")
        return Reply("B")

    with ScriptedServer(picky) as server:

        async def ask(sampling: Sampling) -> dict[str, str]:
            async with EndpointModel(server.url) as model:
                await model.chat((Message("user", (TextPart("q"),)),), sampling)
                return model.changes

        unset = replace(SAMPLING, top_p=1.0)
        assert sorted(asyncio.run(ask(unset))) == ["max_tokens", "seed", "temperature", "top_p"]
        assert len(server.requests) == len(PARAMETERS) - len(ASKED_FOR) + 1
        with pytest.raises(UsageError, match=r"does not take top_p: remove top_p=0\.9"):
            asyncio.run(ask(replace(SAMPLING, top_p=0.9)))


@pytest.mark.parametrize("text", ["temperature must be between 0 and 1", "top_p must be above 0"])
def test_a_value_out_of_range_is_no_refused_parameter(text: str) -> None:
    outcomes, asked = ask_each({"q": error(text)})
    assert (type(outcomes["q"]), asked) == (ItemError, {"q": 1})


def test_greedy_answers_are_asked_for_without_what_has_no_effect() -> None:
    async def ask(url: str) -> None:
        async with EndpointModel(url) as model:
            greedy = replace(SAMPLING, temperature=0.0)
            await model.chat((Message("user", (TextPart("q"),)),), greedy)

    with ScriptedServer(lambda _: "B") as server:
        asyncio.run(ask(server.url))
    (request,) = server.requests
    assert {name for name in PARAMETERS if name in request.body} == {"max_tokens", "temperature"}


@pytest.mark.parametrize(
    "code", ["content_filter", "content_policy_violation", "InputTextSensitiveContentDetected"]
)
def test_what_a_filter_refuses_is_filtered_after_three_tries(code: str) -> None:
    outcomes, asked = ask_each({"q": error("The response was filtered", code=code)})
    outcome = outcomes["q"]
    assert isinstance(outcome, Response)
    assert (outcome.absence, asked["q"]) == ("filtered", FILTER_ATTEMPTS)
