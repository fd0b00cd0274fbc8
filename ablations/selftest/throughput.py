"""Requests a second on one server: a bare client, and the engine that builds, scores and stores."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.files.text import counted
from harness.protocols import FailedItem, Model
from harness.records import Item


class Silent:
    """A progress that says nothing."""

    def start(self, *args: Any, **more: Any) -> None:
        """Nothing."""

    advance = note = start


@dataclass(frozen=True)
class WithoutNative:
    """A benchmark without its native pass, to time asking, scoring and storing alone."""

    benchmark: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.benchmark, name)

    def native(self, answers: Any, judge: Any) -> dict[str, None]:
        """No native scores."""
        return {}


def bodies(
    items: Iterable[Item | FailedItem], model: str, tokens: int, more: Mapping[str, Any]
) -> list[bytes]:
    """Return the requests as the wire carries them, for ``tokens`` new tokens each."""
    from harness.backends import wire

    fields = {"model": model, "max_tokens": tokens, "temperature": 0.0, **more}
    return [
        json.dumps({**fields, "messages": wire.openai(item.messages)}).encode()
        for item in items
        if isinstance(item, Item)
    ]


async def bare(session: Any, requests: Sequence[bytes], tokens: int) -> tuple[float, float]:
    """Ask all at once; return the seconds and the mean length of a prompt, in tokens.

    `RuntimeError` if an answer does not have ``tokens`` tokens.
    """
    from harness.backends.vllm import ADDRESS

    headers = {"Content-Type": "application/json"}

    async def ask(body: bytes) -> int:
        url = f"{ADDRESS}/v1/chat/completions"
        async with session.post(url, data=body, headers=headers) as got:
            document = await got.json()
            if (document.get("usage") or {}).get("completion_tokens") != tokens:
                raise RuntimeError(f"no answer of {tokens} tokens: {str(document)[:300]}")
            return int(document["usage"]["prompt_tokens"])

    began = time.perf_counter()
    prompts = await asyncio.gather(*map(ask, requests))
    return time.perf_counter() - began, sum(prompts) / len(prompts)


async def engine(
    benchmark: Any, model: Model, folder: Path, items: int, tokens: int, at_once: int | None = None
) -> float:
    """Answer, score and store the first items, by default all at once; return the seconds.

    `RuntimeError` if an answer does not have ``tokens`` tokens.
    """
    from harness.backends.models.settings import ModelSettings
    from harness.runs.engine import Engine
    from harness.runs.store import RunStore, read_samples
    from harness.runs.todo import Settings

    @asynccontextmanager
    async def opened() -> AsyncIterator[Model]:
        yield model

    settings = Settings(
        limit=items, model=ModelSettings(max_tokens=tokens), concurrency=at_once or items
    )
    with RunStore.open(folder) as store:
        began = time.perf_counter()
        await Engine(store, [benchmark], settings, Silent()).run(opened)
        seconds = time.perf_counter() - began
    samples = read_samples(folder, benchmark.declaration.id).values()
    lengths = [s.response.completion_tokens for s in samples if s.response]
    if lengths != [tokens] * items:
        raise RuntimeError(
            f"{lengths.count(tokens)} of {items} answers have {counted(tokens, 'token')}"
        )
    return seconds
