"""Serve a view to this machine's browser: read-only, on loopback, with a token in its URL."""

from __future__ import annotations

import re
import secrets
import sys
from functools import lru_cache
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

import msgspec

from harness.errors import UsageError
from harness.files.text import visible
from harness.records import ImagePart
from reports.view.contents import entry, item
from reports.view.images import Prompts, encoded
from reports.view.items import Place, View
from reports.view.page import CHUNK, Progress, render, with_images

HOST = "127.0.0.1"
# The Host header; any other name is DNS rebinding. Another port may be a tunnel's end.
_OURS = re.compile(r"(?:127\.0\.0\.1|localhost)(?::\d+)?")
_KEPT = 16  # items whose images are cached
_NUMBER = re.compile(r"[0-9]{1,9}")
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Server(ThreadingHTTPServer):
    """Serve a view until `shutdown`, with the token in `url`; `OSError` if the port is taken."""

    daemon_threads = True

    def __init__(self, view: View, prompts: Prompts | None, port: int = 0) -> None:
        self.token = secrets.token_urlsafe(24)
        self._view, self._prompts = view, prompts
        self._lock = Lock()  # readers of data and of reasoning tags are not thread-safe
        self._asked = lru_cache(maxsize=_KEPT)(self._prompt)
        self._page = b""
        super().__init__((HOST, port), _Handler)

    def prepare(self, progress: Progress) -> None:
        """Read all items for the page's list, before serving; `UsageError` if a file is corrupt."""
        with progress(self._view.places) as places:
            entries = [entry(place, self._view.answers(place)) for place in places]
        self._page = render(self._view, entries, (), ()).encode()

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    def answer(self, kind: str, *numbers: int) -> tuple[bytes, str]:
        """Return content and media type; `LookupError`: no such thing, `UsageError`: unreadable."""
        with self._lock:
            match kind, *numbers:
                case ["", *_] if not numbers:
                    return self._page, "text/html; charset=utf-8"
                case ["chunk", int(number)]:
                    return _json(self._chunk(number))
                case ["prompt", int(number)]:
                    return _json(self._asked(number)[0])
                case ["image", int(number), int(which)]:
                    content, form = self._asked(number)[1][which]
                    return content, f"image/{form.lower()}"
        raise LookupError(kind)

    def _chunk(self, number: int) -> list[Any]:
        places = self._view.places[number * CHUNK : (number + 1) * CHUNK]
        if not places:
            raise LookupError(number)
        return [item(self._view, place, self._view.answers(place)) for place in places]

    def _prompt(self, number: int) -> tuple[dict[str, Any], list[tuple[bytes, str]]]:
        """Return an item's prompt with the addresses of its images, and the images as files."""
        place, files = self._view.places[number], []

        def address(_: Place, part: ImagePart, which: int) -> str:
            files.append(encoded(part.image))
            return f"image/{number}/{which}"

        if self._prompts is None:
            return {}, []
        return with_images(place, self._view.answers(place), self._prompts, address), files

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore browsers that disconnected."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _json(value: Any) -> tuple[bytes, str]:
    return msgspec.json.encode(value), "application/json"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds that a connection may be idle

    def do_GET(self) -> None:
        if not _OURS.fullmatch(self.headers.get("Host", "")):
            return self._send(HTTPStatus.FORBIDDEN, "This is not its host.")
        token, slash, rest = self.path.removeprefix("/").partition("/")
        if not compare_digest(token.encode(), self.server.token.encode()):
            return self._send(HTTPStatus.FORBIDDEN, "The address lacks its token.")
        kind, *words = rest.split("/")
        try:
            if not slash or not all(map(_NUMBER.fullmatch, words)):
                raise LookupError(rest)
            return self._send(HTTPStatus.OK, *self.server.answer(kind, *map(int, words)))
        except LookupError:
            return self._send(HTTPStatus.NOT_FOUND, "There is no such thing.")
        except UsageError as error:
            return self._send(HTTPStatus.CONFLICT, visible(str(error)))

    do_HEAD = do_GET  # noqa: N815

    def _send(
        self, status: HTTPStatus, content: bytes | str, kind: str = "text/plain; charset=utf-8"
    ) -> None:
        content = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing of each request."""
