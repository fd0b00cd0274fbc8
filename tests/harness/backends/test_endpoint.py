"""`EndpointModel` against a real HTTP server that succeeds and fails as it is told."""

from __future__ import annotations

import asyncio
import io
import socket
import time
from pathlib import Path

import pytest
from PIL import Image

from harness.backends.http.endpoint import EndpointModel, Limits
from harness.errors import ItemError, UsageError
from harness.records import ImagePart, Message, Response, Sampling, TextPart
from tests.servers import Answer, Reply, Request, ScriptedServer, context_overflow, fails_first

QUESTION = (Message("user", (TextPart("What is it?"),)),)
SAMPLING = Sampling(max_tokens=16, temperature=0.5, top_p=0.9, seed=7)


def echo(request: Request) -> str:
    return request.text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(
    answer: Answer, messages: tuple[Message, ...] = QUESTION, *, timeout: float = 30.0
) -> tuple[Response, list[Request]]:
    """Ask a server with this answer once; return the response and what the server received."""

    async def once(url: str) -> Response:
        async with EndpointModel(url, limits=Limits(timeout=timeout, first_wait=0.01)) as model:
            return await model.chat(messages, SAMPLING)

    with ScriptedServer(answer) as server:
        return asyncio.run(once(server.url)), server.requests


def enter(server: ScriptedServer, model: str | None = None, key: str | None = None) -> str:
    """Open a model on the server and return its settled name."""

    async def opened() -> str:
        async with EndpointModel(server.url, model, key) as endpoint:
            return endpoint.name

    return asyncio.run(opened())


def test_a_request_carries_messages_and_sampling_as_openai_names_them() -> None:
    image = Image.effect_mandelbrot((40, 30), (-2, -1, 1, 1), 50).convert("RGB")
    messages = (
        Message("system", (TextPart("Be brief."),)),
        Message("user", (TextPart("First "), ImagePart(image), TextPart("?"), ImagePart(image))),
    )
    response, (request,) = ask(echo, messages)
    assert response.text == "Be brief.\nFirst \n?"
    assert request.headers["Content-Type"] == "application/json"
    types = [part["type"] for part in request.body["messages"][1]["content"]]
    assert types == ["text", "image_url", "text", "image_url"]
    sent = {k: v for k, v in request.body.items() if k != "messages"}
    assert sent == {
        "model": "scripted",
        "max_tokens": 16,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
    }
    for png in request.images:
        decoded = Image.open(io.BytesIO(png))
        assert decoded.format == "PNG"
        assert decoded.tobytes() == image.tobytes()


def test_a_response_keeps_reasoning_usage_and_finish_reason() -> None:
    reply = Reply("B", finish_reason="length", reasoning="Because.")
    response, _ = ask(lambda _: reply)
    assert (response.text, response.reasoning) == ("B", "Because.")
    assert (response.prompt_tokens, response.completion_tokens) == (3, 2)
    assert response.truncated


def test_a_response_without_content_or_usage_is_empty_text() -> None:
    response, _ = ask(lambda _: Reply(None, usage=None))
    assert response.text == ""
    assert response.prompt_tokens is None


@pytest.mark.parametrize(
    "failure",
    [
        Reply("overloaded", status=503),
        Reply("oops", status=500),
        Reply("slow down", status=429),
        Reply(drop=True),
    ],
)
def test_passing_failures_are_tried_again(failure: Reply) -> None:
    response, requests = ask(fails_first(3, failure, echo))
    assert response.text == "What is it?"
    assert len(requests) == 4


def test_a_request_that_times_out_is_tried_again() -> None:
    response, requests = ask(fails_first(1, Reply("late", delay=5), echo), timeout=0.3)
    assert response.text == "What is it?"
    assert len(requests) == 2


def test_retry_after_is_honoured() -> None:
    failure = Reply("slow down", status=429, headers={"Retry-After": "1"})
    begun = time.monotonic()
    ask(fails_first(1, failure, echo))
    assert time.monotonic() - begun >= 1


def test_failing_for_good_is_the_items_error_with_the_servers_words() -> None:
    with pytest.raises(ItemError, match=r"several attempts.*503: overloaded"):
        ask(lambda _: Reply("overloaded", status=503))


def test_a_refused_request_is_not_tried_again() -> None:
    def refuse(request: Request) -> Reply:
        assert request.number == 0
        return Reply("image too small", status=400)

    with pytest.raises(ItemError, match="400: image too small"):
        ask(refuse)


def test_a_limit_beyond_the_context_is_asked_again_without_limit() -> None:
    response, requests = ask(context_overflow(8, echo))
    assert response.text == "What is it?"
    assert ["max_tokens" in request.body for request in requests] == [True, False]


def test_a_prompt_beyond_the_context_is_the_items_error() -> None:
    words = (
        "This model's maximum context length is 8 tokens. However, your prompt contains at least "
        "9 input tokens, which exceeds this limit even without any output tokens."
    )
    with pytest.raises(ItemError, match="maximum context length is 8 tokens"):
        ask(lambda _: Reply(words, status=400))


@pytest.mark.parametrize(
    "body",
    [
        b"<html>hello</html>",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": 3}}]}',
        b'{"choices": [{"message": null}]}',
        b'"text"',
    ],
)
def test_an_answer_that_is_no_completion_is_the_items_error(body: bytes) -> None:
    with pytest.raises(ItemError, match="no chat completion"):
        ask(lambda _: Reply(raw=body))


def test_the_only_served_model_is_taken() -> None:
    with ScriptedServer(echo, models=("one",)) as server:
        assert enter(server) == "one"


def test_one_of_several_models_must_be_named() -> None:
    with ScriptedServer(echo, models=("one", "two")) as server:
        with pytest.raises(UsageError, match="serves one, two; choose one"):
            enter(server)
        assert enter(server, "two") == "two"
        with pytest.raises(UsageError, match="does not serve 'three'; it serves one, two"):
            enter(server, "three")


@pytest.mark.parametrize(
    "body",
    [
        Reply(raw=b"<html>hello</html>"),
        Reply(raw=b'{"data": 3}'),
        Reply(raw=b"[1]"),
        Reply("not found", status=404),
        Reply("starting", status=503),
    ],
)
def test_a_server_that_talks_nonsense_is_named_as_such(body: Reply) -> None:
    with (
        ScriptedServer(echo, models_body=body) as server,
        pytest.raises(UsageError, match="is not an OpenAI-compatible server") as caught,
    ):
        enter(server)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 404])
def test_a_server_that_refuses_every_request_ends_the_run(status: int) -> None:
    with pytest.raises(UsageError, match=f"the server answered {status}: forbidden"):
        ask(lambda _: Reply("forbidden", status=status))


def test_no_server_is_said_at_once() -> None:
    async def open_nothing() -> None:
        async with EndpointModel(f"http://127.0.0.1:{free_port()}"):
            pass

    begun = time.monotonic()
    with pytest.raises(UsageError, match="no server answers at"):
        asyncio.run(open_nothing())
    assert time.monotonic() - begun < 5


def test_a_server_that_goes_away_ends_the_run_and_says_how_to_go_on() -> None:
    async def outlive(server: ScriptedServer) -> None:
        async with EndpointModel(server.url, limits=Limits(first_wait=0.01)) as model:
            assert (await model.chat(QUESTION, SAMPLING)).text == "What is it?"
            await asyncio.to_thread(server.__exit__)
            await model.chat(QUESTION, SAMPLING)

    server = ScriptedServer(echo).__enter__()
    with pytest.raises(UsageError, match=r"stopped answering.*rerun the command"):
        asyncio.run(outlive(server))


def test_a_server_that_is_known_to_be_dead_is_not_waited_for() -> None:
    async def outlive(server: ScriptedServer) -> None:
        dead = "it stopped: out of memory"
        async with EndpointModel(
            server.url, limits=Limits(first_wait=5), obituary=lambda: dead
        ) as model:
            await asyncio.to_thread(server.__exit__)
            await model.chat(QUESTION, SAMPLING)

    begun = time.monotonic()
    with pytest.raises(UsageError, match="it stopped: out of memory"):
        asyncio.run(outlive(ScriptedServer(echo).__enter__()))
    assert time.monotonic() - begun < 5


def test_a_server_that_comes_back_is_waited_for() -> None:
    async def outlive(first: ScriptedServer, second: ScriptedServer) -> str:
        async with EndpointModel(first.url, limits=Limits(first_wait=0.2)) as model:
            await asyncio.to_thread(first.__exit__)
            asked = asyncio.create_task(model.chat(QUESTION, SAMPLING))
            await asyncio.sleep(0.5)
            with second:
                return (await asked).text

    first = ScriptedServer(echo).__enter__()
    assert asyncio.run(outlive(first, ScriptedServer(echo, port=first.port))) == "What is it?"


def test_many_requests_are_in_flight_at_once() -> None:
    async def many(url: str) -> list[Response]:
        async with EndpointModel(url) as model:
            asked = [
                model.chat((Message("user", (TextPart(str(i)),)),), SAMPLING) for i in range(200)
            ]
            return await asyncio.gather(*asked)

    with ScriptedServer(lambda r: Reply(r.text, delay=0.2)) as server:
        begun = time.monotonic()
        responses = asyncio.run(many(server.url))
        assert time.monotonic() - begun < 10
    assert [r.text for r in responses] == [str(i) for i in range(200)]
    assert server.peak > 100


def test_an_image_that_cannot_be_read_is_the_items_error(tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(whole, "PNG")
    torn = tmp_path / "torn.png"
    torn.write_bytes(whole.getvalue()[:1000])
    with pytest.raises(ItemError, match="cannot be encoded"):
        ask(echo, (Message("user", (ImagePart(Image.open(torn)),)),))
