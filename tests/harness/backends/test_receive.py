"""Servers that redirect, send too much, or repeat the key that they were sent."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
from typing import Any

import pytest

from harness.backends.http.endpoint import EndpointModel, Limits
from harness.errors import ItemError, UsageError
from harness.records import Message, Response, Sampling, TextPart
from tests.servers import Reply, Request, ScriptedServer

KEY = 'sk-"/+secret'
QUESTION = (Message("user", (TextPart("What is it?"),)),)
MIB = 2**20


def ask(server: ScriptedServer, key: str | None = None) -> Response:
    async def once() -> Response:
        limits = Limits(first_wait=0.001)
        async with EndpointModel(server.url, "scripted", key, limits=limits) as model:
            return await model.chat(QUESTION, Sampling(max_tokens=16))

    return asyncio.run(once())


def echo(request: Request) -> Reply:
    return Reply(request.text)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with ScriptedServer(echo) as other:
        away = Reply("moved", status, headers={"Location": f"{other.url}/v1/chat/completions?q=1"})
        with (
            ScriptedServer(lambda _: away) as server,
            pytest.raises(UsageError, match=f"redirects to {other.url}; redirects are") as stopped,
        ):
            ask(server)
        listing = Reply(raw=b"", status=status, headers={"Location": f"{other.url}/v1/models"})
        with (
            ScriptedServer(echo, models_body=listing) as server,
            pytest.raises(UsageError, match=f"redirects to {other.url}; redirects are"),
        ):
            ask(server)
        assert other.requests == []
    assert "\n" not in str(stopped.value)


@pytest.mark.parametrize("location", ["//[::1", "http://h:port/", "", "/here"])
def test_a_redirect_to_nowhere_is_one_sentence_too(location: str) -> None:
    away = Reply("moved", 307, headers={"Location": location})
    with (
        ScriptedServer(lambda _: away) as server,
        pytest.raises(UsageError, match="redirects are not followed"),
    ):
        ask(server)


@pytest.mark.parametrize(
    "page", [Reply("x", 307, headers={"Location": "/login"}), Reply("x", 501), Reply(raw=b"<p>")]
)
def test_what_a_server_need_not_have_may_redirect_or_be_refused(page: Reply) -> None:
    """Behind a gateway, /tokenize leads to its own pages; the run goes on without it."""
    letters = Reply("A", logprobs={"A": -0.1, "B": -3.0})

    async def asked() -> Any:
        async with EndpointModel(server.url, "scripted") as model:
            with pytest.raises(UsageError, match=r"no /tokenize: give .* --tokenizer"):
                await model.tokenizer.encode("x")
            return await model.logprobs(QUESTION, ("A", "B"))

    with ScriptedServer(lambda _: letters, root_body=page) as server:
        assert asyncio.run(asked()) == [-0.1, -3.0]


def packed(size: int) -> Reply:
    """Return a completion of this size, compressed a thousandfold."""
    text = {"choices": [{"message": {"content": "a" * size}, "finish_reason": "stop"}]}
    data = gzip.compress(json.dumps(text).encode(), compresslevel=1)
    return Reply(raw=data, headers={"Content-Encoding": "gzip"})


def test_an_answer_is_read_up_to_a_limit_after_decompression() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reply = packed(100 * MIB)  # the test itself holds this once or twice
    made = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        ScriptedServer(lambda _: reply) as server,
        pytest.raises(ItemError, match="larger than 8 MiB"),
    ):
        ask(server)
    assert len(server.requests) == 1
    assert made >= before
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - made < 60 * 1024  # KiB
    with ScriptedServer(lambda _: packed(4 * MIB)) as server:
        assert len(ask(server).text) == 4 * MIB
    with (
        ScriptedServer(echo, models_body=packed(9 * MIB)) as server,
        pytest.raises(UsageError, match="larger than 8 MiB"),
    ):
        ask(server)


def repeats(request: Request, **reply: Any) -> Reply:
    return Reply(f"you sent {request.headers['Authorization']}!", **reply)


def test_a_key_that_a_server_repeats_is_masked_in_responses() -> None:
    def all_over(request: Request) -> Reply:
        return repeats(request, reasoning=request.headers["Authorization"])

    with ScriptedServer(all_over) as server:
        response = ask(server, KEY)
    assert response.text == "you sent Bearer [API key]!"
    assert response.reasoning == "Bearer [API key]"
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
    body = f'{{"choices": [{{"message": {{"content": "{escaped}"}}}}]}}'.encode()
    with ScriptedServer(lambda _: Reply(raw=body)) as server:
        assert ask(server, KEY).text == "[API key]"


@pytest.mark.parametrize("status", [400, 401, 418, 500])
def test_a_key_that_a_server_repeats_is_masked_in_errors(status: int) -> None:
    with (
        ScriptedServer(lambda request: repeats(request, status=status)) as server,
        pytest.raises((ItemError, UsageError)) as failed,
    ):
        ask(server, KEY)
    assert "[API key]" in str(failed.value)
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(raw=f"<html>{KEY}</html>".encode()),
        Reply(raw=b"[" * 500 + json.dumps(KEY).encode() + b"]" * 500),
        Reply("moved", 307, headers={"Location": f"http://{KEY}:{KEY}@h/{KEY}?{KEY}"}),
        Reply("", finish_reason=KEY),
    ],
)
def test_a_key_is_masked_whatever_it_stands_in(reply: Reply) -> None:
    with (
        ScriptedServer(lambda _: reply) as server,
        pytest.raises((ItemError, UsageError)) as failed,
    ):
        ask(server, KEY)
    assert "secret" not in str(failed.value)


def test_a_key_in_what_is_no_http_is_masked() -> None:
    async def reply(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {KEY}\r\n{KEY}\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def once() -> None:
        server = await asyncio.start_server(reply, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, EndpointModel(f"http://127.0.0.1:{port}", "m", KEY):
            pass

    with pytest.raises(UsageError) as failed:
        asyncio.run(once())
    assert "secret" not in str(failed.value)


def test_the_placeholder_of_no_key_masks_nothing() -> None:
    with ScriptedServer(lambda _: Reply("EMPTY x")) as server:
        assert ask(server, "x").text == ask(server).text == "EMPTY x"
