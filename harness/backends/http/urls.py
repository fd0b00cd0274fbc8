"""Server addresses, checked before use, and which API key goes where."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from harness.errors import UsageError

OPENAI_KEY, OPENAI_HOST = "OPENAI_API_KEY", "api.openai.com"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# Matches: "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "Deepseek_API".  Not: "TOKENIZERS_PARALLELISM".
_SECRET = re.compile(
    r"(^|_)(API|API_?KEYS?|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(_ID|_FILE)?$",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(?:^|(?<=//)).*@")


def base_url(url: str) -> str:
    """Return ``url`` ending in ``/v1``, with or without a ``/v1`` or slash in the input.

    Raises `UsageError` if it is not an http address, or contains a user name or password (neither
    is shown).
    """
    url = url.strip()
    parts = _split(url)
    if parts is None:
        shown = _USERINFO.sub("…@", url)
        raise UsageError(f"{shown!r} is not a server address; write it like http://localhost:8000.")
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"the address of {parts.hostname} contains a user name or password; "
            "leave them out and name the variable that holds the key with --api-key-env."
        )
    stem = url.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    return stem if stem.endswith("/v1") else f"{stem}/v1"


def host_of(url: str) -> str:
    """Return the host of an address that `base_url` accepts."""
    return urlsplit(url).hostname or ""


def key_for(
    url: str, named: str | None, default: str | None = None, *, over_http: bool = False
) -> str | None:
    """Return the API key to send to a server, None for no key.

    A key goes only to its own server: ``OPENAI_API_KEY`` to OpenAI's host, any other if the user
    ``named`` its environment variable, or else if the variable's name implies the server
    (``default``). With ``over_http`` the user allows keys to cross a private network unencrypted.
    Raises `UsageError` if the named variable is not set, or the key would cross another network
    unencrypted.
    """
    host = host_of(url)
    names = [named] if named else [default, OPENAI_KEY if host == OPENAI_HOST else None]
    name = next((name for name in names if name and os.environ.get(name)), None)
    if name is None:
        if named:
            raise UsageError(f"the environment variable {named} is not set: it holds no API key")
        return None
    if urlsplit(url).scheme == "https" or host in LOOPBACK or (over_http and _is_private(host)):
        return os.environ[name]
    other = (
        f"{host} is not in a private network, so that --key-over-http does not apply"
        if over_http
        else "no key, or --key-over-http if the network is private and trusted"
    )
    raise UsageError(
        f"the key in {name} would go to {host} unencrypted: use https, a tunnel to localhost, or "
        f"{other}"
    )


def _is_private(host: str) -> bool:
    """Whether all of a host's addresses are private; false if none is known."""
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except OSError:
        return False
    return all(ip_address(str(address[0]).partition("%")[0]).is_private for *_, address in found)


def without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a child process's environment without apparent keys or passwords."""
    return {name: value for name, value in environment.items() if not _SECRET.search(name)}


def _split(url: str) -> SplitResult | None:
    """Return the parts of an http address that can be connected to, else None."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port  # reading the port checks it
        host.encode("idna")
    except ValueError:  # includes UnicodeError
        return None
    return parts if parts.scheme in ("http", "https") and host else None
