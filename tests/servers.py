"""A real HTTP server that speaks the OpenAI chat API and answers as a plain function says."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import psutil
from aiohttp import web

from tests.processes import with_word


@dataclass(frozen=True, slots=True)
class Request:
    """One chat request as the server received it; ``number`` counts from 0.

    ``in_flight`` requests were being answered then, this one among them.
    """

    number: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    in_flight: int = 1

    def _parts(self) -> list[Mapping[str, Any]]:
        contents = [message["content"] for message in self.body["messages"]]
        parts: list[Mapping[str, Any]] = []
        for content in contents:
            parts += [{"type": "text", "text": content}] if isinstance(content, str) else content
        return parts

    @property
    def text(self) -> str:
        """All text of all messages, one part a line."""
        return "\n".join(part["text"] for part in self._parts() if part["type"] == "text")

    @property
    def images(self) -> list[bytes]:
        """The encoded bytes of every image, in reading order."""
        urls = [p["image_url"]["url"] for p in self._parts() if p["type"] == "image_url"]
        return [base64.b64decode(url.partition("base64,")[2]) for url in urls]


@dataclass(frozen=True, slots=True)
class Reply:
    """What to send back.

    With ``raw`` these bytes are the whole body; with a ``status`` other than 200 ``text`` is the
    message of an OpenAI error, whose other fields are ``error``; else a chat completion.
    ``delay`` is in seconds.  ``drop`` closes the connection without an answer.  ``logprobs`` are
    the likeliest first tokens' log-probabilities, sent where they are asked for.
    """

    text: Any = ""
    status: int = 200
    finish_reason: Any = "stop"
    reasoning: Any = None
    usage: Any = field(
        default_factory=lambda: {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    )
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    delay: float = 0.0
    drop: bool = False
    logprobs: Mapping[str, float] | None = None
    error: Mapping[str, Any] = field(default_factory=dict)


Answer = Callable[[Request], Reply | str]


class Tokens(Protocol):
    """A tokenizer that a server can offer: transformers' have this shape."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...
    def decode(self, ids: list[int]) -> str: ...


def fails_first(times: int, failure: Reply, answer: Answer) -> Answer:
    """Return an answer that sends ``failure`` to the first ``times`` requests, then answers."""

    def reply(request: Request) -> Reply | str:
        return failure if request.number < times else answer(request)

    return reply


def context_overflow(max_model_len: int, answer: Answer) -> Answer:
    """Refuse ``max_tokens`` above ``max_model_len`` in the words of vLLM 0.32."""

    def reply(request: Request) -> Reply | str:
        asked = request.body.get("max_tokens")
        if asked is None or asked <= max_model_len:
            return answer(request)
        return Reply(
            status=400,
            text=f"max_tokens={asked} cannot be greater than max_model_len={max_model_len}. "
            f"Please request fewer output tokens. (parameter=max_tokens, value={asked})",
        )

    return reply


def refuses(field: str, refusal: Reply, answer: Answer) -> Answer:
    """Return an answer that refuses every request that has this field."""
    return lambda request: refusal if field in request.body else answer(request)


def takes_at_once(most: int, answer: Answer) -> Answer:
    """Return an answer with a limit of requests in flight, above which it sends 429s."""

    def reply(request: Request) -> Reply | str:
        return Reply("slow down", status=429) if request.in_flight > most else answer(request)

    return reply


class ScriptedServer:
    """An OpenAI-compatible server on a free loopback port, alive inside ``with``.

    ``answer`` maps each chat request to a `Reply` (or its text).  ``api_key`` is required of every
    request if given.  ``models_body`` replaces the answer to GET /v1/models.  ``requests`` holds
    every chat request in order of arrival, ``peak`` the most that were in flight at once.  With a
    ``tokenizer`` there are also /tokenize and /detokenize, as vLLM 0.32 has them;
    ``opens`` is what its chat template writes where the answer begins; a request's own template
    stands for that.  ``root_body`` answers
    /tokenize and /detokenize in their stead.  ``more`` maps other paths to functions from a
    request's JSON, or the fields of its form, to the answer's JSON.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        models: tuple[str, ...] = ("scripted",),
        api_key: str | None = None,
        models_body: Reply | None = None,
        port: int = 0,
        tokenizer: Tokens | None = None,
        opens: str = "",
        root_body: Reply | None = None,
        more: Mapping[str, Callable[[Any], Any]] | None = None,
    ) -> None:
        self._more = more or {}
        self._root_body = root_body
        self._opens = opens
        self.requests: list[Request] = []
        self.peak = 0
        self.port = port
        self._answer = answer
        self._models = models
        self._api_key = api_key
        self._models_body = models_body
        self._tokenizer = tokenizer
        self._in_flight = 0
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        """The server's address, without ``/v1``."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(10):
            raise RuntimeError("the scripted server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_post("/v1/chat/completions", self._chat)
        if self._root_body is not None:
            app.router.add_post("/{name:(?:de)?tokenize}", self._other_page)
        if self._tokenizer is not None:
            app.router.add_post("/tokenize", self._tokenize)
            app.router.add_post("/detokenize", self._detokenize)
        for path, answer in self._more.items():
            app.router.add_post(path, _answering(answer))
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def _unauthorized(self, request: web.Request) -> bool:
        expected = f"Bearer {self._api_key}"
        return self._api_key is not None and request.headers.get("Authorization") != expected

    async def _list_models(self, request: web.Request) -> web.StreamResponse:
        if self._unauthorized(request):
            return _error(Reply(status=401, text="Incorrect API key provided."))
        if self._models_body is not None:
            return await _send(self._models_body, request, "")
        models = [{"id": name, "object": "model"} for name in self._models]
        return web.json_response({"object": "list", "data": models})

    async def _other_page(self, request: web.Request) -> web.StreamResponse:
        assert self._root_body is not None
        return await _send(self._root_body, request, "")

    async def _tokenize(self, request: web.Request) -> web.Response:
        assert self._tokenizer is not None
        body = json.loads(await request.read())
        special = body.get("add_special_tokens", True)
        opens = body.get("chat_template", self._opens)
        text = body["prompt"] if "prompt" in body else f"{body['messages']}{opens}"
        ids = self._tokenizer.encode(text, add_special_tokens=special)
        return web.json_response({"count": len(ids), "max_model_len": 8192, "tokens": ids})

    async def _detokenize(self, request: web.Request) -> web.Response:
        assert self._tokenizer is not None
        body = json.loads(await request.read())
        return web.json_response({"prompt": self._tokenizer.decode(body["tokens"])})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        if self._unauthorized(request):
            return _error(Reply(status=401, text="Incorrect API key provided."))
        body = json.loads(await request.read())
        self._in_flight += 1
        received = Request(len(self.requests), body, dict(request.headers), self._in_flight)
        self.requests.append(received)
        self.peak = max(self.peak, self._in_flight)
        try:
            reply = self._answer(received)
            reply = Reply(text=reply) if isinstance(reply, str) else reply
            return await _send(reply, request, str(body.get("model")))
        finally:
            self._in_flight -= 1


def _answering(answer: Callable[[Any], Any]) -> Callable[[web.Request], Any]:
    async def handle(request: web.Request) -> web.Response:
        if not request.content_type.startswith("multipart/"):
            return web.json_response(answer(json.loads(await request.read())))
        form = (await request.post()).items()
        fields = {name: v if isinstance(v, str | bytes) else v.file.read() for name, v in form}
        return web.json_response(answer(fields))

    return handle


def _error(reply: Reply) -> web.Response:
    error = {"message": reply.text, "type": "BadRequestError", "param": None, "code": reply.status}
    error |= reply.error
    return web.json_response({"error": error}, status=reply.status, headers=dict(reply.headers))


async def _send(reply: Reply, request: web.Request, model: str) -> web.StreamResponse:
    await asyncio.sleep(reply.delay)
    if reply.drop:
        if request.transport is not None:
            request.transport.close()
        return web.Response()
    if reply.raw is not None:
        return web.Response(body=reply.raw, status=reply.status, headers=dict(reply.headers))
    if reply.status != 200:
        return _error(reply)
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.reasoning is not None:
        message["reasoning_content"] = reply.reasoning
    choice: dict[str, Any] = {
        "index": 0,
        "message": message,
        "finish_reason": reply.finish_reason,
    }
    if reply.logprobs is not None:
        likeliest = [{"token": word, "logprob": value} for word, value in reply.logprobs.items()]
        choice["logprobs"] = {"content": [{**likeliest[0], "top_logprobs": likeliest}]}
    completion = {"id": "chatcmpl-0", "object": "chat.completion", "model": model}
    return web.json_response({**completion, "choices": [choice], "usage": reply.usage})


def asking() -> list[psutil.Process]:
    """Return this process's children that ask an endpoint; one that has ended does not."""
    return with_word("--endpoint", psutil.Process().children())
