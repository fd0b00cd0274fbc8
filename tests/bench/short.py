"""Our processor time per answer: a server that answers one token at once, many requests at a time.

The server is a process of its own, so all processor time here is the client's: the engine builds,
asks, scores and stores; the bare client beside it only asks.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.selftest.throughput import bare, bodies, engine
from benchmarks.scoring import Target, score
from harness.protocols import Benchmark, Declaration, Tools, build_items
from harness.records import Item, Message, Response, Score, TextPart

ITEMS = 10_000
CONCURRENCY = (256, 1024)


@dataclass(frozen=True)
class Short(Benchmark):
    """Questions of twelve words with four options."""

    @property
    def declaration(self) -> Declaration:
        """The protocol of a benchmark that is only timed."""
        return Declaration(
            "short", "short", {}, "1", 1, 1, ITEMS, "accuracy", "every item is its own"
        )

    def fingerprint(self) -> str:
        """Return a constant: there are no data."""
        return "short"

    def count(self) -> int:
        """Return the number of items."""
        return ITEMS

    def ids(self) -> list[str]:
        """Return the ids."""
        return [f"item-{number}" for number in range(ITEMS)]

    def build(self, item_id: str) -> Item:
        """Return one question."""
        text = f"{item_id}: which of the four is it? Answer with a letter. A B C D"
        target = Target("choice", "B", choices=("one", "two", "three", "four"))
        return Item(item_id, (Message("user", (TextPart(text),)),), target, item_id)

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        """Score by the strict scorer."""
        return score(response.answer, item.target)


def serve(socket: str) -> None:
    """Answer every request with the token "B", until killed."""
    import orjson
    from aiohttp import web

    answer = orjson.dumps(
        {
            "id": "1",
            "object": "chat.completion",
            "model": "short",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": "B"},
                }
            ],
            "usage": {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21},
        }
    )

    async def reply(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=answer, content_type="application/json")

    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/v1/chat/completions", reply)
    web.run_app(app, path=socket, print=lambda _: print("ready", flush=True), access_log=None)


async def measured(
    bench: Any, items: int, at_once: int, socket: Path, folder: Path
) -> tuple[float, float, float]:
    """Return processor seconds per answer of a bare client and of ours, and our answers/s."""
    import aiohttp

    from harness.backends.http.endpoint import EndpointModel
    from harness.backends.vllm import ADDRESS

    requests = bodies(build_items(bench), "short", 1, {})
    connector = aiohttp.UnixConnector(str(socket), limit=at_once)
    async with aiohttp.ClientSession(connector=connector) as session:
        await bare(session, requests[:at_once], 1)
        begun = time.process_time()
        await bare(session, requests, 1)
        alone = (time.process_time() - begun) / items
    client = EndpointModel(ADDRESS, "short")
    client.socket = socket
    async with client:
        begun = time.process_time()
        seconds = await engine(bench, client, folder, items, 1, at_once)
        ours = (time.process_time() - begun) / items
    return alone, ours, items / seconds


@contextmanager
def served() -> Iterator[tuple[Path, Path]]:
    """Run the server; yields its socket, and a folder for what is stored."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        socket = Path(folder) / "server"
        words = [sys.executable, "-m", "tests.bench.short", str(socket)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                server.stdout.readline()
                yield socket, Path(folder)
            finally:
                server.kill()


def main() -> None:
    """Start the server and print the table."""
    print("  at a time   bare client   harness   (ms of processor time per answer)   answers/s")
    with served() as (socket, folder):
        for at_once in CONCURRENCY:
            run = measured(Short(), ITEMS, at_once, socket, folder / str(at_once))
            alone, ours, rate = asyncio.run(run)
            print(f"  {at_once:9}  {1000 * alone:11.2f}  {1000 * ours:8.2f}  {rate:48.0f}")


if __name__ == "__main__":
    serve(sys.argv[1])
