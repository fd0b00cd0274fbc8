"""Receive a server's answer: with limited size, our key masked, and no redirects."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

import aiohttp
import orjson

from harness.backends.http.answers import Answer
from harness.errors import ItemError, UsageError

MASK = "[API key]"
# No real key is shorter; a placeholder such as "none" is not secret, and may occur in answers.
_SHORTEST_KEY = 12


class RedirectError(UsageError):
    """The server redirects; prompts and images may only go to the given address."""


async def receive(got: aiohttp.ClientResponse, most: int, key: str | None) -> Answer:
    """Return what a server sent to a request that follows no redirects, any copy of our key masked.

    Raises `ItemError` if the body has more than ``most`` bytes after decompression, `RedirectError`
    if the server redirects.
    """
    if 300 <= got.status < 400 and "Location" in got.headers:
        raise RedirectError(
            f"{got.url.origin()} redirects to {_target(got, key)}; redirects are not followed, so "
            "that prompts reach no other host: pass the final address if you trust it."
        )
    body = bytearray()
    async for piece in got.content.iter_any():
        body += piece
        if len(body) > most:
            raise ItemError(f"the server's answer is larger than {most / 2**20:.0f} MiB")
    return Answer(got.status, _without(bytes(body), key), _retry_after(got.headers))


def masked(text: str, key: str | None) -> str:
    """Return a text with the key replaced by `MASK`."""
    return text.replace(key, MASK) if key and len(key) >= _SHORTEST_KEY else text


def _without(body: bytes, key: str | None) -> bytes:
    """Return a body without the key, including JSON-escaped copies."""
    if not key or len(key) < _SHORTEST_KEY:
        return body
    try:
        written, plain = orjson.dumps(key)[1:-1], orjson.dumps(orjson.loads(body))
    except orjson.JSONDecodeError:
        return body.replace(key.encode(), MASK.encode())
    except orjson.JSONEncodeError:  # nested deeper than any completion
        return b""
    return plain.replace(written, MASK.encode()) if written in plain else body


def _target(got: aiohttp.ClientResponse, key: str | None) -> str:
    """Return a redirect's target without path and query, which may contain what we sent."""
    try:
        parts = urlsplit(urljoin(str(got.url), got.headers["Location"]))
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "another address"
    return masked(f"{parts.scheme}://{parts.hostname}{port}", key)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds in a Retry-After header; its date form is ignored."""
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None
