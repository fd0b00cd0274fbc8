"""A complete backend: a model that answers in this process.

A backend is an async context manager whose value is a `harness.protocols.Model`.  This one always
picks the first option; replace `chat` by a call to your inference engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from harness.backends import Backend
from harness.errors import ItemError, UsageError
from harness.protocols import Model, Tokenizer
from harness.records import Message, Response, Sampling


@dataclass
class FirstOption:
    """A model that answers "(A)" to every question with options."""

    name: str = "first-option"
    requests: int = 0

    async def chat(self, messages: Sequence[Message], sampling: Sampling) -> Response:
        """Answer one conversation.

        Raises:
            ItemError: this request failed for good; the item is stored as an error.
        """
        prompt = messages[-1].render()
        if "(A)" not in prompt:
            raise ItemError("the prompt has no options")
        self.requests += 1
        await asyncio.sleep(0)  # here: await the engine; many calls are in flight at once
        return Response(
            text="(A)"[: 4 * sampling.max_tokens],
            prompt_tokens=len(prompt.split()),
            completion_tokens=1,
            finish_reason="stop",  # "length" when the token limit ended the response
        )

    async def logprobs(
        self, messages: Sequence[Message], tokens: Sequence[str]
    ) -> Sequence[float | None] | None:
        """None: this engine offers no log-probabilities; the probe then uses the answers."""
        return None

    @property
    def tokenizer(self) -> Tokenizer:
        """Only LongBench v2 and NIAH ask for it."""
        raise UsageError("the backend first-option has no tokenizer")


@asynccontextmanager
async def serve(model: FirstOption) -> AsyncIterator[Model]:
    """Start the engine, hand out the model, stop the engine."""
    yield model


# `harness run --backend backend.py --model first-option ...` opens this.
BACKEND = Backend(lambda spec, on_status: serve(FirstOption(spec.model or "first-option")), (), ())
