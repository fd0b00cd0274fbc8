"""A model's tokenizer in this process, for benchmarks whose protocol counts or cuts tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.errors import NOT_THE_HUB, UsageError, first_line


class LocalTokenizer:
    """What transformers' ``AutoTokenizer`` loads from a folder or Hub id, on first use.

    It adds no special tokens and drops none. Raises `UsageError` if it cannot be loaded.
    """

    def __init__(self, name: str | Path) -> None:
        self._name = name
        self._lock = asyncio.Lock()  # a fast tokenizer is not thread-safe

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        try:
            loaded = AutoTokenizer.from_pretrained(self._name, trust_remote_code=False)
        except (OSError, ImportError, *NOT_THE_HUB) as error:
            reason = first_line(error)
            raise UsageError(f"no tokenizer can be loaded from {self._name}: {reason}") from error
        # Suppress warnings about texts longer than the model's context: we cut those.
        loaded.model_max_length = int(1e30)
        return loaded

    def count(self, text: str) -> int:
        """Return the number of tokens of ``text``."""
        return len(self._ids(text))

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    async def encode(self, text: str) -> list[int]:
        """Return the token ids of ``text``."""
        async with self._lock:
            return await asyncio.to_thread(self._ids, text)

    async def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids."""

        def text() -> str:
            options = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
            return str(self._tokenizer.decode(list(ids), **options))

        async with self._lock:
            return await asyncio.to_thread(text)
