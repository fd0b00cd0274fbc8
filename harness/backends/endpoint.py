"""A model behind any OpenAI-compatible server: many requests in flight, with retries.

A request that fails for good is an `ItemError`; a server that is gone is a `UsageError`.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import orjson
import tenacity

from harness.backends import wire
from harness.backends.tokenizer import LocalTokenizer
from harness.backends.urls import base_url
from harness.errors import ContextOverflowError, ItemError, UsageError
from harness.protocols import Tokenizer
from harness.records import ImagePart, Message, Response, Sampling

CHECK_TIMEOUT = 30.0
LIKELIEST = 20  # what OpenAI's API and vLLM tell at most by default
ATTEMPTS = 6
LONGEST_WAIT = 60.0
# Servers close idle connections after some seconds (uvicorn: 5); ours must give them up before.
KEEP_ALIVE = 4.0

# vLLM ("maximum context length is", "cannot be greater than max_model_len", "is too large"),
# SGLang ("longer than the model's context length"), OpenAI ("context_length_exceeded").
_OVERFLOW = re.compile(
    r"context[ _]length|max_model_len|max(_completion)?_tokens'? .*is too large", re.IGNORECASE
)


class _TryAgainError(Exception):
    """This attempt failed, the next may succeed.

    ``wait`` is the time in seconds that the server asked for; ``unreachable`` means that no
    connection was made at all.
    """

    def __init__(
        self, reason: str, *, wait: float | None = None, unreachable: bool = False
    ) -> None:
        super().__init__(reason)
        self.wait = wait
        self.unreachable = unreachable


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the server sent: HTTP status and body."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the parsed body, or None where it is not JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    def message(self) -> str:
        """Return the server's own words about an error, at most 300 characters."""
        document = self.json()
        error = document.get("error", document) if isinstance(document, dict) else None
        words = error.get("message") if isinstance(error, dict) else error
        text = words if isinstance(words, str) else self.body.decode(errors="replace")
        return " ".join(text.split())[:300] or "no message"


def _parse(answer: _Answer, seconds: float) -> Response:
    """Read a chat completion.

    Raises:
        ItemError: the body is something else.
    """
    try:
        document = orjson.loads(answer.body)
        choice = document["choices"][0]
        message = choice["message"]
        text = message.get("content")
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        usage = document.get("usage") or {}
        if not (text is None or isinstance(text, str)):
            raise TypeError("its content is no text")
        return Response(
            text=text or "",
            reasoning=None if reasoning is None else str(reasoning),
            prompt_tokens=usage.get("prompt_tokens"),
            completion_tokens=usage.get("completion_tokens"),
            finish_reason=choice.get("finish_reason"),
            seconds=seconds,
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ItemError(f"the server returned no chat completion: {answer.message()}") from error


def _told_logprobs(answer: _Answer) -> dict[str, float] | None:
    """Return the first position's log-probabilities by token, None where there are none."""
    document = answer.json()
    try:
        told = document["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        return {str(entry["token"]): float(entry["logprob"]) for entry in told}
    except (LookupError, TypeError, ValueError):
        return None


def _retry_after(headers: Any) -> float | None:
    """Return the seconds in a Retry-After header; its other form, a date, is not used here."""
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of asking a server.

    ``timeout`` is the seconds that one attempt may take, ``first_wait`` those before the second
    attempt; each further wait is twice as long.  More requests than ``max_connections`` wait.
    """

    timeout: float = 1800.0
    max_connections: int = 1024
    first_wait: float = 0.5


class EndpointModel:
    """A model that an OpenAI-compatible server serves; use it in ``async with``.

    Args:
        url: the server's address, with or without ``/v1``.
        model: the served name; None takes the only one that is served.
        api_key: the key to send; None takes the environment's ``OPENAI_API_KEY``, if any.
        limits: of time and connections.
        obituary: returns why the server is dead, or None while it lives or where nobody knows.
        tokenizer: a folder or hub id with the model's tokenizer; None asks the server's
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
        self._model = model
        self._key = api_key or os.environ.get("OPENAI_API_KEY")
        self._limits = limits
        self._obituary = obituary
        self.tokenizer: Tokenizer = (
            _ServerTokenizer(self) if tokenizer is None else LocalTokenizer(tokenizer)
        )
        self._session: aiohttp.ClientSession | None = None
        self._last_answer = 0.0
        self._entries: dict[str, Mapping[str, Any]] = {}

    @property
    def served(self) -> Mapping[str, Any]:
        """The model's entry in /v1/models; empty before the server was asked."""
        return self._entries.get(self.name, {})

    @property
    def name(self) -> str:
        """The served name; known once the server was asked."""
        return self._model or ""

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        host = urlsplit(self.url).hostname or ""
        self._session = aiohttp.ClientSession(
            headers={**headers, "Content-Type": "application/json"},
            connector=aiohttp.TCPConnector(
                limit=self._limits.max_connections, keepalive_timeout=KEEP_ALIVE
            ),
            timeout=aiohttp.ClientTimeout(total=self._limits.timeout, sock_connect=CHECK_TIMEOUT),
            # A proxy of the environment is for other machines.
            trust_env=host not in ("localhost", "127.0.0.1", "::1"),
        )
        try:
            await self.check()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("an EndpointModel answers only inside `async with`")
        return self._session

    async def check(self) -> None:
        """Ask the server what it serves, and settle the model's name.

        Raises:
            UsageError: the server is down, wants another key, is not OpenAI-compatible, or does
                not serve the model.
        """
        served = await self._served()
        if self._model is None:
            if len(served) != 1:
                raise UsageError(
                    f"{self.url} serves {', '.join(served) or 'no model'}; choose one with --model."
                )
            self._model = served[0]
        if self._model not in served:
            raise UsageError(
                f"{self.url} does not serve {self._model!r}; it serves {', '.join(served)}."
            )

    async def _served(self) -> list[str]:
        timeout = aiohttp.ClientTimeout(total=min(CHECK_TIMEOUT, self._limits.timeout))
        try:
            async with self._open_session().get(f"{self.url}/models", timeout=timeout) as got:
                answer = _Answer(got.status, await got.read())
        except TimeoutError:
            raise UsageError(
                f"{self.url} did not answer within {timeout.total:.0f} seconds; "
                "check that the server is up."
            ) from None
        except aiohttp.ClientError as error:
            raise UsageError(
                f"no server answers at {self.url} ({_in_words(error)}); "
                "start it, or correct the address."
            ) from None
        if answer.status in (401, 403):
            raise UsageError(
                f"{self.url} refuses the API key ({answer.message()}); set OPENAI_API_KEY."
            )
        try:
            self._entries = {str(model["id"]): model for model in answer.json()["data"]}
            return list(self._entries)
        except (LookupError, TypeError):
            raise UsageError(
                f"{self.url} is not an OpenAI-compatible server: GET /v1/models returned "
                f"{answer.status}, {answer.message()}"
            ) from None

    async def chat(self, messages: Sequence[Message], sampling: Sampling) -> Response:
        """Answer one conversation; images travel as PNG.

        Where prompt and ``sampling.max_tokens`` exceed the server's context, the request is made
        once more without a limit, so that the answer takes what remains.

        Raises:
            ContextOverflowError: the prompt leaves no room for an answer.
            ItemError: the request failed for good, or an image cannot be encoded.
            UsageError: the server is gone, or refuses the key or the model.
        """
        begun = time.perf_counter()
        body = {
            "model": self.name,
            "messages": await self._encode(messages),
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
        }
        answer = await self._post(f"{self.url}/chat/completions", body)
        if answer.status == 400 and _OVERFLOW.search(answer.message()):
            del body["max_tokens"]
            answer = await self._post(f"{self.url}/chat/completions", body)
        self._refuse(answer)
        return _parse(answer, time.perf_counter() - begun)

    async def logprobs(
        self, messages: Sequence[Message], tokens: Sequence[str]
    ) -> Sequence[float | None] | None:
        """Return the log-probability that each token is the first one of an answer.

        Servers tell those of the `LIKELIEST` tokens only; None where they tell none at all.

        Raises:
            ItemError, UsageError: as of `chat`.
        """
        body = {
            "model": self.name,
            "messages": await self._encode(messages),
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": True,
            "top_logprobs": LIKELIEST,
        }
        answer = await self._post(f"{self.url}/chat/completions", body)
        if answer.status == 400 and "logprob" in answer.message().lower():
            return None
        self._refuse(answer)
        told = _told_logprobs(answer)
        return None if told is None else [told.get(token) for token in tokens]

    async def beside_chat(self, path: str, body: Mapping[str, Any]) -> Any:
        """Ask what the server offers beside the chat API, at its root; return the parsed answer.

        None where it offers no such thing.

        Raises:
            ItemError: the request failed for good.
            UsageError: the server is gone.
        """
        root = self.url.removesuffix("/v1")
        answer = await self._post(f"{root}/{path}", {"model": self.name, **body})
        return answer.json() if answer.status == 200 else None

    async def _encode(self, messages: Sequence[Message]) -> list[dict[str, Any]] | orjson.Fragment:
        """Return the messages for the wire; images are compressed off the event loop."""
        if not any(isinstance(p, ImagePart) for m in messages for p in m.content):
            return wire.openai(messages)
        try:
            return await asyncio.to_thread(
                lambda: orjson.Fragment(orjson.dumps(wire.openai(messages)))
            )
        except OSError as error:
            raise ItemError(f"an image cannot be encoded: {error}") from error

    def _refuse(self, answer: _Answer) -> None:
        """Raise where the server refused the request."""
        if answer.status == 200:
            return
        reason = f"the server answered {answer.status}: {answer.message()}"
        if answer.status in (401, 404):
            raise UsageError(f"{self.url}: {reason}")
        if answer.status == 400 and _OVERFLOW.search(answer.message()):
            raise ContextOverflowError(reason)
        raise ItemError(reason)

    async def _post(self, url: str, body: Mapping[str, Any]) -> _Answer:
        """Send a request, with retries, and return the first lasting answer."""
        begun = time.monotonic()
        data = orjson.dumps(body)
        try:
            async for attempt in tenacity.AsyncRetrying(
                retry=tenacity.retry_if_exception_type(_TryAgainError),
                # Attempts that each take the whole timeout are not worth six of them.
                stop=tenacity.stop_after_attempt(ATTEMPTS)
                | tenacity.stop_after_delay(2 * self._limits.timeout),
                wait=self._wait,
                reraise=True,
            ):
                with attempt:
                    return await self._post_once(url, data)
        except _TryAgainError as error:
            if error.unreachable and self._last_answer < begun:
                raise UsageError(
                    f"the server at {self.url} stopped answering ({error}); "
                    "run the same command again to continue."
                ) from error
            raise ItemError(f"gave up after several attempts: {error}") from error
        raise AssertionError("the retries end by an answer or an error")

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Return seconds to wait: what the server asked for, else doubling, with jitter."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _TryAgainError) and error.wait is not None:
            return min(error.wait, LONGEST_WAIT)
        doubled = min(self._limits.first_wait * 2.0 ** (state.attempt_number - 1), LONGEST_WAIT)
        return doubled + random.uniform(0, self._limits.first_wait)

    async def _post_once(self, url: str, data: bytes) -> _Answer:
        try:
            async with self._open_session().post(url, data=data) as got:
                answer = _Answer(got.status, await got.read())
                self._last_answer = time.monotonic()
        except (aiohttp.ClientError, TimeoutError) as error:
            if reason := self._obituary():
                raise UsageError(reason) from error
            unconnected = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
            raise _TryAgainError(
                _in_words(error) or f"no answer within {self._limits.timeout:.0f} seconds",
                unreachable=isinstance(error, unconnected),
            ) from error
        if answer.status == 429 or answer.status >= 500:
            raise _TryAgainError(
                f"the server answered {answer.status}: {answer.message()}",
                wait=_retry_after(got.headers),
            )
        return answer


def _in_words(error: Exception) -> str:
    """Return what the system says of a connection that was not made; of other errors their text."""
    if not isinstance(error, aiohttp.ClientConnectorError):
        return str(error)
    number = error.os_error.errno or 0  # below 0 for names that are not resolved
    known = os.strerror(number) if number > 0 else error.os_error.strerror
    return (known or "cannot connect").lower()


class _ServerTokenizer:
    """The tokenizer that a server offers as vLLM does: ``/tokenize`` and ``/detokenize``."""

    def __init__(self, server: EndpointModel) -> None:
        self._server = server

    async def encode(self, text: str) -> list[int]:
        """Return the token ids of ``text``."""
        body = {"prompt": text, "add_special_tokens": False}
        answer = await self._server.beside_chat("tokenize", body)
        tokens = answer.get("tokens") if isinstance(answer, dict) else None
        if not (isinstance(tokens, list) and all(isinstance(token, int) for token in tokens)):
            raise self._absent("/tokenize")
        return tokens

    async def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids."""
        answer = await self._server.beside_chat("detokenize", {"tokens": list(ids)})
        text = answer.get("prompt") if isinstance(answer, dict) else None
        if not isinstance(text, str):
            raise self._absent("/detokenize")
        return text

    def _absent(self, what: str) -> UsageError:
        return UsageError(
            f"{self._server.url} provides no {what}: "
            "give the model's tokenizer with --tokenizer FOLDER or HUB_ID"
        )
