"""A model behind any OpenAI-compatible server: many requests in flight, with retries.

A request that fails for good is an `ItemError`; an unreachable server is a `UsageError`.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
import orjson

from harness.backends import wire
from harness.backends.http.answers import Answer, completion, first_logprobs, served_models
from harness.backends.http.receive import RedirectError, masked, receive
from harness.backends.http.throttle import Throttle, TryAgainError
from harness.backends.http.urls import LOOPBACK, base_url, host_of
from harness.backends.models.settings import ModelSettings
from harness.backends.tokenizer import LocalTokenizer
from harness.errors import ContextOverflowError, ItemError, UsageError
from harness.files.typed_json import record
from harness.protocols import OWN_FORM, PromptForm, Tokenizer
from harness.reasoning import opening
from harness.records import ImagePart, Message, Response, Sampling

CHECK_TIMEOUT = 30.0
LIKELIEST = 20  # the most that OpenAI's API and vLLM return by default
ATTEMPTS = 6
FILTER_ATTEMPTS = 3  # a content filter may decide differently on a retry
LONGEST_WAIT = 60.0
BUSY_PATIENCE = 900.0  # seconds of nothing but 429s
# Servers close idle connections after some seconds (uvicorn: 5); we must close ours earlier.
KEEP_ALIVE = 4.0
IDS_PER_BYTE = 16  # bytes per byte of text, in an answer with token ids: "100000, " and its token
# Identical refusals in a row that end the run: before the first answer, and after it.
REFUSALS_AT_FIRST, REFUSALS_LATER = 5, 50

T = TypeVar("T")

# Sent only on the user's request, so never dropped.
ASKED_FOR = frozenset({"top_k", "min_p", "presence_penalty", "repetition_penalty"})
NEWER_LIMIT = "max_completion_tokens"  # OpenAI's name for max_tokens since the o-series


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on requests to a server.

    ``timeout`` is the seconds per attempt, ``first_wait`` those before the second attempt; each
    further wait is twice as long. Requests beyond ``max_connections`` wait. An answer has at most
    ``answer_bytes`` bytes, counted after decompression.
    """

    timeout: float = 1800.0
    max_connections: int = 1024
    first_wait: float = 0.5
    answer_bytes: int = 8 * 2**20


class EndpointModel:
    """A model served by an OpenAI-compatible server; use it in ``async with``.

    A sampling parameter that the server rejects is dropped, or sent by its newer name, from then
    on; ``changes`` records this by parameter, for the manifest. ``check_prompt`` raises for an
    unusable conversation before it is sent; it is called in a thread. ``settings`` and
    ``extra_fields`` go into every chat request. A Unix ``socket`` is used if given.

    Args:
        url: the server's address, with or without ``/v1``.
        model: the served name; None takes the only one that is served.
        api_key: the key to send, if any; see `harness.backends.http.urls.key_for`.
        limits: of time and connections.
        obituary: returns why the server is dead, or None while it lives or if unknown.
        tokenizer: a folder or Hub id with the model's tokenizer; None uses the server's
            ``/tokenize`` and ``/detokenize`` (vLLM's).
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        api_key: str | None = None,
        limits: Limits = Limits(),
        obituary: Callable[[], str | None] = lambda: None,
        tokenizer: str | Path | None = None,
    ) -> None:
        self.url = base_url(url)
        self.changes: dict[str, str] = {}
        self.on_change: Callable[[], None] = lambda: None
        self.on_status: Callable[[str], None] = lambda _: None
        self.settings = ModelSettings()
        self.extra_fields: Mapping[str, Any] = {}
        self.check_prompt: Callable[[Sequence[Message]], None] | None = None
        self.socket: Path | None = None
        self._model = model
        self._key = api_key
        self._limits = limits
        self._obituary = obituary
        self.tokenizer: Tokenizer = (
            _ServerTokenizer(self) if tokenizer is None else LocalTokenizer(tokenizer)
        )
        self._throttle = Throttle(limits.max_connections)
        self._fields: dict[str, str | None] = {}  # server's parameter names, None: dropped
        self._last_answer = self._last_success = 0.0
        self._refusals: list[str] = []  # identical ones, since the last success
        self._entries: Mapping[str, Mapping[str, Any]] = {}
        self._thinks: dict[str, bool] = {}  # whether answers begin inside reasoning, by template

    @property
    def served(self) -> Mapping[str, Any]:
        """The model's entry in /v1/models; empty if the server has none, or was not asked."""
        return self._entries.get(self.name, self._entries.get(f"models/{self.name}", {}))

    @property
    def name(self) -> str:
        """The served name; available once the server was asked."""
        return self._model or ""

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        connect: Callable[..., aiohttp.BaseConnector] = aiohttp.TCPConnector
        if self.socket:
            connect = partial(aiohttp.UnixConnector, str(self.socket))
        self._session = aiohttp.ClientSession(
            headers={**headers, "Content-Type": "application/json"},
            connector=connect(limit=0, keepalive_timeout=KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),  # a server may set any number of them
            timeout=aiohttp.ClientTimeout(total=self._limits.timeout, sock_connect=CHECK_TIMEOUT),
            # An environment's proxy is for other machines.
            trust_env=host_of(self.url) not in LOOPBACK,
        )
        try:
            await self.check()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def check(self) -> None:
        """Ask the server what it serves, and determine the model's name.

        If the server does not say, a given name is used anyway. Raises `UsageError` if the server
        is down, wants another key, is not OpenAI-compatible, or does not serve the model.
        """
        answer = await self._get_models()
        if answer.status in (401, 403):
            raise UsageError(
                f"{self.url} wants another API key ({answer.message}); "
                "name the variable that holds it with --api-key-env."
            )
        entries = served_models(answer)
        served = list(entries or ())
        if entries is None and (self._model is None or answer.status == 200):
            raise UsageError(
                f"{self.url} is not an OpenAI-compatible server: GET /v1/models returned "
                f"{answer.status}, {answer.message}"
            )
        if self._model is None:
            if len(served) != 1:
                raise UsageError(
                    f"{self.url} serves {', '.join(served) or 'no model'}; choose one with --model."
                )
            self._model = served[0]
        # Gemini lists "models/NAME" and accepts both.
        bare = {name.removeprefix("models/") for name in served}
        if bare and self._model.removeprefix("models/") not in bare:
            raise UsageError(
                f"{self.url} does not serve {self._model!r}; it serves {', '.join(served)}."
            )
        self._entries = entries or {}

    async def _get_models(self) -> Answer:
        timeout = aiohttp.ClientTimeout(total=min(CHECK_TIMEOUT, self._limits.timeout))
        try:
            async with self._session.get(
                f"{self.url}/models", timeout=timeout, allow_redirects=False
            ) as got:
                return await receive(got, self._limits.answer_bytes, self._key)
        except ItemError as error:
            raise UsageError(f"{self.url}/models: {error}") from None
        except TimeoutError:
            raise UsageError(
                f"{self.url} did not answer within {timeout.total:.0f} seconds; "
                "check that the server is up."
            ) from None
        except aiohttp.ClientError as error:
            raise UsageError(
                f"no server answers at {self.url} ({self._in_words(error)}); "
                "start it, or correct the address."
            ) from None

    async def chat(self, messages: Sequence[Message], sampling: Sampling) -> Response:
        """Answer one conversation; images are sent as PNG.

        Greedy requests omit top-p and seed: they have no effect there, and some servers reject
        them. If prompt and ``sampling.max_tokens`` exceed the server's context, the request is
        repeated once without a limit, so that the answer takes what remains. If a content filter
        withholds it `FILTER_ATTEMPTS` times, the finish reason is "content_filter". Raises
        `ContextOverflowError` if the prompt leaves no room for an answer; `ItemError` if the
        request failed for good, or an image cannot be encoded; `UsageError` if the server is gone,
        or rejects every request.
        """
        parameters: dict[str, Any] = {
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
        }
        if sampling.temperature > 0:
            parameters |= {"top_p": sampling.top_p, "seed": sampling.seed}
        parameters |= {name: value for name, value in sampling.used().items() if name in ASKED_FOR}
        body = await self._body(messages)
        for _ in range(FILTER_ATTEMPTS):
            response = completion(await self._complete(body, parameters))
            if response.finish_reason != "content_filter":
                break
        return response

    async def logprobs(
        self, messages: Sequence[Message], tokens: Sequence[str], form: PromptForm = OWN_FORM
    ) -> Sequence[float | None] | None:
        """Return each token's log-probability as the first one of an answer.

        Servers return only the `LIKELIEST` tokens; None if they return none at all, or if the first
        token belongs to reasoning that the chat template opens. Raises `ItemError` and `UsageError`
        as `chat` does.
        """
        # Extra fields may also set the template; vLLM's /tokenize accepts the same ones as its
        # chat.
        rendering = dict(self.settings.body())
        if form.template is not None:
            rendering["chat_template"] = form.template
        if variables := {**(self.settings.chat_template_kwargs or {}), **form.variables}:
            rendering["chat_template_kwargs"] = variables
        if await self._opens_thought(rendering):
            return None
        body = await self._body(messages)
        body |= {"logprobs": True, "top_logprobs": LIKELIEST, **rendering}
        if messages[-1].role == "assistant":  # it continues the message
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        answer = await self._complete(body, {"max_tokens": 1, "temperature": 0.0})
        if answer.status == 200:
            form.check(completion(answer).prompt_tokens)
        likeliest = first_logprobs(answer)
        return None if likeliest is None else [likeliest.get(token) for token in tokens]

    async def _opens_thought(self, rendering: Mapping[str, Any]) -> bool:
        """Whether the chat template opens reasoning, if the server reveals it, as vLLM does.

        It is asked once per template and its variables.
        """
        key = repr(rendering)
        if key not in self._thinks:
            conversation = [{"role": "user", "content": "A or B?"}]
            told = await self.ask_root("tokenize", {"messages": conversation, **rendering})
            tokens = told.get("tokens") if isinstance(told, dict) else None
            tail = tokens[-16:] if isinstance(tokens, list) else []
            text = await self.ask_root("detokenize", {"tokens": tail}) if tail else None
            prompt = text.get("prompt") if isinstance(text, dict) else None
            self._thinks[key] = isinstance(prompt, str) and bool(opening(prompt))
        return self._thinks[key]

    async def ask_root(self, path: str, body: Mapping[str, Any]) -> Any:
        """Call a server's API besides chat, at its root; return the parsed answer.

        None if the server lacks it: some then redirect to a page of theirs. Raises `ItemError` if
        the request failed for good; `UsageError` if the server is gone.
        """
        root = self.url.removesuffix("/v1")
        # Token ids are longer than their text.
        data = orjson.dumps({"model": self.name, **body})
        most = self._limits.answer_bytes + IDS_PER_BYTE * len(data)
        try:
            answer = await self._post(f"{root}/{path}", data, most)
        except RedirectError:
            return None
        return answer.document if answer.status == 200 else None

    async def _body(self, messages: Sequence[Message]) -> dict[str, Any]:
        """Return a chat request without its parameters."""
        encoded = await self._encode(self.settings.asked(messages))
        fields = {**self.extra_fields, **self.settings.body()}
        return {"model": self.name, "messages": encoded, **fields}

    async def _encode(self, messages: Sequence[Message]) -> list[dict[str, Any]] | orjson.Fragment:
        """Return the encoded messages; images are compressed off the event loop."""
        if self.check_prompt is not None:
            await asyncio.to_thread(self.check_prompt, messages)
        if not any(isinstance(p, ImagePart) for m in messages for p in m.content):
            return wire.openai(messages)
        try:
            return await asyncio.to_thread(
                lambda: orjson.Fragment(orjson.dumps(wire.openai(messages)))
            )
        except OSError as error:
            raise ItemError(f"an image cannot be encoded: {error}") from error

    async def _complete(self, body: Mapping[str, Any], parameters: dict[str, Any]) -> Answer:
        """Request a completion, with the parameters that the server accepts."""
        while True:
            fields = {self._fields.get(name, name): value for name, value in parameters.items()}
            sent = {name: value for name, value in fields.items() if name is not None}
            data = orjson.dumps({**body, **sent})
            answer = await self._post(
                f"{self.url}/chat/completions", data, self._limits.answer_bytes, completion
            )
            if answer.status == 200:
                self._last_success = time.monotonic()
                self._refusals.clear()
            elif answer.is_overflow and {"max_tokens", NEWER_LIMIT} & sent.keys():
                parameters = {k: v for k, v in parameters.items() if k != "max_tokens"}
                continue
            elif (refused := answer.refused_parameter(sent)) is not None:
                self._do_without(refused, sent[refused])
                continue
            elif not (answer.is_filtered or ("logprobs" in body and "logprob" in answer.message)):
                self._refuse(answer)
            return answer

    def _do_without(self, field: str, value: Any) -> None:
        """Drop a rejected field from now on, or send it by its newer name.

        Raises `UsageError` if the user asked for it.
        """
        if field in ASKED_FOR or (field == "top_p" and value != 1):
            raise UsageError(f"{self.url} does not take {field}: remove {field}={value:g}")
        name = "max_tokens" if field == NEWER_LIMIT else field
        if self._fields.get(name, name) != field:
            return  # concurrent requests learn it together
        if field == "max_tokens":
            self._fields[name], self.changes[name] = NEWER_LIMIT, f"sent as {NEWER_LIMIT}"
        else:
            self._fields[name] = None
            self.changes[name] = "not sent: the server refuses it and applies its own default"
            self.on_status(f"{name} is {self.changes[name]}")
        self.on_change()

    def _refuse(self, answer: Answer) -> None:
        """Raise for a request that the server rejected; if it rejects all, the run ends."""
        reason = f"the server answered {answer.status}: {answer.message}"
        if answer.is_overflow:
            raise ContextOverflowError(reason)
        kind = re.sub(r"\d+", "", reason)
        self._refusals = [*(known for known in self._refusals if known == kind), kind]
        most = REFUSALS_LATER if self._last_success else REFUSALS_AT_FIRST
        if answer.status in (401, 404) and not self._last_success:
            raise UsageError(f"{self.url}: {reason}")
        if len(self._refusals) >= most:
            raise UsageError(f"{self.url} refused {most} requests in a row: {reason}")
        raise ItemError(reason)

    async def _post(
        self,
        url: str,
        data: bytes,
        most: int,
        read: Callable[[Answer], object] = lambda answer: answer,
    ) -> Answer:
        """Send a request, with retries, and return the first final answer.

        It has at most ``most`` bytes. ``read`` raises `ItemError` for an answer to be requested
        again.
        """
        begun = time.monotonic()
        attempts = failures = 0
        while True:
            try:
                async with self._throttle.slot():
                    return await self._post_once(url, data, most, read)
            except TryAgainError as error:
                attempts += 1
                failures += not error.busy
                self._raise_if_hopeless(error, failures, begun)
                await asyncio.sleep(self._wait(error, attempts))

    def _raise_if_hopeless(self, error: TryAgainError, failures: int, begun: float) -> None:
        """Raise if a failed request, first sent at ``begun``, is not worth a retry."""
        now = time.monotonic()
        if error.busy and now - max(begun, self._last_success) > BUSY_PATIENCE:
            raise UsageError(
                f"{self.url} has taken no request for {BUSY_PATIENCE / 60:.0f} minutes ({error}); "
                "rerun the command later to resume."
            ) from error
        # Attempts that each take the whole timeout are not worth six of them.
        if failures < ATTEMPTS and (error.busy or now - begun < 2 * self._limits.timeout):
            return
        if error.unreachable and self._last_answer < begun:
            raise UsageError(
                f"the server at {self.url} stopped answering ({error}); "
                "rerun the command to resume."
            ) from error
        raise ItemError(f"gave up after several attempts: {error}") from error

    def _wait(self, error: TryAgainError, attempts: int) -> float:
        """Return seconds to wait: the server's Retry-After, else doubling, with jitter."""
        if error.wait is not None:
            return min(error.wait, LONGEST_WAIT) + random.uniform(0, self._limits.first_wait)
        doubled = self._limits.first_wait * 2.0 ** min(attempts - 1, 30)
        return min(doubled, LONGEST_WAIT) * random.uniform(0.5, 1.5)

    async def _post_once(
        self, url: str, data: bytes, most: int, read: Callable[[Answer], object]
    ) -> Answer:
        try:
            async with self._session.post(url, data=data, allow_redirects=False) as got:
                answer = await receive(got, most, self._key)
                self._last_answer = time.monotonic()
        except (aiohttp.ClientError, TimeoutError) as error:
            if reason := self._obituary():
                raise UsageError(reason) from error
            unconnected = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
            raise TryAgainError(
                self._in_words(error) or f"no answer within {self._limits.timeout:.0f} seconds",
                unreachable=isinstance(error, unconnected),
            ) from error
        if answer.is_passing:
            raise TryAgainError(
                f"the server answered {answer.status}: {answer.message}",
                wait=answer.retry_after,
                busy=answer.is_busy,
            )
        if answer.status == 200:
            try:
                read(answer)
            except ItemError as error:
                if answer.body and answer.document is None:
                    raise  # another program's page, not a transient failure
                raise TryAgainError(str(error)) from error
        return answer

    def _in_words(self, error: Exception) -> str:
        """Return the system's reason for a failed connection; for other errors, their text."""
        if not isinstance(error, aiohttp.ClientConnectorError):
            return masked(str(error), self._key)  # it may quote what the server sent
        number = error.os_error.errno or 0  # below 0 for unresolved names
        known = os.strerror(number) if number > 0 else error.os_error.strerror
        return (known or "cannot connect").lower()


class _ServerTokenizer:
    """The tokenizer of a server with vLLM's ``/tokenize`` and ``/detokenize``."""

    def __init__(self, server: EndpointModel) -> None:
        self._server = server

    async def encode(self, text: str) -> list[int]:
        body = {"prompt": text, "add_special_tokens": False}
        return await self._ask("tokenize", body, "tokens", list[int])

    async def decode(self, ids: Sequence[int]) -> str:
        return await self._ask("detokenize", {"tokens": list(ids)}, "prompt", str)

    async def _ask(self, path: str, body: Mapping[str, Any], field: str, kind: type[T]) -> T:
        answer = await self._server.ask_root(path, body)
        try:
            return record(kind, answer[field])
        except (LookupError, TypeError, ValueError):
            raise UsageError(
                f"{self._server.url} provides no /{path}: "
                "give the model's tokenizer with --tokenizer FOLDER or HUB_ID"
            ) from None
