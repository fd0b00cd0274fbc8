"""Addresses of servers, checked before anything is sent to them."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from harness.errors import UsageError

_USERINFO = re.compile(r"(?:^|(?<=//)).*@")


def base_url(url: str) -> str:
    """Return ``url`` ending in ``/v1``, whether it was given with or without that or a slash.

    Raises:
        UsageError: it is not an http address, or holds a user name or password (neither is shown).
    """
    url = url.strip()
    parts = _split(url)
    if parts is None:
        shown = _USERINFO.sub("…@", url)
        raise UsageError(f"{shown!r} is not a server address; write it like http://localhost:8000.")
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"the address of {parts.hostname} contains a user name or password; "
            "leave them out and set OPENAI_API_KEY."
        )
    stem = url.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    return stem if stem.endswith("/v1") else f"{stem}/v1"


def _split(url: str) -> SplitResult | None:
    """Return the parts of an http address that a connection can be tried to, else None."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port  # the port is checked when it is read
        host.encode("idna")
    except ValueError:  # of which UnicodeError is one
        return None
    return parts if parts.scheme in ("http", "https") and host else None
